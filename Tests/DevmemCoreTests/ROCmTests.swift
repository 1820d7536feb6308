import CUDAStandIn
import Glibc
import Testing

@testable import DevmemCore

/// Memory of an AMD GPU, with the lab's stand-in for the runtime. It shares its state with the one for
/// NVIDIA's driver, so that these tests and those of that run one after the other.
extension CUDAMemoryTests {
    private func driver(lacking: Set<String> = []) throws(DevmemError) -> ROCmDriver {
        try ROCmDriver { lacking.contains($0) ? nil : rocm_stand_in_symbol($0) }
    }

    private func memory(
        _ size: UInt64 = 2 << 20, _ setting: String? = nil, lacking: Set<String> = []
    ) throws(DevmemError) -> DmabufMemory {
        rocm_stand_in_set(setting)
        return try ROCmMemoryMaker(choice: .nearest, driver: driver(lacking: lacking))
            .make(DmabufRequest(size: size))
    }

    private func fail(_ name: String, _ text: String) {
        cuda_stand_in_set("CUDA_STAND_IN_\(name)", text)
    }

    private func drop(_ memory: consuming DmabufMemory) {}

    private func refusal(_ body: () throws -> Void) throws -> DevmemError {
        let error = try #require(#expect(throws: DevmemError.self) { try body() })
        #expect(cuda_stand_in_live() == 0)
        return error
    }

    @Test func amdGPUsAreDescribed() throws {
        fail("GPUS", "0000:81:00.0 0000:c1:00.0")
        let gpus = try driver().gpus()
        #expect(gpus.map(\.address) == ["0000:81:00.0", "0000:c1:00.0"])
        #expect(gpus[1].uuid == "GPU-000000000000abc1")
        #expect(gpus.map(\.exportsDmabufs) == [true, true])
        #expect(
            try GPUChoice.uuid("GPU-000000000000abc1").choose(from: gpus, near: nil).ordinal == 1)
        #expect(
            ROCmDriver.uuidText((0..<16).map { $0 * 17 })
                == "GPU-00112233-4455-6677-8899-aabbccddeeff")
        #expect(MemoryProvider("rocm") == .rocm(.nearest))
        #expect(MemoryProvider("rocm:1") == .rocm(.number(1)))
        #expect(MemoryProvider.rocm(.number(1)).description == "rocm:1")
        #expect(MemoryProvider("rocm:") == nil)
    }

    /// The export of ROCm 7, and that of HSA before it.
    private static let amdExports: [String?] = [nil, "5"]

    @Test(arguments: amdExports) func payloadOfAnAMDGPUIsCopied(setting: String?) throws {
        do {
            let memory = try memory(3 << 20, setting)
            #expect(memory.size == 4 << 20)
            #expect(fcntl(memory.rawValue, F_GETFD) == FD_CLOEXEC)
            try memory.withWritableBytes { $0[4097] = 7 }
            #expect(try memory.withDeviceBytes { $0[4097] } == 7)
            #expect(cuda_stand_in_calls("cuMemHostRegister_v2") == 1)
        }
        #expect(cuda_stand_in_live() == 0)
        rocm_stand_in_set(nil)
    }

    @Test func aThousandTimesLeaveNothingOfAMD() throws {
        for round in 0..<1000 { drop(try memory(2 << 20, round % 2 == 0 ? "5" : nil)) }
        #expect(cuda_stand_in_live() == 0)
    }

    @Test func whatAnAMDGPULacksIsTold() throws {
        #expect(
            try refusal { drop(try memory(2 << 20, "large")) }.message
                == "the dma-buf has 2101248 bytes: those of other memory too")
        #expect(
            try refusal { drop(try memory(2 << 20, "5 offset")) }.message
                == "it begins 4096 bytes into a dma-buf")
        #expect(
            try refusal { drop(try memory(lacking: ["hipMalloc"])) }.message
                == "it has no hipMalloc")
        let old = try refusal {
            drop(
                try memory(
                    lacking: ["hipMemGetHandleForAddressRange", "hsa_amd_portable_export_dmabuf"]))
        }
        #expect(old.message == "the driver exports no dma-bufs" && old.advice != nil)
        fail("MEMORY", "1048576")
        #expect(
            try refusal { drop(try memory()) }.message
                == "1048576 of the GPU's 1048576 bytes are free")
    }

    /// Each call fails in turn, and nothing is left.
    @Test(arguments: amdExports) func aFailureOfAnyCallLeavesNothingOfAMD(setting: String?) throws {
        var failures = 0
        for name in [
            "cuInit", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceGetPCIBusId",
            "cuDeviceTotalMem_v2", "cuMemAlloc_v2", "cuMemGetHandleForAddressRange",
            "cuStreamCreate", "cuMemHostRegister_v2", "cuMemcpyDtoHAsync_v2",
            "cuMemcpyHtoDAsync_v2", "cuStreamSynchronize",
        ] {
            cuda_stand_in_reset()
            fail("FAIL", "\(name):1=999")
            do {
                let memory = try memory(2 << 20, setting)
                try memory.withWritableBytes { $0[1] = 2 }
                #expect(try memory.withDeviceBytes { $0[1] } == 2)
            } catch {
                failures += 1
            }
            #expect(cuda_stand_in_live() == 0, "\(name)")
        }
        // Registration may fail; of two ways to export one is left.
        #expect(failures >= 10)
        rocm_stand_in_set(nil)
    }
}
