import CUDAStandIn
import Glibc
import Testing

@testable import DevmemCore

/// The choice among GPUs, and its text.
@Suite struct GPUChoiceTests {
    private static let texts: [(String, GPUChoice?)] = [
        ("0", .number(0)), ("7", .number(7)), ("-1", nil), ("+1", nil), ("", nil), ("x", nil),
        ("GPU-8f6a", .uuid("GPU-8f6a")), ("GPU-8F6A", .uuid("GPU-8f6a")), ("GPU-", nil),
        ("MIG-1", .uuid("MIG-1")), ("near:eth1", .near("eth1")), ("near:", nil),
        ("0000:3b:00.0", .address("0000:3b:00.0")), ("3B:00.0", .address("0000:3b:00.0")),
        ("00000000:3B:00.0", .address("0000:3b:00.0")),
        ("10000:01:00.7", .address("10000:01:00.7")),
        ("3b:20.0", nil), ("3b:00.8", nil), ("3b:00", nil), ("100:00.0", nil), ("::.", nil),
        ("99999999999", nil),
    ]

    @Test(arguments: texts)
    func textsAreRead(text: String, choice: GPUChoice?) {
        #expect(GPUChoice(text) == choice)
        guard let choice else { return }
        #expect(GPUChoice(choice.description) == choice)
        #expect(MemoryProvider("cuda:\(text)") == .cuda(choice))
        #expect(MemoryProvider(MemoryProvider.cuda(choice).description) == .cuda(choice))
    }

    @Test func theNearestIsTheDefault() {
        #expect(MemoryProvider("cuda") == .cuda(.nearest))
        #expect(MemoryProvider.cuda(.nearest).description == "cuda")
        #expect(MemoryProvider("cuda:") == nil)
    }

    @Test func uuidsAreWrittenAsNVIDIAWritesThem() {
        #expect(
            GPU.uuidText((0..<16).map { $0 * 17 }) == "GPU-00112233-4455-6677-8899-aabbccddeeff")
    }

    /// GPUs at these places, of which the named ones export no dma-bufs.
    private func gpus(_ paths: [String?], without: Set<Int> = []) -> [GPU] {
        paths.enumerated().map { place, path in
            var gpu = GPU(ordinal: Int32(place), device: Int32(place), name: "Test")
            gpu.uuid = GPU.uuidText([UInt8](repeating: UInt8(place + 0x10), count: 16))
            gpu.address = "0000:0\(place):00.0"
            gpu.exportsDmabufs = !without.contains(place)
            gpu.path = path
            gpu.numaNode = path.map { $0.contains("pci0000:00") ? 0 : 1 }
            return gpu
        }
    }

    private func nic() throws -> NetworkDevice {
        var nic = NetworkDevice(try NetworkInterface(named: "lo"))
        nic.path = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0"
        nic.numaNode = 0
        return nic
    }

    private let places: [String?] = [
        "/sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0",
        "/sys/devices/pci0000:00/0000:00:03.0/0000:09:00.0",
        "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:03:00.0",
        "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:04:00.0",
        nil,
    ]

    @Test func theNearestGPUIsChosen() throws {
        let nic = try nic()
        func chosen(_ without: Set<Int>, near: NetworkDevice?) throws -> Int32 {
            try GPUChoice.nearest.choose(from: gpus(places, without: without), near: near).ordinal
        }
        #expect(try chosen([], near: nic) == 2)
        #expect(try chosen([2], near: nic) == 3)
        #expect(try chosen([2, 3], near: nic) == 1)
        #expect(try chosen([1, 2, 3], near: nic) == 0)
        #expect(try chosen([0, 1, 2, 3], near: nic) == 4)
        // All are as good; the driver then says why it exports none.
        #expect(try chosen([0, 1, 2, 3, 4], near: nic) == 2)
        #expect(try chosen([], near: nil) == 0)
        #expect(try chosen([0], near: nil) == 1)
        #expect(
            try GPUChoice.near("eth1").choose(from: gpus(places), near: nic).ordinal == 2)
    }

    @Test func aNamedGPUIsChosen() throws {
        let gpus = gpus(places, without: [1])
        #expect(try GPUChoice.number(1).choose(from: gpus, near: nil).ordinal == 1)
        #expect(try GPUChoice.address("0000:03:00.0").choose(from: gpus, near: nil).ordinal == 3)
        #expect(try GPUChoice.uuid("GPU-1212").choose(from: gpus, near: nil).ordinal == 2)
        for choice in [
            GPUChoice.number(5), .address("0000:0a:00.0"), .uuid("GPU-2"), .uuid("GPU-1"),
        ] {
            let error = #expect(throws: DevmemError.self) {
                _ = try choice.choose(from: gpus, near: nil)
            }
            #expect(error?.kind == .invalid)
        }
    }

    @Test func copiesThatFollowEachOtherAreOne() {
        let ranges = [(0, 4), (4, 4), (12, 4), (8, 4), (12, 1)].map {
            MemoryRange(offset: $0, count: $1)
        }
        #expect(
            MemoryRange.joined(ranges)
                == [(0, 8), (12, 4), (8, 5)].map { MemoryRange(offset: $0, count: $1) })
        #expect(MemoryRange.joined([]).isEmpty)
    }
}

