import CUDAStandIn
import Testing

@testable import DevmemCore

/// What scripts/gpu checks on a card, with the lab's stand-in. Two of the checks need a dma-buf, which here is a memfd, and
/// a process without other tests.
extension CUDAMemoryTests {
    private static let checks = [
        "the GPU fills, and the GPU and the CPU find it equal",
        "one wrong byte is found where it is", "what is copied in comes out",
        "too much memory is refused in clear words",
    ]

    private func run(_ name: String) throws -> [String] {
        let driver = try CUDADriver { cuda_stand_in_symbol($0) }
        let gpu = try #require(try driver.gpus().first)
        let check = try #require(GPUChecks.all.first { $0.name == name })
        return try check.run(
            GPUChecks(driver: driver, gpu: gpu, size: 2 << 20, repetitions: 1))
    }

    @Test(arguments: checks, ["", "plain pcie"])
    func aGPUPassesTheChecks(name: String, lacks: String) throws {
        cuda_stand_in_set("CUDA_STAND_IN_WITHOUT", lacks)
        #expect(try !run(name).isEmpty)
        #expect(cuda_stand_in_live() == 0)
    }

    /// A call of the driver that fails in a check fails the check.
    @Test(arguments: [
        ("the GPU fills, and the GPU and the CPU find it equal", "cuLaunchKernel:1=719"),
        ("one wrong byte is found where it is", "cuLaunchKernel:3=719"),
        ("what is copied in comes out", "cuMemcpyDtoHAsync_v2:1=999"),
        ("too much memory is refused in clear words", "cuMemAlloc_v2:1=999"),
    ])
    func aGPUThatFailsDoesNotPass(name: String, failure: String) throws {
        cuda_stand_in_set("CUDA_STAND_IN_FAIL", failure)
        #expect(throws: (any Error).self) { try run(name) }
    }
}
