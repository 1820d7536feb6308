import CDevmem
import Glibc
import Logging

@testable import DevmemCore

/// Checks of a GPU's memory: what the library does with it, and what the card and its driver answer. They run on a card
/// (scripts/gpu), and with the lab's stand-in for the driver in the unit tests.
struct GPUChecks {
    /// What was found to be wrong.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What descriptors, mappings and memory a process holds.
    struct Holdings: Equatable, CustomStringConvertible {
        var descriptors: Int
        var mappings: Int
        /// Bytes of the GPU that are not free.
        var memory: Int

        var description: String {
            "\(descriptors) descriptors, \(mappings) mappings, \(memory) bytes of the GPU"
        }
    }

    /// One check.
    struct Check: Sendable {
        let name: String
        let run: @Sendable (GPUChecks) throws -> [String]
    }

    let driver: CUDADriver
    let gpu: GPU
    /// Bytes of one allocation, a multiple of `GPU.pageSize`.
    let size: Int
    /// How often memory is made and freed.
    let repetitions: Int
    /// It keeps the context, so that making memory does not take the time to make that as well.
    private let context: CUDAContext
    private let logger = Logger(label: "gpu")

    init(driver: CUDADriver, gpu: GPU, size: Int, repetitions: Int) throws {
        self.driver = driver
        self.gpu = gpu
        self.size = size
        self.repetitions = repetitions
        context = try CUDAContext(gpu, driver)
    }

    /// What is checked, in order.
    static let all = [
        Check(name: "the descriptor is a dma-buf of the size") { try $0.descriptor() },
        Check(name: "the GPU fills, and the GPU and the CPU find it equal") { try $0.fill() },
        Check(name: "one wrong byte is found where it is") { try $0.wrongByte() },
        Check(name: "what is copied in comes out") { try $0.copies() },
        Check(name: "it can be used as another program's dma-buf") { try $0.foreign() },
        Check(name: "too much memory is refused in clear words") { try $0.tooMuch() },
        Check(name: "nothing stays after many allocations") { try $0.holdings() },
    ]

    func memory(_ size: Int) throws -> DmabufMemory {
        try CUDAMemoryMaker(choice: .number(gpu.ordinal), driver: driver)
            .make(DmabufRequest(size: UInt64(size)))
    }

    private func require(_ holds: Bool, _ text: @autoclosure () -> String) throws {
        if !holds { throw Failure(description: text()) }
    }

    /// Requires the GPU to find the pattern in memory.
    private func require(
        _ pattern: Pattern, in ranges: [PlacedRange], of memory: borrowing DmabufMemory,
        _ text: String = ""
    ) throws {
        let difference = try memory.compare(ranges, with: pattern.bytes, logger)
        try require(difference == PatternDifference(), text + difference.text)
    }

    /// All of one allocation, from a position in the stream.
    private func whole(at position: UInt64 = 0) -> [PlacedRange] {
        [PlacedRange(range(0, size), at: position)]
    }

    private func range(_ offset: Int, _ count: Int) -> MemoryRange {
        MemoryRange(offset: offset, count: count)
    }

    // MARK: the checks

    private func descriptor() throws -> [String] {
        let memory = try memory(size)
        let number = memory.rawValue
        let end = lseek(number, 0, SEEK_END)
        try require(end == size, "lseek says \(end) bytes, and \(size) were made")
        try require(Int(memory.size) == size, "the library says \(memory.size) bytes")
        let flags = fcntl(number, F_GETFD)
        try require(flags & FD_CLOEXEC != 0, "the descriptor stays open in other programs")
        return ["\(size) bytes: \(try linkText("/proc/self/fd/\(number)"))"]
            + (try readTextFile("/proc/self/fdinfo/\(number)")).split(separator: "\n")
            .filter { $0.hasPrefix("exp_name") || $0.hasPrefix("size") }.map(String.init)
    }

