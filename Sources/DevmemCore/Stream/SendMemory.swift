package import Logging

/// The memory to send from: a dma-buf bound to the NIC or, for comparison, ordinary memory.
public struct SendMemory: ~Copyable {
    // Exactly one of the two is set.
    private let device: BoundNIC?
    private let host: Mapping?
    /// The control message that names the binding (`SCM_DEVMEM_DMABUF`).
    private let control: ControlBuffer
    /// The size in bytes.
    let size: Int

    /// Binds a dma-buf for sending through an interface.
    ///
    /// - Throws: `DevmemError` of kind `invalid` if the interface is not a NIC, `netlink` if the
    ///   kernel refuses the binding.
    public init(
        binding memory: consuming DmabufMemory, to interface: NetworkInterface
    ) throws(DevmemError) {
        let nic = try BoundNIC(
            binding: memory, to: interface, BindRequest(transmits: true), logger: .silent)
        control = ControlBuffer(naming: nic.memory.transmitID ?? 0)
        size = nic.memory.dmabuf.length
        device = consume nic
        host = nil
    }

    package init(host size: UInt64) throws(DevmemError) {
        guard let count = Int(exactly: size), count > 0 else {
            throw DevmemError(.invalid, call: "send from \(size) bytes", message: "too many")
        }
        let mapping = try Mapping(anonymous: count)
        control = ControlBuffer(naming: 0)
        self.size = count
        device = nil
        host = consume mapping
    }

    /// Whether this is device memory, which the kernel uses until it reports the completion of a
    /// send.
    package var isDevice: Bool {
        switch device {
        case .some: true
        case .none: false
        }
    }

    /// Lends the memory to the CPU for writing.
    ///
    /// - Parameter body: writes the payload; the pointer is valid only during the call.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses access, or an error of
    ///   `body`.
    public borrowing func withWritableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        switch device {
        case .some(let nic): return try nic.memory.dmabuf.withWritableBytes(body)
        case .none: return try withHostBytes(body)
        }
    }

    /// Lends a range of the memory to the CPU for writing.
    ///
    /// - Parameters:
    ///   - range: the range.
    ///   - written: how many of its first bytes were written, by the result of `body`.
    ///   - body: writes the payload; the pointer is valid only during the call.
    /// - Returns: the result of `body`.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses access, or an error of
    ///   `body`.
    borrowing func withWritableBytes<Result>(
        in range: MemoryRange, written: (Result) -> Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        switch device {
        case .some(let nic):
            return try nic.memory.dmabuf.withWritableBytes(in: range, written: written, body)
        case .none:
            return try withHostBytes { bytes throws(DevmemError) in
                try body(
                    UnsafeMutableRawBufferPointer(
                        rebasing: bytes[range.offset..<range.offset + range.count]))
            }
        }
    }

    /// Fills all of the memory with a pattern, from its beginning; a device does so by itself if it
    /// can.
    ///
    /// - Parameters:
    ///   - pattern: the pattern.
    ///   - logger: logs why a device cannot.
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses access, or if a device fails.
    package borrowing func fill(
        with pattern: Pattern, _ logger: Logger = .silent
    ) throws(DevmemError) {
        switch device {
        case .some(let nic):
            if try nic.memory.dmabuf.fill(with: pattern.bytes, logger) { return }
        case .none: break
        }
        let block = PatternBlock(pattern)
        try withWritableBytes { block.copy(from: 0, to: $0) }
    }

    private borrowing func withHostBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        switch host {
        case .some(let mapping): return try mapping.withUnsafeMutableBytes(body)
        case .none: return try body(UnsafeMutableRawBufferPointer(start: nil, count: 0))
        }
    }

    /// Sends ranges of the memory without blocking, in iovec entries of at most `entrySize` bytes if
    /// set.
    package borrowing func send(
        _ extents: (first: MemoryRange, second: MemoryRange),
        inEntriesOf entrySize: Int? = nil,
        over connection: borrowing Connection
    ) throws(DevmemError) -> Connection.Sent {
        if isDevice {
            guard let entrySize else {
                return try connection.sendDevice(extents, control: control.bytes)
            }
            return try connection.sendDevice(
                extents, inEntriesOf: entrySize, control: control.bytes)
        }
        return try withHostBytes { memory throws(DevmemError) in
            guard let base = memory.baseAddress else { return .wouldBlock }
            return try connection.sendHost(extents, base: base)
        }
    }
}
