import CUDAStandIn
import Glibc
import Logging
import Synchronization
import TestSupport
import Testing

@testable import DevmemCore

/// How ranges are cut for the kernels.
@Suite struct CUDAPieceTests {
    private func placed(_ offset: Int, _ count: Int, _ position: UInt64 = 0) -> PlacedRange {
        PlacedRange(MemoryRange(offset: offset, count: count), at: position)
    }

    @Test func piecesAreOfWordsAndMeetBetweenThem() {
        let pieces = CUDAPiece.pieces(
            of: [placed(32763, 12, 5), placed(9, 0), placed(16, 8)], period: 7)
        #expect(
            pieces == [
                // 5 - 3 = 2.
                CUDAPiece(offset: 32760, position: 2, head: 3, end: 8, phase: 2),
                CUDAPiece(offset: 32768, position: 10, head: 0, end: 7, phase: 3),
                CUDAPiece(offset: 16, position: 0, head: 0, end: 8, phase: 0),
            ])
        // Before the beginning of the pattern: 0 - 7 = 3 (mod 5).
        #expect(
            CUDAPiece.pieces(of: [placed(7, 1)], period: 5)
                == [CUDAPiece(offset: 0, position: 0 &- 7, head: 7, end: 8, phase: 3)])
        #expect(CUDAPiece.pieces(of: [placed(0, 1 << 20)], period: 3).count == 256)
        #expect(CUDAPiece.pieces(of: [placed(1, 1 << 20)], period: 3).count == 257)
    }

    @Test func theTableHasAWordForEachPlace() {
        #expect(CUDAPiece.words(of: [7]) == [0x0707_0707_0707_0707])
        #expect(
            CUDAPiece.words(of: [1, 2, 3])
                == [0x0201_0302_0103_0201, 0x0302_0103_0201_0302, 0x0103_0201_0302_0103])
    }

    @Test func rangesAreCutToParts() {
        let ranges = [placed(90, 20, 3), placed(100, 5, 40), placed(205, 5, 50)]
        #expect(ranges.compactMap { $0.clipped(to: 0..<100) } == [placed(90, 10, 3)])
        #expect(
            ranges.compactMap { $0.clipped(to: 100..<200) } == [
                placed(0, 10, 13), placed(0, 5, 40),
            ])
        #expect(placed(50, 300, 9).clipped(to: 100..<200) == placed(0, 100, 59))
    }

    @Test func differencesAreAdded() {
        var sum = PatternDifference()
        sum.add(PatternDifference())
        #expect(sum == PatternDifference())
        for (position, found) in [(9, 1), (5, 2), (7, 3)] as [(UInt64, UInt8)] {
            var other = PatternDifference()
            (other.wrongBytes, other.position, other.found) = (2, position, found)
            sum.add(other)
        }
        #expect(sum.wrongBytes == 6 && sum.position == 5 && sum.found == 2)
    }
}

/// Comparing and filling memory of a GPU where it is: the stand-in runs the kernels' very text. They
/// share its state with the other tests of it.
extension CUDAMemoryTests {
    private func setUp(_ name: String, _ value: String) {
        cuda_stand_in_set("CUDA_STAND_IN_\(name)", value)
    }

    private func gpuMemory() throws(DevmemError) -> DmabufMemory {
        try CUDAMemoryMaker(
            choice: .nearest, driver: CUDADriver { cuda_stand_in_symbol($0) }
        ).make(DmabufRequest(size: 2 << 20))
    }

    private func count(_ name: String) -> UInt32 { cuda_stand_in_calls(name) }

    private func end(_ memory: consuming DmabufMemory) {}

    /// Writes as a NIC does.
    private func write(
        _ bytes: [UInt8], at offset: Int = 0, to memory: borrowing DmabufMemory
    ) throws {
        try #require(pwrite(memory.rawValue, bytes, bytes.count, offset) == bytes.count)
    }