    private func fill() throws -> [String] {
        let memory = try memory(size)
        for text in ["2", "7", "128", "251", "hex:00ff", "hex:ab"] {
            let pattern = try Pattern(text)
            let filled = try memory.fill(with: pattern.bytes, logger)
            try require(filled, "the GPU did not fill")
            try require(pattern, in: whole(), of: memory, "\(text): ")
            // Ranges that neither begin nor end with a word.
            let some = stride(from: 1, to: size - 70000, by: max(1, size / 61) | 1).map {
                PlacedRange(range($0, $0 % 65537 + 1), at: UInt64($0))
            }
            try require(pattern, in: some, of: memory, "\(text), ranges: ")
            // Another phase of a pattern is not equal, if it has one.
            if pattern.bytes.count > 1 {
                let difference = try memory.compare(
                    whole(at: 1), with: pattern.bytes, logger)
                try require(
                    difference?.wrongBytes == UInt64(size), "\(text), shifted: \(difference.text)")
            }
            let block = PatternBlock(pattern)
            let isEqual = try memory.withDeviceBytes { bytes in
                let expected = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: bytes.count, alignment: 8)
                defer { expected.deallocate() }
                block.copy(from: 0, to: expected)
                return bytes.elementsEqual(expected)
            }
            try require(isEqual, "\(text): the CPU finds a copy different")
        }
        return ["6 patterns in \(size) bytes"]
    }

    private func wrongByte() throws -> [String] {
        let memory = try memory(size)
        let pattern = try Pattern("251")
        _ = try memory.fill(with: pattern.bytes, logger)
        let places = [0, 1, 7, 8, 4095, 4096, size / 2 + 3, size - 8, size - 1]
        func write(_ byte: UInt8, at place: Int) throws {
            try memory.withWritableBytes(in: range(place, 1), written: { 1 }) {
                $0.storeBytes(of: byte, as: UInt8.self)
            }
        }
        func compare() throws -> PatternDifference? {
            try memory.compare(whole(), with: pattern.bytes, logger)
        }
        for place in places {
            let right = pattern.bytes[place % pattern.bytes.count]
            try write(~right, at: place)
            let difference = try compare()
            try require(
                difference?.wrongBytes == 1 && difference?.position == UInt64(place)
                    && difference?.found == ~right, "at \(place): \(difference.text)")
            try write(right, at: place)
            try require(pattern, in: whole(), of: memory, "at \(place), mended: ")
        }
        for place in places { try write(pattern.bytes[place % 251] ^ 1, at: place) }
        let difference = try compare()
        try require(
            difference?.wrongBytes == UInt64(places.count) && difference?.position == 0,
            "all: \(difference.text)")
        return ["at \(places.map(String.init).joined(separator: ", "))"]
    }

    private func copies() throws -> [String] {
        let memory = try memory(size)
        var generator = SystemRandomNumberGenerator()
        var sums: [UInt64] = []
        for _ in 0..<3 {
            let put = try memory.withWritableBytes { bytes in
                for offset in stride(from: 0, to: bytes.count, by: 8) {
                    bytes.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
                }
                return sum(UnsafeRawBufferPointer(bytes))
            }
            // The view in host memory is another: wiped without a copy into the GPU.
            try memory.withWritableBytes(in: range(0, size), written: { 0 }) { bytes in
                _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
            }
            let got = try memory.withDeviceBytes { sum($0) }
            try require(put == got, "in \(put), out \(got)")
            sums.append(got)
        }
        return [
            "sums of \(size) bytes: \(sums.map { String($0, radix: 16) }.joined(separator: ", "))"
        ]
    }

    private func foreign() throws -> [String] {
        let memory = try memory(size)
        let other = try DmabufMemory(size: 1, provider: .descriptor(memory.rawValue))
        try require(other.size == memory.size, "its size is \(other.size)")
        let pattern = try Pattern("128")
        _ = try memory.fill(with: pattern.bytes, logger)
        do {
            let byte = try other.withDeviceBytes { $0[4097] }
            try require(byte == pattern.bytes[4097 % 128], "the CPU reads \(byte)")
            return ["the CPU can map it"]
        } catch let error as DevmemError {
            try require(error.kind == .unsupported, "refused otherwise: \(error)")
            return ["\(error)"]
        }
    }

    private func tooMuch() throws -> [String] {
        let whole = GPU.pageSize
        let size = (gpu.memory / whole + 64) * whole
        do {
            _ = try memory(Int(size))
        } catch let error as DevmemError {
            try require(error.errno == .noMemory, "refused otherwise: \(error)")
            return ["\(error)"]
        }
        throw Failure(description: "\(size) bytes were made of \(gpu.memory)")
    }

    private func holdings() throws -> [String] {
        let pattern = try Pattern("128")
        func once() throws {
            let memory = try memory(size)
            _ = try memory.fill(with: pattern.bytes, logger)
            try require(pattern, in: whole(), of: memory)
            let first = try memory.withDeviceBytes(in: [range(0, 4096)]) { $0[127] }
            try require(first == pattern.bytes[127], "byte 127 is \(first)")
        }
        // The driver keeps some of what it allocates first.
        for _ in 0..<3 { try once() }
        let before = try held()
        let begun = ContinuousClock.now
        for _ in 0..<repetitions { try once() }
        let time = ContinuousClock.now - begun
        let after = try held()
        try require(
            after.descriptors == before.descriptors && after.memory <= before.memory
                && after.mappings <= before.mappings + 2, "before: \(before); after: \(after)")
        return [
            "before: \(before)", "after \(repetitions) times: \(after)",
            "allocate, export, load kernels, fill, compare, copy 4096 bytes, free: "
                + "\((time / repetitions).microseconds) us each",
        ]
    }

    private func held() throws -> Holdings {
        let (free, total) = try context.withCurrent("count") { calls throws(DevmemError) in
            var (free, total) = (0, 0)
            try context.check(calls.cuMemGetInfo(&free, &total), "count free memory")
            return (free, total)
        }
        let maps = try readTextFile("/proc/self/maps")
        return Holdings(
            descriptors: names(in: "/proc/self/fd").count,
            mappings: maps.split(separator: "\n").count,
            memory: total - free)
    }

    // MARK: figures

    /// Measures how fast memory is filled, compared and copied.
    ///
    /// - Parameters:
    ///   - size: bytes.
    ///   - runs: the number of runs of each.
    /// - Returns: a line for each, with the median and the range in GB/s (10 to the power of 9 bytes).
    /// - Throws: `DevmemError` if the driver fails, `Failure` if a byte is wrong.
    func bandwidths(size: Int, runs: Int) throws -> [String] {
        let memory = try memory(size)
        let pattern = try Pattern("128")
        let all = range(0, size)
        /// Returns how long a run takes in microseconds, the shortest first.
        func times(_ runs: Int, _ body: () throws -> Void) throws -> [Int64] {
            // An idle GPU takes a while to reach its clock.
            let begun = ContinuousClock.now
            repeat { try body() } while ContinuousClock.now - begun < .milliseconds(300)
            return try (0..<runs).map { _ in
                let begun = ContinuousClock.now
                try body()
                return (ContinuousClock.now - begun).microseconds
            }.sorted()
        }
        func rate(_ name: String, _ body: () throws -> Void) throws -> String {
            let rates = try times(runs, body).map { Double(size) / Double($0) / 1000 }
            func text(_ place: Int) -> String { "\((rates[place] * 10).rounded() / 10)" }
            return "\(name): \(text(runs / 2)) GB/s (\(text(runs - 1)) to \(text(0)))"
        }
        /// Pages as a NIC fills them: neighbours in the stream are none in the memory.
        func pages(_ count: Int) -> [PlacedRange] {
            (0..<count).map { page in
                let offset = page * 7919 % (size / 4096) * 4096
                return PlacedRange(range(offset, 4096), at: UInt64(offset))
            }
        }
        let fill = try rate("fill") { _ = try memory.fill(with: pattern.bytes, logger) }
        let call = pages(1000)
        let short = try times(200) { try require(pattern, in: call, of: memory) }
        let scattered = pages(size / 4096)
        return [
            fill,
            try rate("compare") {
                try require(pattern, in: [PlacedRange(all, at: 0)], of: memory)
            },
            try rate("compare pages in another order") {
                try require(pattern, in: scattered, of: memory)
            },
            "compare 1000 such pages, as one receive call returns: \(short[100]) us "
                + "(\(short[0]) to \(short[199]))",
            try rate("copy out") { try memory.withDeviceBytes(in: [all]) { _ in } },
            try rate("copy in") {
                try memory.withWritableBytes(in: all, written: { size }) { _ in }
            },
        ]
    }
}

// MARK: helpers

/// The sum of words of 8 bytes, each times its place, so that their order counts.
private func sum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var sum: UInt64 = 0
    for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
        sum &+= bytes.load(fromByteOffset: offset, as: UInt64.self) &* UInt64(offset | 1)
    }
    return sum
}

private func linkText(_ path: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBufferPointer {
        $0.baseAddress.map { readlink(path, $0, 256) } ?? -1
    }
    guard count > 0 else { throw GPUChecks.Failure(description: "readlink \(path): \(errno)") }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

extension Duration {
    fileprivate var microseconds: Int64 {
        max(1, components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
    }
}

extension Optional<PatternDifference> {
    fileprivate var text: String {
        map { "\($0.wrongBytes) wrong bytes, the first at \($0.position), \($0.found)" }
            ?? "the GPU compared nothing"
    }
}
