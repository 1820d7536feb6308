import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// Compares and fills memory of a GPU by kernels (`CUDAKernels`).
///
/// A comparison is a launch, a copy of 16 bytes, and a wait, whatever the number of ranges: some 40
/// microseconds for 1000 pages on an H200, which could read them in one.
final class CUDAPatterns: DevicePatterns {
    /// The memory, which whoever owns this object holds.
    struct Target: Sendable {
        let context: CUDAContext
        let address: cdm_CUdeviceptr
        /// Bytes.
        let size: Int
        /// Whether the GPU sees what a NIC wrote only after a flush.
        let needsFlush: Bool
    }

    /// What threads have used and others may use again; at most one for each thread that compares at
    /// the same time. It goes away before the rest.
    private let idle: Mutex<[CUDAWorkspace]>
    private let module: CUDAModule
    private let target: Target

    /// Loads the kernels.
    ///
    /// - Parameters:
    ///   - target: the memory.
    ///   - bytes: one period of the pattern that is likely to come.
    /// - Throws: `DevmemError` if the driver refuses them.
    init(_ target: Target, with bytes: [UInt8]) throws(DevmemError) {
        let module = try CUDAModule(target.context)
        let workspace = try CUDAWorkspace(target.context, for: bytes)
        self.target = target
        self.module = module
        idle = Mutex([workspace])
    }

    func compare(
        _ ranges: [PlacedRange], with bytes: [UInt8]
    ) throws(DevmemError) -> PatternDifference {
        let call = "compare memory of \(target.context.gpu.text)"
        return try run(module.compare, over: ranges, with: bytes, call) {
            workspace, calls throws(DevmemError) in
            let difference = workspace.difference
            if difference.wrongBytes > 0 { try workspace.resetResult(calls, call) }
            return difference
        } ?? PatternDifference()
    }

    func fill(_ ranges: [PlacedRange], with bytes: [UInt8]) throws(DevmemError) {
        let call = "fill memory of \(target.context.gpu.text)"
        try run(module.fill, over: ranges, with: bytes, call) { _, _ in }
    }

    /// Runs a kernel.
    ///
    /// - Parameters:
    ///   - kernel: the kernel.
    ///   - ranges: the memory.
    ///   - bytes: one period of the pattern.
    ///   - call: what is done, for errors.
    ///   - body: called afterwards with what the kernel used.
    /// - Returns: the result of `body`; nil if there is nothing to run it over.
    /// - Throws: `DevmemError` if the driver fails, and what `body` throws.
    private func run<Result>(
        _ kernel: cdm_CUfunction, over ranges: [PlacedRange], with bytes: [UInt8], _ call: String,
        _ body: (CUDAWorkspace, CUDACalls) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result? {
        let context = target.context
        // A kernel that reads elsewhere ends the use of the GPU by this process.
        guard !bytes.isEmpty, ranges.allSatisfy({ $0.range.isWithin(target.size) }) else {
            throw context.driver.calls.failure(cdm_CUDA_ERROR_INVALID_VALUE, call)
        }
        let pieces = CUDAPiece.pieces(of: ranges, period: bytes.count)
        guard !pieces.isEmpty else { return nil }
        let workspace = try workspace(for: bytes)
        let result = try context.withCurrent(call) { calls throws(DevmemError) in
            if target.needsFlush { try context.flushWrites(calls, call) }
            for first in stride(from: 0, to: pieces.count, by: CUDAWorkspace.capacity) {
                let some = pieces[first..<min(first + CUDAWorkspace.capacity, pieces.count)]
                try workspace.run(kernel, over: some, at: target.address, calls, call)
            }
            return try body(workspace, calls)
        }
        // After an error it is not used again.
        idle.withLock { $0.append(workspace) }
        return result
    }

    private func workspace(for bytes: [UInt8]) throws(DevmemError) -> CUDAWorkspace {
        let found = idle.withLock { idle -> CUDAWorkspace? in
            if let place = idle.lastIndex(where: { $0.bytes == bytes }) {
                return idle.remove(at: place)
            }
            // A pattern seldom comes again after another.
            idle.removeAll()
            return nil
        }
        if let found { return found }
        return try CUDAWorkspace(target.context, for: bytes)
    }
}

/// What a kernel needs beside the memory: pieces, which it reads in host memory, and in the GPU the
/// table of the pattern and the result.
private final class CUDAWorkspace: Sendable {
    /// The most pieces of one launch, 16 MiB: a receive call returns some 1000 fragments, most of them
    /// a page.
    static let capacity = 4096
    /// In both memories the result is first; in the host's, what it begins with follows.
    private static let resultSize = 16
    private static let piecesOffset = 2 * resultSize

