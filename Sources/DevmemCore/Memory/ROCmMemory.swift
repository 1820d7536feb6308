import CDevmem
import Glibc
import SystemPackage

/// Allocates memory of an AMD GPU and exports it as a dma-buf. The CPU accesses it by copies only. It
/// has not been tested on hardware.
struct ROCmMemoryMaker: DmabufMaker {
    let choice: GPUChoice
    /// The runtime; nil for that of this process.
    var driver: ROCmDriver?

    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory {
        let driver = try usedDriver()
        let gpus = try driver.gpus()
        let gpu = try choice.choose(from: gpus, near: try choice.nic(for: request.interface))
        let call = "make a dma-buf of \(request.size) bytes of \(gpu.text)"
        guard gpu.exportsDmabufs else {
            throw DevmemError(
                .unsupported, call: call, message: "the driver exports no dma-bufs",
                advice:
                    """
                    dma-bufs need \(ROCmDriver.neededDriver), and a kernel with \
                    CONFIG_HSA_AMD_P2P and CONFIG_DMABUF_MOVE_NOTIFY
                    """)
        }
        let length = try GPU.length(of: request.size, call)
        let device = ROCmDevice(driver: driver, gpu: gpu)
        let allocation = try ROCmAllocation(length, device, call)
        let descriptor = try allocation.export(call)
        let memory = try ROCmMemory(allocation, device)
        return DmabufMemory(
            descriptor: descriptor, length: length, device: memory, origin: gpu.text)
    }

    private func usedDriver() throws(DevmemError) -> ROCmDriver {
        if let driver { return driver }
        return try ROCmDriver.shared.get()
    }
}

/// A GPU as threads use it.
struct ROCmDevice: Sendable {
    let driver: ROCmDriver
    let gpu: GPU

    /// Makes calls for this GPU, and leaves the thread with the one that it had.
    ///
    /// - Parameters:
    ///   - call: what is done, for errors.
    ///   - body: makes the calls.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `invalid` in a child of fork(2), or if the runtime fails, and
    ///   what `body` throws.
    func withCurrent<Result: ~Copyable>(
        _ call: @autoclosure () -> String, _ body: (ROCmCalls) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try driver.process.check(call())
        let calls = driver.calls
        var before: Int32 = 0
        try calls.check(calls.hipGetDevice(&before), call())
        try calls.check(calls.hipSetDevice(gpu.device), call())
        defer { _ = calls.hipSetDevice(before) }
        return try body(calls)
    }

    /// Throws if a call failed; for want of memory, with what is free. It must be made for this GPU.
    func check(_ result: UInt32, _ call: @autoclosure () -> String) throws(DevmemError) {
        guard result != cdm_hipSuccess else { return }
        let error = driver.calls.failure(result, call())
        guard result == cdm_hipErrorOutOfMemory else { throw error }
        throw error.ofFullGPU(shownBy: "amd-smi") {
            driver.calls.hipMemGetInfo(&$0, &$1) == cdm_hipSuccess
        }
    }
}

/// Memory of a GPU, with one owner; freed when it goes away.
struct ROCmAllocation: ~Copyable, Sendable {
    private let device: ROCmDevice
    /// The first address.
    let address: UInt
    /// Bytes.
    let size: Int

    init(_ size: Int, _ device: ROCmDevice, _ call: String) throws(DevmemError) {
        var pointer: UnsafeMutableRawPointer?
        try device.withCurrent(call) { calls throws(DevmemError) in
            try device.check(calls.hipMalloc(&pointer, size), call)
        }
        address = UInt(bitPattern: pointer)
        self.size = size
        self.device = device
    }

    deinit {
        let address = address
        // Nothing can be done about an error; in a child of fork(2) the memory is the parent's.
        try? device.withCurrent("free memory") { calls throws(DevmemError) in
            _ = calls.hipFree(UnsafeMutableRawPointer(bitPattern: address))
        }
    }

    /// Exports the memory as a dma-buf. A NIC fills all of a dma-buf, so that one of more memory than
    /// this is refused.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the runtime exports none of exactly this.
    borrowing func export(_ call: String) throws(DevmemError) -> Descriptor {
        let (address, size, device) = (address, size, device)
        let descriptor = try device.withCurrent(call) { calls throws(DevmemError) in
            try Self.export(UnsafeMutableRawPointer(bitPattern: address), size, device, calls)
        }
        try retrying(call) { cdm_fcntl(descriptor.rawValue, F_SETFD, Int(FD_CLOEXEC)) }
        let exported = try retrying(call) { lseek(descriptor.rawValue, 0, SEEK_END) }
        guard exported == size else {
            throw DevmemError(
                .unsupported, call: call,
                message: "the dma-buf has \(exported) bytes: those of other memory too")
        }
        return descriptor
    }

