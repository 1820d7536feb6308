import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// Allocates memory of an NVIDIA GPU and exports it as a dma-buf. The CPU accesses it by copies only.
struct CUDAMemoryMaker: DmabufMaker {
    let choice: GPUChoice
    /// The driver; nil for that of this process.
    var driver: CUDADriver?

    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory {
        let driver = try usedDriver()
        let gpus = try driver.gpus()
        let gpu = try choice.choose(from: gpus, near: try choice.nic(for: request.interface))
        let call = "make a dma-buf of \(request.size) bytes of \(gpu.text)"
        try driver.checkExport(of: gpu, call)
        let length = try GPU.length(of: request.size, call)
        let context = try CUDAContext(gpu, driver)
        let made = try CUDAAllocation.exported(length, context, call)
        let memory = try CUDAMemory(made.allocation, context)
        return DmabufMemory(
            descriptor: made.descriptor, length: length, device: memory, origin: gpu.text)
    }

    private func usedDriver() throws(DevmemError) -> CUDADriver {
        if let driver { return driver }
        return try CUDADriver.shared.get()
    }
}

extension CUDADriver {
    /// Refuses a GPU whose memory cannot be exported.
    fileprivate func checkExport(of gpu: GPU, _ call: String) throws(DevmemError) {
        guard calls.cuMemGetHandleForAddressRange != nil else {
            throw DevmemError(
                .unsupported, call: call,
                message: "the driver supports CUDA \(versionText) and exports no dma-bufs",
                advice: "update NVIDIA's driver; dma-bufs need \(Self.neededDriver)")
        }
        guard gpu.exportsDmabufs else {
            throw DevmemError(
                .unsupported, call: call, message: "the driver exports no dma-bufs of this GPU",
                advice:
                    """
                    load NVIDIA's open kernel modules (modinfo -F license nvidia: Dual MIT/GPL); \
                    they need Linux 5.12 and a GPU from Turing on
                    """)
        }
    }
}

/// The primary context of a GPU, which all of a process share; released when it goes away.
final class CUDAContext: Sendable {
    let driver: CUDADriver
    let gpu: GPU
    // The driver's, for any thread.
    nonisolated(unsafe) private let context: cdm_CUcontext

    /// Retains the context.
    ///
    /// - Throws: `DevmemError` if the driver fails.
    init(_ gpu: GPU, _ driver: CUDADriver) throws(DevmemError) {
        var context: cdm_CUcontext?
        let call = "use \(gpu.text)"
        try driver.calls.check(driver.calls.cuDevicePrimaryCtxRetain(&context, gpu.device), call)
        guard let context else {
            throw DevmemError(.malformed, call: call, message: "there is no context")
        }
        self.driver = driver
        self.gpu = gpu
        self.context = context
    }

    deinit {
        guard driver.process.isThis else { return }
        _ = driver.calls.cuDevicePrimaryCtxRelease(gpu.device)
    }

    /// Makes calls in this context, and leaves the thread with the one that it had.
    ///
    /// - Parameters:
    ///   - call: what is done, for errors.
    ///   - body: makes the calls.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `invalid` in a child of fork(2), or if the driver fails, and
    ///   what `body` throws.
    func withCurrent<Result: ~Copyable>(
        _ call: @autoclosure () -> String, _ body: (CUDACalls) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        try driver.process.check(call())
        let calls = driver.calls
        try calls.check(calls.cuCtxPushCurrent(context), call())
        defer {
            var popped: cdm_CUcontext?
            _ = calls.cuCtxPopCurrent(&popped)
        }
        return try body(calls)
    }
}

/// Memory of a GPU, with one owner; freed when it goes away.
struct CUDAAllocation: ~Copyable, Sendable {
    private enum Kind {
        /// Of cuMemAlloc.
        case plain
        /// Of cuMemCreate and cuMemMap.
        case mapped
    }