    /// One period of the pattern.
    let bytes: [UInt8]
    private let context: CUDAContext
    // It goes away before the memory that it may still use.
    private let stream: CUDAStream
    private let host: CUDAHostMemory
    private let memory: CUDAAllocation

    init(_ context: CUDAContext, for bytes: [UInt8]) throws(DevmemError) {
        let call = "use \(context.gpu.text)"
        let words = CUDAPiece.words(of: bytes)
        let stream = try CUDAStream(context)
        let host = try CUDAHostMemory(
            Self.piecesOffset + Self.capacity * CUDAPiece.stored, context)
        let memory = try CUDAAllocation.plain(Self.resultSize + words.count * 8, context, call)
        host.bytes.storeBytes(of: 0, toByteOffset: Self.resultSize, as: UInt64.self)
        host.bytes.storeBytes(of: .max, toByteOffset: Self.resultSize + 8, as: UInt64.self)
        try context.withCurrent(call) { calls throws(DevmemError) in
            let (result, end) = words.withUnsafeBytes { words in
                (
                    calls.cuMemcpyHtoDAsync(
                        memory.address + UInt64(Self.resultSize), words.baseAddress, words.count,
                        stream.handle), calls.cuStreamSynchronize(stream.handle)
                )
            }
            try context.check(result, call)
            try context.check(end, call)
        }
        self.bytes = bytes
        self.context = context
        self.stream = stream
        self.host = host
        self.memory = memory
        try context.withCurrent(call) { calls throws(DevmemError) in
            try resetResult(calls, call)
        }
    }

    /// The result of the last run, as the GPU left it.
    var difference: PatternDifference {
        var difference = PatternDifference()
        difference.wrongBytes = host.bytes.load(as: UInt64.self)
        guard difference.wrongBytes > 0 else { return difference }
        let first = host.bytes.load(fromByteOffset: 8, as: UInt64.self)
        difference.position = first >> 8
        difference.found = UInt8(truncatingIfNeeded: first)
        return difference
    }

    /// Makes the result in the GPU that of equal memory.
    func resetResult(_ calls: CUDACalls, _ call: String) throws(DevmemError) {
        let result = calls.cuMemcpyHtoDAsync(
            memory.address, host.bytes.baseAddress.map { $0 + Self.resultSize }, Self.resultSize,
            stream.handle)
        let end = calls.cuStreamSynchronize(stream.handle)
        try context.check(result, call)
        try context.check(end, call)
    }

    /// Runs a kernel once, fetches the result, and waits.
    ///
    /// - Parameters:
    ///   - kernel: the kernel.
    ///   - pieces: at least one, and not more than fit.
    ///   - address: of the memory that they are of.
    ///   - calls: the driver, with the context current.
    ///   - call: what is done, for errors.
    /// - Throws: `DevmemError` if the driver fails.
    func run(
        _ kernel: cdm_CUfunction, over pieces: ArraySlice<CUDAPiece>, at address: cdm_CUdeviceptr,
        _ calls: CUDACalls, _ call: String
    ) throws(DevmemError) {
        for (place, piece) in pieces.enumerated() {
            guard let base = host.bytes.baseAddress else { break }
            piece.store(to: base + Self.piecesOffset + place * CUDAPiece.stored)
        }
        let words = memory.address + UInt64(Self.resultSize)
        var result = launch(
            kernel, UInt32(pieces.count), calls,
            [
                address, host.address + UInt64(Self.piecesOffset), words, memory.address,
                UInt64(bytes.count),
            ])
        if result == cdm_CUDA_SUCCESS {
            result = calls.cuMemcpyDtoHAsync(
                host.bytes.baseAddress, memory.address, Self.resultSize, stream.handle)
        }
        // Also if it was not started: what was may still run.
        let end = calls.cuStreamSynchronize(stream.handle)
        try context.check(result, call)
        try context.check(end, call)
    }