    private static func export(
        _ pointer: UnsafeMutableRawPointer?, _ size: Int, _ device: ROCmDevice, _ calls: ROCmCalls
    ) throws(DevmemError) -> Descriptor {
        let call = "export memory of \(device.gpu.text)"
        var number: Int32 = -1
        var result = cdm_hipErrorNotSupported
        if let export = calls.hipMemGetHandle {
            result = export(&number, pointer, size, cdm_hipMemRangeHandleTypeDmaBufFd, 0)
            if result == cdm_hipSuccess { return Descriptor(owning: number) }
        }
        if let export = calls.hsaExport {
            var offset: UInt64 = 0
            let status = export(pointer, size, &number, &offset)
            guard status == cdm_HSA_STATUS_SUCCESS else {
                throw DevmemError(
                    .unsupported, call: call,
                    message: "HSA status 0x\(String(status, radix: 16))")
            }
            let descriptor = Descriptor(owning: number)
            guard offset == 0 else {
                throw DevmemError(
                    .unsupported, call: call, message: "it begins \(offset) bytes into a dma-buf")
            }
            return descriptor
        }
        throw calls.failure(result, call)
    }
}

/// Copies between the memory of a GPU, which it holds, and host memory.
final class ROCmMemory: DeviceCopies {
    private let device: ROCmDevice
    private let allocation: ROCmAllocation
    // The runtime's, for any thread.
    nonisolated(unsafe) private let stream: cdm_hipStream_t

    fileprivate init(
        _ allocation: consuming ROCmAllocation, _ device: ROCmDevice
    ) throws(DevmemError) {
        let call = "use \(device.gpu.text)"
        var stream: cdm_hipStream_t?
        try device.withCurrent(call) { calls throws(DevmemError) in
            try device.check(
                calls.hipStreamCreateWithFlags(&stream, cdm_hipStreamNonBlocking), call)
        }
        guard let stream else {
            throw DevmemError(.malformed, call: call, message: "there is no stream")
        }
        self.stream = stream
        self.allocation = allocation
        self.device = device
    }

    deinit {
        let stream = stream
        try? device.withCurrent("free memory") { calls throws(DevmemError) in
            _ = calls.hipStreamDestroy(stream)
        }
    }

    /// Registers the memory with the runtime, so that copies need no memory between; it only costs
    /// time if that is refused.
    func prepare(_ host: UnsafeMutableRawBufferPointer) -> (any PreparedHostMemory)? {
        guard let base = host.baseAddress else { return nil }
        let call = "register host memory"
        do throws(DevmemError) {
            try device.withCurrent(call) { calls throws(DevmemError) in
                try device.check(
                    calls.hipHostRegister(base, host.count, cdm_hipHostRegisterPortable), call)
            }
            return RegisteredHostMemory(device: device, base: base)
        } catch {
            return nil
        }
    }

    func copyOut(
        _ ranges: [MemoryRange], to host: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) {
        try copy(
            MemoryRange.joined(ranges), within: host.count, "copy from \(device.gpu.text)"
        ) { calls, address, range in
            calls.hipMemcpyAsync(
                host.baseAddress.map { $0 + range.offset }, address, range.count,
                cdm_hipMemcpyDeviceToHost, stream)
        }
    }

    func copyIn(_ range: MemoryRange, from host: UnsafeRawBufferPointer) throws(DevmemError) {
        try copy([range], within: host.count, "copy to \(device.gpu.text)") {
            calls, address, range in
            calls.hipMemcpyAsync(
                address, host.baseAddress.map { $0 + range.offset }, range.count,
                cdm_hipMemcpyHostToDevice, stream)
        }
    }

    /// Starts copies, and waits until they are done, whether or not all could be started: the memory
    /// may be used for something else then.
    private func copy(
        _ ranges: [MemoryRange], within limit: Int, _ call: String,
        _ start: (ROCmCalls, UnsafeMutableRawPointer?, MemoryRange) -> UInt32
    ) throws(DevmemError) {
        try device.withCurrent(call) { calls throws(DevmemError) in
            var result = cdm_hipSuccess
            for range in ranges where range.count > 0 {
                guard range.isWithin(min(limit, allocation.size)) else {
                    result = cdm_hipErrorInvalidValue
                    break
                }
                let place = allocation.address + UInt(range.offset)
                result = start(calls, UnsafeMutableRawPointer(bitPattern: place), range)
                guard result == cdm_hipSuccess else { break }
            }
            let end = calls.hipStreamSynchronize(stream)
            try device.check(result, call)
            try device.check(end, call)
        }
    }
}

/// Host memory that is registered with the runtime.
private struct RegisteredHostMemory: PreparedHostMemory {
    let device: ROCmDevice
    // Only its address is used, to name the memory.
    nonisolated(unsafe) let base: UnsafeMutableRawPointer

    func end() {
        try? device.withCurrent("unregister host memory") { calls throws(DevmemError) in
            _ = calls.hipHostUnregister(base)
        }
    }
}