    /// A pattern of a period, without a shorter one where that is possible.
    private func pattern(_ period: Int) -> [UInt8] {
        (0..<period).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 8 &+ 7) }
    }

    private func placed(_ offset: Int, _ count: Int, at position: UInt64) -> PlacedRange {
        PlacedRange(MemoryRange(offset: offset, count: count), at: position)
    }

    /// What a comparison byte by byte says.
    private func expected(
        _ image: [UInt8], _ ranges: [PlacedRange], _ bytes: [UInt8]
    ) -> PatternDifference {
        var difference = PatternDifference()
        for placed in ranges {
            for place in 0..<placed.range.count {
                let position = placed.position + UInt64(place)
                let found = image[placed.range.offset + place]
                guard found != bytes[Int(position % UInt64(bytes.count))] else { continue }
                difference.wrongBytes += 1
                if position < difference.position {
                    difference.position = position
                    difference.found = found
                }
            }
        }
        return difference
    }

    private static let periods = [1, 2, 3, 7, 8, 9, 251, 256, 4096, 5000]
    private static let counts = [0, 1, 7, 8, 9, 15, 16, 17, 2047, 2048, 2049, 4095]

    /// Each length from each of the 8 offsets in a word, with a wrong byte right before and after it,
    /// which does not count, and then with one in it.
    @Test(arguments: periods)
    func theFirstWrongByteIsExact(period: Int) throws {
        let bytes = pattern(period)
        let memory = try gpuMemory()
        for (number, count) in Self.counts.enumerated() {
            let offset = 16 + number % 8
            let position = UInt64(number * 977 + 3)
            let ranges = [placed(offset, count, at: position)]
            // The pattern begins early enough for what lies before the range.
            let early = Int(position) + 24 * period - offset
            var image = (0..<offset + count + 16).map { bytes[(early + $0) % period] }
            for place in image.indices where !(offset..<offset + count).contains(place) {
                image[place] = ~image[place]
            }
            try write(image, to: memory)
            #expect(try memory.compare(ranges, with: bytes, .silent) == PatternDifference())
            for wrong in Set([0, count / 2, count - 1, min(7, count - 1), min(8, count - 1)])
            where wrong >= 0 && wrong < count {
                image[offset + wrong] ^= 0x80
                try write(image, to: memory)
                let difference = try memory.compare(ranges, with: bytes, .silent)
                #expect(difference == expected(image, ranges, bytes))
                #expect(difference?.wrongBytes == 1)
                #expect(difference?.position == position + UInt64(wrong), "\(count) \(wrong)")
                image[offset + wrong] ^= 0x80
            }
        }
        #expect(cuda_stand_in_copied_out() == 0)
        #expect(count("cuModuleLoadData") == 1)
        // The pattern goes to the GPU once.
        #expect(count("cuMemAlloc_v2") == 2)
    }

    /// Around the borders of words, of what a block of threads reads at a time, and of pieces.
    @Test(arguments: [7, 4096])
    func wrongBytesAtBordersAreFound(period: Int) throws {
        let bytes = pattern(period)
        let memory = try gpuMemory()
        let offset = 5
        let count = 70_000
        let ranges = [placed(offset, count, at: 11)]
        var image = [UInt8](repeating: 0xaa, count: 80_000)
        for place in 0..<count { image[offset + place] = bytes[(11 + place) % period] }
        let borders = [512, 1024, 2048, 4096, 32_768, 65_536, offset, offset + count]
        let wrong = borders.flatMap { [$0 - 1, $0, $0 + 1] }
            .filter { ($0 >= offset) && $0 < offset + count }
        for place in wrong {
            image[place] ^= 1
            try write(image, to: memory)
            #expect(
                try memory.compare(ranges, with: bytes, .silent) == expected(image, ranges, bytes))
            image[place] ^= 1
        }
        for place in wrong { image[place] ^= 1 }
        try write(image, to: memory)
        let all = try memory.compare(ranges, with: bytes, .silent)
        #expect(all == expected(image, ranges, bytes) && all?.wrongBytes == UInt64(wrong.count))
        // All bytes of it: those that were wrong in one bit are so in the others now.
        try write(image.map { ~$0 }, to: memory)
        #expect(try memory.compare(ranges, with: bytes, .silent)?.wrongBytes == UInt64(count))
    }

    @Test func anythingIsComparedAsByTheCPU() throws {
        var random = SystemRandomNumberGenerator()
        let memory = try gpuMemory()
        for _ in 0..<20 {
            let bytes = (0..<Int.random(in: 1...300, using: &random)).map { _ in
                UInt8.random(in: 0...3, using: &random)
            }
            var image = (0..<50_000).map { _ in UInt8.random(in: 0...3, using: &random) }
            var ranges: [PlacedRange] = []
            var position = UInt64.random(in: 0..<1000, using: &random)
            for _ in 0..<Int.random(in: 0...9, using: &random) {
                let offset = Int.random(in: 0..<40_000, using: &random)
                let count = Int.random(in: 0...9000, using: &random)
                ranges.append(placed(offset, count, at: position))
                // Mostly right.
                if Bool.random(using: &random) {
                    for place in 0..<count {
                        image[offset + place] =
                            bytes[
                                Int((position + UInt64(place)) % UInt64(bytes.count))]
                    }
                }
                position += UInt64(count)
            }
            try write(image, to: memory)
            #expect(
                try memory.compare(ranges, with: bytes, .silent) == expected(image, ranges, bytes))
        }
    }

    @Test(arguments: [1, 7, 5000])
    func aFilledMemoryIsThePattern(period: Int) throws {
        let bytes = pattern(period)
        let memory = try gpuMemory()
        #expect(try memory.fill(with: bytes, .silent))
        #expect(cuda_stand_in_copied_in() == 0)
        let all = PlacedRange(MemoryRange(offset: 0, count: 2 << 20), at: 0)
        #expect(try memory.compare([all], with: bytes, .silent) == PatternDifference())
        let image = try memory.withDeviceBytes { [UInt8]($0) }
        #expect(image.indices.allSatisfy { image[$0] == bytes[$0 % period] })
    }

    /// A fill writes its ranges and nothing beside them.
    @Test func aRangeIsFilledExactly() throws {
        let memory = try gpuMemory()
        let bytes = pattern(5)
        let device = try #require(try memory.device(ofPart: 0)?.patterns(with: bytes))
        for (number, count) in Self.counts.enumerated() {
            let offset = 32_000 + number
            try write([UInt8](repeating: 0x55, count: 40_000), to: memory)
            try device.fill([placed(offset, count, at: 9)], with: bytes)
            let image = try memory.withDeviceBytes { [UInt8]($0.prefix(40_000)) }
            let isRight = image.indices.allSatisfy { (place: Int) -> Bool in
                guard (offset..<offset + count).contains(place) else {
                    return image[place] == 0x55
                }
                return image[place] == bytes[(9 + place - offset) % 5]
            }
            #expect(isRight, "\(count)")
        }
    }

    @Test func aRangeOutsideTheMemoryReachesNoKernel() throws {
        let memory = try gpuMemory()
        let bytes: [UInt8] = [1]
        let device = try #require(try memory.device(ofPart: 0)?.patterns(with: bytes))
        for (offset, count) in [(-1, 1), (0, -1), (2 << 20, 1), ((2 << 20) - 1, 2), (1, .max)] {
            #expect(throws: DevmemError.self) {
                _ = try device.compare([placed(offset, count, at: 0)], with: bytes)
            }
            #expect(throws: DevmemError.self) {
                try device.fill([placed(offset, count, at: 0)], with: bytes)
            }
        }
        #expect(throws: DevmemError.self) { _ = try device.compare([], with: []) }
        #expect(try device.compare([], with: bytes) == PatternDifference())
        #expect(try device.compare([placed(2 << 20, 0, at: 0)], with: bytes).wrongBytes == 0)
        #expect(count("cuLaunchKernel") == 0)
    }

    /// More than fits in one launch.
    @Test func manyPiecesAreSeveralLaunches() throws {
        let memory = try gpuMemory()
        var ranges = (0..<5000).map { placed($0 * 16, 3, at: UInt64($0 * 3)) }
        let bytes = pattern(7)
        let image = (0..<5000 * 16).map { (place: Int) -> UInt8 in
            let position: Int = place / 16 * 3 + place % 16
            return bytes[position % 7]
        }
        try write(image, to: memory)
        #expect(try memory.compare(ranges, with: bytes, .silent) == PatternDifference())
        #expect(count("cuLaunchKernel") == 2)
        ranges[4999].position += 1
        ranges[17].position += 1
        #expect(
            try memory.compare(ranges, with: bytes, .silent) == expected(image, ranges, bytes))
        // The result of one comparison is not in that of the next.
        #expect(try memory.compare([ranges[0]], with: bytes, .silent) == PatternDifference())
        #expect(count("cuLaunchKernel") == 5)
    }

    @Test func whatANICWroteIsFlushedBeforeAKernel() throws {
        setUp("WITHOUT", "ordering")
        let memory = try gpuMemory()
        try write([3, 3, 3, 3], to: memory)
        for _ in 0..<2 {
            #expect(
                try memory.compare([placed(0, 4, at: 0)], with: [3], .silent) == PatternDifference()
            )
        }
        #expect(count("cuFlushGPUDirectRDMAWrites") == 2)
    }

    @Test func patternsTakeTurns() throws {
        let memory = try gpuMemory()
        try write([UInt8](repeating: 4, count: 64), to: memory)
        for round in 0..<4 {
            let byte = UInt8(4 + round % 2)
            let difference = try memory.compare([placed(1, 9, at: 0)], with: [byte], .silent)
            #expect(difference?.wrongBytes == (byte == 4 ? 0 : 9))
        }
        end(memory)
        #expect(cuda_stand_in_live() == 0)
    }

    /// What is logged.
    private final class Log: Sendable {
        let lines = Mutex<[String]>([])
        var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }
    }

    private struct Handler: LogHandler {
        let log: Log
        var metadata = Logger.Metadata()
        var logLevel = Logger.Level.trace
        init(log: Log) { self.log = log }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            log.lines.withLock { $0.append("\(event.level): \(event.message)") }
        }
    }

    private static let refusals = [
        "cuModuleLoadData:0=218", "cuModuleGetFunction:1=500", "cuModuleGetFunction:2=500",
        "cuMemHostAlloc:0=2", "cuMemHostGetDevicePointer_v2:0=1", "cuMemAlloc_v2:2=2",
        "cuMemcpyHtoDAsync_v2:1=999",
    ]

    /// Payload in both memories, in several calls, is compared as if it were in one piece; also if
    /// the driver refuses the kernels, or the bytes are here anyway.
    @Test(arguments: refusals + ["", "bytes"])
    func aStreamIsComparedAsByTheCPU(failure: String) throws {
        setUp("FAIL", failure == "bytes" ? "" : failure)
        let log = Log()
        let memory = try gpuMemory()
        let bound = BoundMemory(memory, receiveID: 1, transmitID: nil)
        for _ in 0..<(failure.isEmpty ? 20 : 1) {
            try compareStream(
                in: bound, needing: failure == "bytes" ? .bytes : .extents, log.logger)
        }
        #expect((cuda_stand_in_copied_out() == 0) == failure.isEmpty)
        #expect((count("cuLaunchKernel") > 0) == failure.isEmpty)
        let lines = log.lines.withLock { $0 }
        #expect(lines.count == (Self.refusals.contains(failure) ? 1 : 0), "\(lines)")
        #expect(
            lines.allSatisfy {
                $0.hasPrefix("notice: the CPU compares and fills copies of the memory: ")
            })
    }

    /// Compares a stream of random extents, which is wrong in places from some call on.
    private func compareStream(
        in bound: BoundMemory, needing needs: PayloadNeeds, _ logger: Logger
    ) throws {
        var random = SystemRandomNumberGenerator()
        let digits = pattern(251).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let pattern = try Pattern("hex:" + digits.joined())
        let host = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 8)
        defer { host.deallocate() }
        var payload = ReceivedPayload(
            capacity: 64, host: UnsafeRawBufferPointer(host), memory: bound)
        var sink = PatternSink(pattern, logger: logger)
        var checker = PatternChecker(pattern)
        #expect(sink.needs == .extents)
        var position = 0
        let firstWrongCall = Int.random(in: 0..<8, using: &random)
        for call in 0..<8 {
            payload.removeAll(socket: -1)
            var used = 0
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let count = Int.random(in: 1...600, using: &random)
                var bytes = (0..<count).map { pattern.bytes[(position + $0) % 251] }
                if call >= firstWrongCall, Int.random(in: 0..<4, using: &random) == 0 {
                    bytes[Int.random(in: 0..<count, using: &random)] ^= 0x40
                }
                position += count
                bytes.withUnsafeBytes { checker.check($0) }
                if Bool.random(using: &random) {
                    UnsafeMutableRawBufferPointer(rebasing: host[used..<used + count])
                        .copyBytes(from: bytes)
                    payload.list.append(.host, offset: used, length: count)
                } else {
                    try write(bytes, at: used + 100_000, to: bound.dmabuf)
                    payload.list.append(.device, offset: used + 100_000, length: count)
                }
                // A gap, so that extents are not joined.
                used += count + 1
            }
            #expect(try payload.hand(to: &sink, needs, StopSignal()) == nil)
        }
        #expect(
            sink.comparison
                == PatternComparison(
                    checkedBytes: UInt64(position), wrongBytes: checker.wrongBytes,
                    firstMismatch: checker.firstMismatch))
    }

    private static let launchFailures = [
        "cuLaunchKernel:0=719", "cuStreamSynchronize:3=700", "cuMemcpyDtoHAsync_v2:0=999",
    ]

    /// The context may be of no use any more: copies would fail as well.
    @Test(arguments: launchFailures)
    func aKernelThatFailsIsAnError(failure: String) throws {
        setUp("FAIL", failure)
        do {
            let memory = try gpuMemory()
            let error = try #require(
                #expect(throws: DevmemError.self) {
                    _ = try memory.compare([placed(0, 9, at: 0)], with: [1], .silent)
                })
            #expect(error.kind == .system)
            #expect(
                error.operation.text
                    == "compare memory of GPU 0 (Stand-in A, 0000:00:1f.0)")
            #expect(count("cuStreamSynchronize") > 2)
        }
        #expect(try held() == [0, 0, 0])
    }

    /// Makes memory, fills a part of it, compares it and frees it.
    ///
    /// - Returns: how often the context was made current before it was freed.
    @discardableResult
    private func comparison() throws -> UInt32 {
        let memory = try gpuMemory()
        let range = placed(3, 5, at: 1)
        if let device = try? memory.device(ofPart: 0)?.patterns(with: [1, 2, 3]) {
            try device.fill([range], with: [1, 2, 3])
            #expect(try memory.compare([range], with: [1, 2, 3], .silent) == PatternDifference())
            let shifted = placed(3, 5, at: 2)
            #expect(try memory.compare([shifted], with: [1, 2, 3], .silent)?.wrongBytes == 5)
        } else {
            #expect(try memory.compare([range], with: [1, 2, 3], .silent) == nil)
            #expect(try !memory.fill(with: [1, 2, 3], .silent))
            _ = try memory.withDeviceBytes { $0[1] }
        }
        return count("cuCtxPushCurrent_v2")
    }

    /// Each call fails in turn: the kernels are done without, or the error is the driver's, and
    /// nothing is left.
    @Test(arguments: ["", "ordering"])
    func aFailureOfAnyCallOfAComparisonLeavesNothing(without: String) throws {
        setUp("WITHOUT", without)
        let pushes = try comparison()
        var counts: [String: UInt32] = [:]
        for index in 0..<cuda_stand_in_functions() {
            let name = String(cString: try #require(cuda_stand_in_function(index)))
            counts[name] = Self.freeing.contains(name) ? 0 : count(name)
        }
        counts["cuCtxPushCurrent_v2"] = pushes
        var (failures, without) = (0, 0)
        for (name, number) in counts.sorted(by: { $0.key < $1.key }) {
            for call in 0..<number {
                setUp("FAIL", "\(name):\(call + 1)=999")
                let launches = count("cuLaunchKernel")
                do {
                    try comparison()
                    if count("cuLaunchKernel") == launches { without += 1 }
                } catch let error as DevmemError {
                    failures += 1
                    #expect(
                        error.message == "CUDA_ERROR_UNKNOWN: unknown error", "\(name) \(call)")
                }
                #expect(count(name) > call)
                setUp("FAIL", "")
                try #require(try held() == [0, 0, 0], "\(name) \(call)")
            }
        }
        #expect(failures > 20 && without > 8, "\(failures) \(without)")
    }

    @Test func aThousandComparisonsLeaveNothing() throws {
        try comparison()
        for round in 0..<1000 {
            if round % 2 == 0 { setUp("FAIL", round % 4 == 0 ? "cuModuleLoadData:0=218" : "") }
            try comparison()
        }
        #expect(try held() == [0, 0, 0])
    }

    @Test func threadsCompareAtTheSameTime() throws {
        let memory = try gpuMemory()
        try write([UInt8](repeating: 6, count: 4096), to: memory)
        let device = try #require(try memory.device(ofPart: 0)?.patterns(with: [6]))
        let wrong = Mutex<UInt64>(0)
        let ranges = [placed(0, 4096, at: 0)]
        let ended = Mutex(0)
        for number in 0..<4 {
            try runInThread {
                for _ in 0..<20 {
                    let byte: UInt8 = number == 0 ? 7 : 6
                    let difference = try? device.compare(ranges, with: [byte])
                    wrong.withLock { $0 += difference?.wrongBytes ?? 1 }
                }
                ended.withLock { $0 += 1 }
            }
        }
        try awaitCondition("the threads have ended") { ended.withLock { $0 == 4 } }
        #expect(wrong.withLock { $0 } == 20 * 4096)
    }
}
