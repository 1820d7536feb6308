import CDevmem
import Glibc
import Synchronization

/// Ranges of payload in stream order, as places in the dma-buf and in the receive buffer. Pure; makes
/// no allocation once it has its capacity.
package struct PayloadExtents: Sendable {
    private(set) var extents: [PayloadExtent] = []

    /// - Parameter capacity: the most extents that one receive call can bring.
    package init(capacity: Int) {
        extents.reserveCapacity(capacity)
    }

    var hasDeviceBytes: Bool { extents.contains { $0.source == .device } }

    /// Adds a range, to the last extent if it continues it.
    package mutating func append(_ source: PayloadExtent.Source, offset: Int, length: Int) {
        guard length > 0 else { return }
        if let last = extents.last, last.source == source, last.offset + last.length == offset {
            extents[extents.count - 1].length += length
        } else {
            extents.append(PayloadExtent(source: source, offset: offset, length: length))
        }
    }

    package mutating func removeAll() {
        extents.removeAll(keepingCapacity: true)
    }
}

/// What one receive call brought, as a sink sees it.
public struct ReceivedPayload: ~Copyable {
    var list: PayloadExtents
    /// Tokens of the call's fragments, which are the NIC's again once they are given back.
    var tokens: [TokenBatch.Range] = []
    /// The dma-buf as the CPU sees it; empty unless the sink needs bytes.
    var device = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The receive buffer.
    let host: UnsafeRawBufferPointer
    /// The socket of the connection that it came on.
    private var socket: Int32 = -1
    /// What the sinks of this call keep; one object for all of them.
    private var kept: KeptPayload?
    private var tokenReturn: TokenReturn?

    init(capacity: Int, host: UnsafeRawBufferPointer) {
        list = PayloadExtents(capacity: capacity)
        tokens.reserveCapacity(capacity)
        self.host = host
    }

    /// Where the payload lies, in stream order.
    public var extents: [PayloadExtent] { list.extents }

    /// The bytes of an extent, valid during the call; those in device memory only if the sink needs
    /// bytes.
    public func bytes(of extent: PayloadExtent) -> UnsafeRawBufferPointer {
        let memory = extent.source == .device ? device : host
        return UnsafeRawBufferPointer(
            rebasing: memory[extent.offset..<extent.offset + extent.length])
    }

    /// Keeps the device memory of this call after the sink returns. Extents in host memory cannot be
    /// kept: the next call overwrites them.
    ///
    /// The queue starves if too much is kept for too long.
    ///
    /// - Returns: the owner of the memory.
    /// - Throws: `DevmemError` of kind `system` if this process has no descriptor left.
    public mutating func keep() throws(DevmemError) -> KeptPayload {
        if let kept { return kept }
        let way: TokenReturn
        if let tokenReturn { way = tokenReturn } else { way = try TokenReturn(to: socket) }
        let made = KeptPayload(extents.filter { $0.source == .device }, tokens, way)
        tokenReturn = way
        kept = made
        tokens = []
        return made
    }

    /// Forgets the call before.
    mutating func removeAll(socket: Int32) {
        list.removeAll()
        kept = nil
        self.socket = socket
    }
}

/// A second descriptor of a connection's socket: tokens can be given back after the first is closed, and
/// the kernel does not give the memory to anyone else before (`tcp_release_user_frags` of
/// net/ipv4/tcp_ipv4.c).
private final class TokenReturn: Sendable {
    let socket: Descriptor

    init(to socket: Int32) throws(DevmemError) {
        self.socket = Descriptor(
            owning: try retrying("keep device memory") { cdm_fcntl(socket, F_DUPFD_CLOEXEC, 0) })
    }
}

/// Device memory that a sink keeps. It returns to the NIC when it is released, or when nobody holds this
/// object any more. Any thread may do that: the kernel takes tokens under a lock of their own
/// (`sock_devmem_dontneed` of net/core/sock.c).
public final class KeptPayload: Sendable {
    /// Where it lies in the dma-buf, in stream order.
    public let extents: [PayloadExtent]
    private let tokens: Mutex<[TokenBatch.Range]>
    private let tokenReturn: TokenReturn

    fileprivate init(
        _ extents: [PayloadExtent], _ tokens: [TokenBatch.Range], _ tokenReturn: TokenReturn
    ) {
        self.extents = extents
        self.tokens = Mutex(tokens)
        self.tokenReturn = tokenReturn
    }

    deinit {
        try? release()
    }

    /// Returns the memory to the NIC; the second time nothing happens.
    ///
    /// - Throws: `DevmemError` as `Connection.giveBack` does.
    public func release() throws(DevmemError) {
        let runs = tokens.withLock { tokens in
            defer { tokens = [] }
            return tokens
        }
        var batch = TokenBatch()
        for run in runs {
            var left: TokenBatch.Range? = run
            while let rest = left {
                left = batch.append(rest)
                if left != nil { try batch.giveBack(to: tokenReturn.socket.rawValue) }
            }
        }
        try batch.giveBack(to: tokenReturn.socket.rawValue)
    }
}