    /// Memory and the dma-buf of it.
    struct Exported: ~Copyable {
        let allocation: CUDAAllocation
        let descriptor: Descriptor
    }

    private let context: CUDAContext
    private let kind: Kind
    /// The first address.
    let address: cdm_CUdeviceptr
    /// Bytes.
    let size: Int

    private init(_ context: CUDAContext, _ kind: Kind, _ address: cdm_CUdeviceptr, _ size: Int) {
        self.context = context
        self.kind = kind
        self.address = address
        self.size = size
    }

    deinit {
        let (kind, address, size) = (kind, address, size)
        // Nothing can be done about an error; in a child of fork(2) the memory is the parent's.
        try? context.withCurrent("free memory") { calls throws(DevmemError) in
            switch kind {
            case .plain: _ = calls.cuMemFree(address)
            case .mapped:
                _ = calls.cuMemUnmap(address, size)
                _ = calls.cuMemAddressFree(address, size)
            }
        }
    }

    /// Allocates memory and exports it. Where the driver does not export ordinary memory, it may
    /// export memory that was made for other devices.
    ///
    /// - Parameters:
    ///   - size: bytes, a multiple of `GPU.pageSize`.
    ///   - context: the GPU's.
    ///   - call: what is done, for errors.
    /// - Returns: the memory and the dma-buf.
    /// - Throws: `DevmemError` of kind `system` with `ENOMEM` if the GPU has too little memory,
    ///   `unsupported` if the driver exports neither.
    static func exported(
        _ size: Int, _ context: CUDAContext, _ call: String
    ) throws(DevmemError) -> Exported {
        let memory = try plain(size, context, call)
        let refusal: DevmemError
        do throws(DevmemError) {
            let descriptor = try memory.export(call)
            return Exported(allocation: memory, descriptor: descriptor)
        } catch {
            refusal = error
        }
        drop(memory)
        guard try context.mapsMemoryForDevices() else { throw refusal }
        let other = try mapped(size, context, call)
        let descriptor = try other.export(call)
        return Exported(allocation: other, descriptor: descriptor)
    }

    /// Allocates ordinary memory.
    static func plain(
        _ size: Int, _ context: CUDAContext, _ call: String
    ) throws(DevmemError) -> CUDAAllocation {
        var address: cdm_CUdeviceptr = 0
        try context.withCurrent(call) { calls throws(DevmemError) in
            try context.check(calls.cuMemAlloc(&address, size), call)
        }
        return CUDAAllocation(context, .plain, address, size)
    }