    /// Starts a kernel with its parameter, which the driver copies.
    private func launch(
        _ kernel: cdm_CUfunction, _ blocks: UInt32, _ calls: CUDACalls, _ parameter: [UInt64]
    ) -> UInt32 {
        var parameter = parameter
        return parameter.withUnsafeMutableBytes { parameter in
            var parameters = [parameter.baseAddress]
            return calls.cuLaunchKernel(
                kernel, blocks, 1, 1, CUDAKernels.threads, 1, 1, 0, stream.handle, &parameters, nil)
        }
    }
}

/// The kernels, compiled for a GPU, with one owner.
private struct CUDAModule: ~Copyable, Sendable {
    private let context: CUDAContext
    // The driver's, for any thread.
    nonisolated(unsafe) private let handle: cdm_CUmodule
    nonisolated(unsafe) let compare: cdm_CUfunction
    nonisolated(unsafe) let fill: cdm_CUfunction

    init(_ context: CUDAContext) throws(DevmemError) {
        let call = "load kernels into \(context.gpu.text)"
        var handle: cdm_CUmodule?
        var compare: cdm_CUfunction?
        var fill: cdm_CUfunction?
        try context.withCurrent(call) { calls throws(DevmemError) in
            let text = CUDAKernels.text.withCString { calls.cuModuleLoadData(&handle, $0) }
            try context.check(text, call)
            guard let handle else { return }
            var result = calls.cuModuleGetFunction(&compare, handle, CUDAKernels.compare)
            if result == cdm_CUDA_SUCCESS {
                result = calls.cuModuleGetFunction(&fill, handle, CUDAKernels.fill)
            }
            guard result == cdm_CUDA_SUCCESS else {
                _ = calls.cuModuleUnload(handle)
                throw context.failure(result, call)
            }
        }
        guard let handle, let compare, let fill else {
            throw DevmemError(.malformed, call: call, message: "there is no module")
        }
        self.context = context
        self.handle = handle
        self.compare = compare
        self.fill = fill
    }

    deinit {
        let handle = handle
        try? context.withCurrent("free memory") { calls throws(DevmemError) in
            _ = calls.cuModuleUnload(handle)
        }
    }
}

/// Host memory that the GPU reads in place, with one owner.
private struct CUDAHostMemory: ~Copyable, Sendable {
    private let context: CUDAContext
    // The owner says who uses it.
    nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer
    /// The GPU's address of it.
    let address: cdm_CUdeviceptr

    init(_ size: Int, _ context: CUDAContext) throws(DevmemError) {
        let call = "allocate host memory for \(context.gpu.text)"
        var base: UnsafeMutableRawPointer?
        var address: cdm_CUdeviceptr = 0
        try context.withCurrent(call) { calls throws(DevmemError) in
            try context.check(
                calls.cuMemHostAlloc(&base, size, cdm_CU_MEMHOSTALLOC_DEVICEMAP), call)
            let result = calls.cuMemHostGetDevicePointer(&address, base, 0)
            guard result == cdm_CUDA_SUCCESS else {
                _ = calls.cuMemFreeHost(base)
                throw context.failure(result, call)
            }
        }
        self.context = context
        bytes = UnsafeMutableRawBufferPointer(start: base, count: size)
        self.address = address
    }

    deinit {
        let base = bytes.baseAddress
        try? context.withCurrent("free memory") { calls throws(DevmemError) in
            _ = calls.cuMemFreeHost(base)
        }
    }
}

/// A stream of a GPU, with one owner.
struct CUDAStream: ~Copyable, Sendable {
    private let context: CUDAContext
    // The driver's, for any thread.
    nonisolated(unsafe) let handle: cdm_CUstream

    /// Creates a stream.
    ///
    /// - Throws: `DevmemError` if the driver fails.
    init(_ context: CUDAContext) throws(DevmemError) {
        let call = "use \(context.gpu.text)"
        var handle: cdm_CUstream?
        try context.withCurrent(call) { calls throws(DevmemError) in
            try context.check(calls.cuStreamCreate(&handle, cdm_CU_STREAM_NON_BLOCKING), call)
        }
        guard let handle else {
            throw DevmemError(.malformed, call: call, message: "there is no stream")
        }
        self.context = context
        self.handle = handle
    }

    deinit {
        let handle = handle
        try? context.withCurrent("free memory") { calls throws(DevmemError) in
            _ = calls.cuStreamDestroy(handle)
        }
    }
}
