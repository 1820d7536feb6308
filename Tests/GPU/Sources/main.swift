import CDevmem
import Glibc

@testable import DevmemCore

// Checks the memory of each GPU of this host, and measures how fast it is used. Reports in TAP; ends with 1 if a check
// failed.
// Usage: gpu-check [REPETITIONS]

let given = CommandLine.arguments.dropFirst().first
let repetitions = given.map { Int($0) ?? 0 } ?? 1000
guard repetitions > 0 else {
    print("Bail out! \(given ?? "") is no number of repetitions")
    exit(64)
}
var number = 0
var failed = 0

/// Prints what was found as a test of TAP.
@MainActor func report(_ name: String, _ run: () throws -> [String]) {
    number += 1
    do {
        let lines = try run()
        print("ok \(number) \(name)")
        for line in lines { print("#   \(line)") }
    } catch {
        failed += 1
        print("not ok \(number) \(name)")
        print("#   \(error)")
    }
    // What comes next may end the program.
    fflush(nil)
}

/// The driver's own functions, for the other driver.
enum Real {
    typealias Retain =
        @convention(c) (
            UnsafeMutablePointer<cdm_CUmemGenericAllocationHandle>, UnsafeMutableRawPointer?
        ) -> UInt32

    static func find<Call>(_ name: String, _: Call.Type) -> Call? {
        dlopen(CUDADriver.library, RTLD_NOW).flatMap { dlsym($0, name) }
            .map { unsafeBitCast($0, to: Call.self) }
    }

    static let export = find(
        "cuMemGetHandleForAddressRange", cdm_cuMemGetHandleForAddressRange.self)
    static let retain = find("cuMemRetainAllocationHandle", Retain.self)
    static let release = find("cuMemRelease", cdm_cuMemRelease.self)
}

/// Exports only memory that was made for other devices, so that the library has to make that.
let exportOfMapped: cdm_cuMemGetHandleForAddressRange = { result, address, size, type, flags in
    var handle: cdm_CUmemGenericAllocationHandle = 0
    guard let export = Real.export, let retain = Real.retain, let release = Real.release,
        retain(&handle, UnsafeMutableRawPointer(bitPattern: UInt(address))) == cdm_CUDA_SUCCESS
    else { return cdm_CUDA_ERROR_NOT_SUPPORTED }
    _ = release(handle)
    return export(result, address, size, type, flags)
}

do {
    let driver = try CUDADriver.shared.get()
    let other = try CUDADriver { name in
        guard let handle = dlopen(CUDADriver.library, RTLD_NOW) else { return nil }
        if name == "cuMemGetHandleForAddressRange", dlsym(handle, name) != nil {
            return unsafeBitCast(exportOfMapped, to: UnsafeMutableRawPointer.self)
        }
        return dlsym(handle, name)
    }
    print("TAP version 13")
    print("# CUDA \(driver.versionText)")
    for gpu in try driver.gpus() {
        print(
            "# \(gpu.text), \(gpu.uuid), \(gpu.memory) bytes, exports dma-bufs: \(gpu.exportsDmabufs)"
        )
        print(
            "# \(gpu.path ?? "no place in sysfs"), NUMA node \(gpu.numaNode.map(String.init) ?? "unknown")"
        )
        for (name, value) in [
            ("virtual memory management", 102), ("RDMA of it", 110), ("RDMA", 116),
            ("flush options", 117), ("writes ordering", 118), ("dma-buf", 124),
        ] as [(String, UInt32)] {
            print("# attribute \(value), \(name): \(try driver.attribute(value, of: gpu.device))")
        }
        // kHz, twice a clock, and bits.
        let clock = try driver.attribute(36, of: gpu.device)
        let width = try driver.attribute(37, of: gpu.device)
        print(
            "# memory: \(clock) kHz, \(width) bits: \(Double(clock) * 2 * Double(width) / 8 / 1e6) GB/s at most"
        )
        for (kind, driver) in [("ordinary memory", driver), ("memory made for devices", other)] {
            let checks = try GPUChecks(
                driver: driver, gpu: gpu, size: 64 << 20, repetitions: repetitions)
            for check in GPUChecks.all {
                report("\(kind): \(check.name)") { try check.run(checks) }
            }
            report("\(kind): bandwidths of 1 GiB") {
                try checks.bandwidths(size: 1 << 30, runs: 11)
            }
        }
    }
    print("1..\(number)")
} catch {
    print("Bail out! \(error)")
    exit(1)
}
exit(failed == 0 && number > 0 ? 0 : 1)