    private static func mapped(
        _ size: Int, _ context: CUDAContext, _ call: String
    ) throws(DevmemError) -> CUDAAllocation {
        var properties = cdm_CUmemAllocationProp()
        properties.type = cdm_CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = cdm_CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = context.gpu.ordinal
        properties.allocFlags.gpuDirectRDMACapable = 1
        return try context.withCurrent(call) { calls throws(DevmemError) in
            var step = 0
            try context.check(
                calls.cuMemGetAllocationGranularity(
                    &step, &properties, cdm_CU_MEM_ALLOC_GRANULARITY_RECOMMENDED), call)
            let past = step > 0 ? size % step : 0
            let (whole, overflow) = size.addingReportingOverflow(past > 0 ? step - past : 0)
            guard !overflow else {
                throw DevmemError(.invalid, call: call, message: "the size is impossible")
            }
            var handle: cdm_CUmemGenericAllocationHandle = 0
            try context.check(calls.cuMemCreate(&handle, whole, &properties, 0), call)
            // The mapping holds the memory.
            defer { _ = calls.cuMemRelease(handle) }
            var address: cdm_CUdeviceptr = 0
            try context.check(calls.cuMemAddressReserve(&address, whole, step, 0, 0), call)
            let result = calls.cuMemMap(address, whole, 0, handle, 0)
            guard result == cdm_CUDA_SUCCESS else {
                _ = calls.cuMemAddressFree(address, whole)
                throw context.failure(result, call)
            }
            let allocation = CUDAAllocation(context, .mapped, address, whole)
            var access = cdm_CUmemAccessDesc(
                location: properties.location, flags: cdm_CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            try context.check(calls.cuMemSetAccess(address, whole, &access, 1), call)
            return allocation
        }
    }

    /// Exports the memory as a dma-buf, for access by PCIe if the driver distinguishes that: some
    /// GPUs have another way to the CPU, which a NIC cannot take.
    private borrowing func export(_ call: String) throws(DevmemError) -> Descriptor {
        let (address, size, context) = (address, size, context)
        return try context.withCurrent(call) { calls throws(DevmemError) in
            guard let export = calls.cuMemGetHandleForAddressRange else {
                throw context.failure(cdm_CUDA_ERROR_NOT_SUPPORTED, call)
            }
            var result = cdm_CUDA_ERROR_NOT_SUPPORTED
            for flags in context.exportFlags {
                var number: Int32 = -1
                result = export(
                    &number, address, size, cdm_CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, flags)
                guard result != cdm_CUDA_SUCCESS else {
                    let descriptor = Descriptor(owning: number)
                    try retrying(call) { cdm_fcntl(number, F_SETFD, Int(FD_CLOEXEC)) }
                    return descriptor
                }
            }
            throw context.failure(result, "export memory of \(context.gpu.text)")
        }
    }
}

extension CUDAContext {
    /// Returns whether memory can be made for access by other devices.
    fileprivate func mapsMemoryForDevices() throws(DevmemError) -> Bool {
        let maps = try driver.attribute(
            cdm_CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, of: gpu.device)
        let reaches = try driver.attribute(
            cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, of: gpu.device)
        return maps > 0 && reaches > 0
    }

    /// The flags to export memory with, in the order of preference.
    fileprivate var exportFlags: [UInt64] {
        driver.version >= 12080 ? [cdm_CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE, 0] : [0]
    }

    /// Returns whether the GPU sees what a NIC wrote only after a flush.
    fileprivate func needsFlush() throws(DevmemError) -> Bool {
        let ordering = try driver.attribute(
            cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING, of: gpu.device)
        let options = try driver.attribute(
            cdm_CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS, of: gpu.device)
        return ordering < Int32(cdm_CU_GPU_DIRECT_RDMA_WRITES_ORDERING_OWNER)
            && UInt32(bitPattern: options) & cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST != 0
    }

    /// Makes the GPU see what a NIC wrote.
    func flushWrites(_ calls: CUDACalls, _ call: String) throws(DevmemError) {
        guard let flush = calls.cuFlushGPUDirectRDMAWrites else { return }
        try check(
            flush(
                cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX,
                cdm_CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER), call)
    }

    /// Throws if a call failed; it must be made in this context.
    func check(
        _ result: UInt32, _ call: @autoclosure () -> String
    ) throws(DevmemError) {
        if result != cdm_CUDA_SUCCESS { throw failure(result, call()) }
    }

    /// Describes a failed call; for want of memory, with what is free.
    func failure(_ result: UInt32, _ call: String) -> DevmemError {
        let error = driver.calls.failure(result, call)
        guard result == cdm_CUDA_ERROR_OUT_OF_MEMORY else { return error }
        return error.ofFullGPU(shownBy: "nvidia-smi") {
            driver.calls.cuMemGetInfo(&$0, &$1) == cdm_CUDA_SUCCESS
        }
    }
}

/// Copies between the memory of a GPU, which it holds, and host memory.
final class CUDAMemory: DeviceCopies {
    // The first of these goes away first: what may still use the memory before the memory.
    private let patterns = Mutex(Patterns.untried)
    private let stream: CUDAStream
    private let allocation: CUDAAllocation
    private let context: CUDAContext
    private let needsFlush: Bool

    /// The kernels for this memory.
    private enum Patterns {
        case untried
        case ready(CUDAPatterns)
        case refused
    }