/// Memory of a GPU, with the lab's stand-in for the driver.
@Suite(.serialized) struct CUDAMemoryTests {
    init() { cuda_stand_in_reset() }

    private func set(_ name: String, _ value: String) {
        cuda_stand_in_set("CUDA_STAND_IN_\(name)", value)
    }

    private func driver(lacking: Set<String> = []) throws(DevmemError) -> CUDADriver {
        try CUDADriver { lacking.contains($0) ? nil : cuda_stand_in_symbol($0) }
    }

    private func memory(
        _ size: UInt64 = 2 << 20, _ choice: GPUChoice = .nearest, lacking: Set<String> = []
    ) throws(DevmemError) -> DmabufMemory {
        try CUDAMemoryMaker(choice: choice, driver: driver(lacking: lacking))
            .make(DmabufRequest(size: size))
    }

    private func error(_ body: () throws -> Void) throws -> DevmemError {
        try #require(#expect(throws: DevmemError.self) { try body() })
    }

    private func calls(_ name: String) -> UInt32 { cuda_stand_in_calls(name) }

    private func drop(_ memory: consuming DmabufMemory) {}

    /// What a leak would add to: the driver's objects, and descriptors and mappings of memory.
    func held() throws -> [Int] {
        let folder = try #require(opendir("/proc/self/fd"))
        defer { closedir(folder) }
        var descriptors = 0
        var target = [CChar](repeating: 0, count: 128)
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            let count = readlink("/proc/self/fd/\(name)", &target, target.count - 1)
            target[max(0, count)] = 0
            descriptors += stringFromCBuffer(target).contains("cuda-stand-in") ? 1 : 0
        }
        let mappings = lines(of: "/proc/self/maps").count { $0.contains("cuda-stand-in") }
        return [Int(cuda_stand_in_live()), descriptors, mappings]
    }

    @Test func gpusAreDescribed() throws {
        set("GPUS", "0000:81:00.0 00000000:3B:00.1")
        set("WITHOUT", "dmabuf-1")
        let gpus = try driver().gpus()
        #expect(gpus.map(\.ordinal) == [0, 1])
        #expect(gpus.map(\.address) == ["0000:81:00.0", "0000:3b:00.1"])
        #expect(gpus.map(\.exportsDmabufs) == [true, false])
        #expect(gpus[1].uuid == "GPU-20212223-2425-2627-2829-2a2b2c2d2e2f")
        #expect(gpus[0].memory == 1 << 30)
        #expect(gpus[0].text == "GPU 0 (Stand-in A, 0000:81:00.0)")
        #expect(try driver().versionText == "12.8")
    }

    @Test func payloadGoesThroughCopies() throws {
        do {
            let memory = try memory(3 << 20)
            #expect(memory.size == 4 << 20)
            #expect(memory.origin == "GPU 0 (Stand-in A, 0000:00:1f.0)")
            #expect(fcntl(memory.rawValue, F_GETFD) == FD_CLOEXEC)
            let range = MemoryRange(offset: 4095, count: 5000)
            try memory.withWritableBytes(in: range, written: { 5000 }) { bytes in
                for place in 0..<5000 { bytes[place] = UInt8(truncatingIfNeeded: place) }
            }
            #expect(cuda_stand_in_copied_in() == 5000)
            // As a NIC does.
            var wrong = [UInt8]([1, 2, 3])
            #expect(pwrite(memory.rawValue, &wrong, 3, 5000) == 3)
            let ranges = [
                MemoryRange(offset: 4095, count: 5), MemoryRange(offset: 4100, count: 7),
                MemoryRange(offset: 4999, count: 5),
            ]
            let read = try memory.withDeviceBytes(in: ranges) { bytes in
                [bytes[4095], bytes[4106], bytes[4999], bytes[5000], bytes[5003], bytes[5004]]
            }
            #expect(read == [0, 11, 136, 1, 140, 0] || read == [0, 11, 136, 1, 140, 141])
            #expect(cuda_stand_in_copied_out() == 17)
            #expect(calls("cuMemcpyDtoHAsync_v2") == 2)
            #expect(try held().allSatisfy { $0 > 0 })
        }
        #expect(cuda_stand_in_live() == 0)
    }

    @Test func memoryThatIsNotExportedIsMadeForDevices() throws {
        set("WITHOUT", "plain")
        do {
            let memory = try memory()
            #expect(memory.size == 2 << 20)
            #expect(calls("cuMemFree_v2") == 1)
            #expect(calls("cuMemSetAccess") == 1)
            try memory.withWritableBytes { $0[9] = 7 }
            #expect(try memory.withDeviceBytes { $0[9] } == 7)
        }
        #expect(cuda_stand_in_live() == 0)
        set("WITHOUT", "plain vmm")
        let error = try error { drop(try memory()) }
        #expect(error.kind == .unsupported)
        #expect(error.message == "CUDA_ERROR_NOT_SUPPORTED: operation not supported")
        #expect(cuda_stand_in_live() == 0)
    }

    /// The version of the driver, what it lacks, and how often the memory is exported.
    private static let exports: [(String, String, UInt32)] = [
        ("12080", "", 1), ("12080", "pcie", 2), ("12070", "", 1),
    ]

    /// The flag needs both the driver and the GPU.
    @Test(arguments: exports)
    func theMappingIsOfPCIeIfThereIsAChoice(
        version: String, without: String, tries: UInt32
    ) throws {
        set("VERSION", version)
        set("WITHOUT", without)
        drop(try memory())
        #expect(calls("cuMemGetHandleForAddressRange") == tries)
    }

    @Test func whatANICWroteIsFlushed() throws {
        set("WITHOUT", "ordering")
        let memory = try memory()
        try memory.withWritableBytes { $0[5] = 3 }
        for _ in 0..<2 { #expect(try memory.withDeviceBytes { $0[5] } == 3) }
        #expect(calls("cuFlushGPUDirectRDMAWrites") == 2)
    }

    @Test func othersNeedNoFlush() throws {
        let memory = try memory()
        _ = try memory.withDeviceBytes { $0[5] }
        #expect(calls("cuFlushGPUDirectRDMAWrites") == 0)
    }

    /// The view is registered once, before it is used, and not where nobody looks.
    @Test func hostMemoryIsRegistered() throws {
        let memory = try memory()
        #expect(calls("cuMemHostRegister_v2") == 0)
        for _ in 0..<2 { _ = try memory.withDeviceBytes { $0[5] } }
        #expect(calls("cuMemHostRegister_v2") == 1)
        drop(memory)
        #expect(calls("cuMemHostUnregister") == 1)
        #expect(cuda_stand_in_live() == 0)
    }

    @Test func severalPartsAreOneAllocationEach() throws {
        let parts = try (0..<2).map { _ in try KeptMemory(memory()) }
        #expect(calls("cuMemAlloc_v2") == 2)
        #expect(parts.count == 2)
    }

    @Test func anImpossibleSizeIsRefused() throws {
        for size in [0, UInt64.max, UInt64(Int.max)] {
            #expect(try error { drop(try memory(size)) }.kind == .invalid)
        }
        #expect(cuda_stand_in_live() == 0)
    }

    @Test func wantOfMemoryIsTold() throws {
        set("MEMORY", "8388608")
        let held = try memory(4 << 20)
        let error = try error { drop(try memory(8 << 20)) }
        #expect(error.errno == .noMemory)
        #expect(error.message == "4194304 of the GPU's 8388608 bytes are free")
        #expect(error.advice != nil)
        drop(held)
        #expect(cuda_stand_in_live() == 0)
    }

    @Test func whatTheHostLacksIsTold() throws {
        set("GPUS", "")
        let none = try error { _ = try driver() }
        #expect(none.kind == .unsupported)
        #expect(none.message == "CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected")
        set("GPUS", "0000:81:00.0")
        set("WITHOUT", "dmabuf")
        let closed = try error { drop(try memory()) }
        #expect(closed.message == "the driver exports no dma-bufs of this GPU")
        set("WITHOUT", "")
        set("VERSION", "11060")
        let old = try error { drop(try memory(lacking: ["cuMemGetHandleForAddressRange"])) }
        #expect(old.message == "the driver supports CUDA 11.6 and exports no dma-bufs")
        let broken = try error { drop(try memory(lacking: ["cuMemAlloc_v2"])) }
        #expect(broken.message == "it has no cuMemAlloc_v2")
        #expect([closed, old, broken].allSatisfy { $0.kind == .unsupported && $0.advice != nil })
        // Older drivers have another function.
        #expect(
            try error { _ = try driver(lacking: ["cuDeviceGetUuid_v2"]) }.message
                == "it has no cuDeviceGetUuid")
        drop(try memory(lacking: ["cuFlushGPUDirectRDMAWrites"]))
        #expect(try error { drop(try memory(1, .near("none"))) }.operation.text.contains("none"))
    }

    /// Makes memory, uses and frees it.
    ///
    /// - Returns: how often the context was made current before it was freed.
    @discardableResult
    private func use() throws -> UInt32 {
        let memory = try memory()
        try memory.withWritableBytes { $0[1] = 2 }
        #expect(try memory.withDeviceBytes { $0[1] } == 2)
        return calls("cuCtxPushCurrent_v2")
    }

    /// The functions that free something. If one fails, then what it frees is lost.
    static let freeing: Set = [
        "cuMemFree_v2", "cuMemUnmap", "cuMemAddressFree", "cuMemRelease", "cuStreamDestroy_v2",
        "cuDevicePrimaryCtxRelease_v2", "cuCtxPopCurrent_v2", "cuMemHostUnregister",
        "cuMemFreeHost", "cuModuleUnload",
    ]

    /// Each call fails in turn: the error is the driver's, and nothing is left.
    @Test(arguments: ["", "plain", "pcie", "ordering", "register", "plain ordering"])
    func aFailureOfAnyCallLeavesNothing(without: String) throws {
        set("WITHOUT", without)
        let pushes = try use()
        var counts: [String: UInt32] = [:]
        for index in 0..<cuda_stand_in_functions() {
            let name = String(cString: try #require(cuda_stand_in_function(index)))
            counts[name] = Self.freeing.contains(name) ? 0 : calls(name)
        }
        counts["cuCtxPushCurrent_v2"] = pushes
        // The third of these frees the memory that is not exported.
        let isFreeing = { (name: String, call: UInt32) in
            name == "cuCtxPushCurrent_v2" && call == 2 && without.hasPrefix("plain")
        }
        var failures = 0
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
            for call in 0..<count where !isFreeing(name, call) {
                set("FAIL", "\(name):\(call + 1)=999")
                do {
                    try use()
                } catch let error as DevmemError {
                    failures += 1
                    #expect(
                        error.message == "CUDA_ERROR_UNKNOWN: unknown error", "\(name) \(call)")
                }
                #expect(calls(name) > call)
                set("FAIL", "")
                try #require(try held() == [0, 0, 0], "\(name) \(call)")
            }
        }
        #expect(failures > 20)
    }

    @Test func aThousandTimesLeaveNothing() throws {
        try use()
        let before = try held()
        for round in 0..<1000 {
            if round % 2 == 0 { set("WITHOUT", round % 4 == 0 ? "plain" : "") }
            drop(try memory())
        }
        #expect(try held() == before)
        #expect(before == [0, 0, 0])
    }

    /// A child of fork(2) must free nothing of its parent's, and is refused.
    @Test func aForkedChildDoesNotTouchTheMemory() throws {
        let memory = try memory()
        try memory.withWritableBytes { $0[3] = 4 }
        let before = calls("cuCtxPushCurrent_v2")
        var context = ForkedUse(memory: KeptMemory(memory), before: before)
        let status = withUnsafeMutablePointer(to: &context) {
            cuda_stand_in_in_child(
                { argument in
                    guard let use = argument?.assumingMemoryBound(to: ForkedUse.self) else {
                        _exit(9)
                    }
                    do throws(DevmemError) {
                        _ = try use.pointee.memory?.memory.withDeviceBytes { $0[3] }
                        _exit(1)
                    } catch {
                        guard error.kind == .invalid else { _exit(2) }
                    }
                    use.pointee.memory = nil
                    _exit(cuda_stand_in_calls("cuCtxPushCurrent_v2") == use.pointee.before ? 0 : 3)
                }, $0)
        }
        #expect(status == 0)
        #expect(try context.memory?.memory.withDeviceBytes { $0[3] } == 4)
        context.memory = nil
        #expect(cuda_stand_in_live() == 0)
    }

    private struct ForkedUse {
        var memory: KeptMemory?
        let before: UInt32
    }

    private final class KeptMemory {
        let memory: DmabufMemory
        init(_ memory: consuming DmabufMemory) { self.memory = memory }
    }

    @Test func aHostWithoutTheLibraryIsTold() {
        // The machines that run this have no GPU.
        guard case .failure(let error) = CUDADriver.shared else { return }
        #expect(error.kind == .unsupported)
        #expect(
            error.operation.text == "load libcuda.so.1" || error.message?.contains("CUDA") == true)
    }
}