    fileprivate init(
        _ allocation: consuming CUDAAllocation, _ context: CUDAContext
    ) throws(DevmemError) {
        let needsFlush = try context.needsFlush()
        stream = try CUDAStream(context)
        self.allocation = allocation
        self.context = context
        self.needsFlush = needsFlush
    }

    func patterns(with bytes: [UInt8]) throws(DevmemError) -> (any DevicePatterns)? {
        try patterns.withLock { patterns throws(DevmemError) in
            switch patterns {
            case .ready(let made): return made
            case .refused: return nil
            case .untried:
                patterns = .refused
                let made = try CUDAPatterns(
                    CUDAPatterns.Target(
                        context: context, address: allocation.address, size: allocation.size,
                        needsFlush: needsFlush), with: bytes)
                patterns = .ready(made)
                return made
            }
        }
    }

    /// Registers the memory with the driver. A copy to or from other memory is made by the driver in
    /// two steps while the caller waits; this one only costs time if it is refused.
    func prepare(_ host: UnsafeMutableRawBufferPointer) -> (any PreparedHostMemory)? {
        guard let base = host.baseAddress else { return nil }
        do throws(DevmemError) {
            try context.withCurrent("register host memory") { calls throws(DevmemError) in
                try context.check(
                    calls.cuMemHostRegister(base, host.count, cdm_CU_MEMHOSTREGISTER_PORTABLE),
                    "register host memory")
            }
            return RegisteredHostMemory(context: context, base: base)
        } catch {
            return nil
        }
    }

    func copyOut(
        _ ranges: [MemoryRange], to host: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) {
        let call = "copy from \(context.gpu.text)"
        try context.withCurrent(call) { calls throws(DevmemError) in
            if needsFlush { try context.flushWrites(calls, call) }
            try copy(MemoryRange.joined(ranges), within: host.count, calls, call) { range in
                calls.cuMemcpyDtoHAsync(
                    host.baseAddress.map { $0 + range.offset },
                    allocation.address + UInt64(range.offset), range.count, stream.handle)
            }
        }
    }

    func copyIn(_ range: MemoryRange, from host: UnsafeRawBufferPointer) throws(DevmemError) {
        let call = "copy to \(context.gpu.text)"
        try context.withCurrent(call) { calls throws(DevmemError) in
            try copy([range], within: host.count, calls, call) { range in
                calls.cuMemcpyHtoDAsync(
                    allocation.address + UInt64(range.offset),
                    host.baseAddress.map { $0 + range.offset }, range.count, stream.handle)
            }
        }
    }

    /// Starts copies, and waits until they are done, whether or not all could be started: the memory
    /// may be used for something else then.
    private func copy(
        _ ranges: [MemoryRange], within limit: Int, _ calls: CUDACalls, _ call: String,
        _ start: (MemoryRange) -> UInt32
    ) throws(DevmemError) {
        var result = cdm_CUDA_SUCCESS
        for range in ranges where range.count > 0 {
            let isInside = range.isWithin(min(limit, allocation.size))
            result = isInside ? start(range) : cdm_CUDA_ERROR_INVALID_VALUE
            guard result == cdm_CUDA_SUCCESS else { break }
        }
        let end = calls.cuStreamSynchronize(stream.handle)
        try context.check(result, call)
        try context.check(end, call)
    }
}

/// Host memory that is registered with the driver.
private struct RegisteredHostMemory: PreparedHostMemory {
    let context: CUDAContext
    // Only its address is used, to name the memory.
    nonisolated(unsafe) let base: UnsafeMutableRawPointer

    func end() {
        try? context.withCurrent("unregister host memory") { calls throws(DevmemError) in
            _ = calls.cuMemHostUnregister(base)
        }
    }
}

/// Ends the life of an allocation here and not later.
private func drop(_ allocation: consuming CUDAAllocation) {}
