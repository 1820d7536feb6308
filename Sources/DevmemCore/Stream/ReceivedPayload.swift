import CDevmem
import Glibc
import Synchronization

/// Ranges of payload in stream order, as places in the dma-buf and in the receive buffer. Pure; makes
/// no allocation once it has its capacity.
package struct PayloadExtents: Sendable {
    /// Where an extent lies.
    package enum Source: Sendable {
        /// In the dma-buf.
        case device
        /// In the buffer handed to recvmsg.
        case host
    }

    /// A range of payload that lies in one place.
    package struct Extent: Equatable, Sendable {
        /// Where it lies.
        package var source: Source
        /// Bytes from the start of the dma-buf or of the receive buffer.
        package var offset: Int
        /// Bytes.
        package var length: Int
    }

    private(set) var extents: [Extent] = []

    /// - Parameter capacity: the most extents that one receive call can bring.
    package init(capacity: Int) {
        extents.reserveCapacity(capacity)
    }

    var hasDeviceBytes: Bool { extents.contains { $0.source == .device } }

    /// Adds a range, to the last extent if it continues it.
    package mutating func append(_ source: Source, offset: Int, length: Int) {
        guard length > 0 else { return }
        if let last = extents.last, last.source == source, last.offset + last.length == offset {
            extents[extents.count - 1].length += length
        } else {
            extents.append(Extent(source: source, offset: offset, length: length))
        }
    }

    package mutating func removeAll() {
        extents.removeAll(keepingCapacity: true)
    }
}

/// What one receive call brought, as a sink sees it.
package struct ReceivedPayload: ~Copyable {
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
    package var extents: [PayloadExtents.Extent] { list.extents }

    /// The bytes of an extent, valid during the call; those in device memory only if the sink needs
    /// bytes.
    package func bytes(of extent: PayloadExtents.Extent) -> UnsafeRawBufferPointer {
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
    package mutating func keep() throws(DevmemError) -> KeptPayload {
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

/// Device memory that a sink keeps. It goes back to the NIC when it is given back, or when nobody holds
/// this object any more. Any thread may do that: the kernel takes tokens under a lock of their own
/// (`sock_devmem_dontneed` of net/core/sock.c).
package final class KeptPayload: Sendable {
    /// Where it lies in the dma-buf, in stream order.
    package let extents: [PayloadExtents.Extent]
    private let tokens: Mutex<[TokenBatch.Range]>
    private let tokenReturn: TokenReturn

    fileprivate init(
        _ extents: [PayloadExtents.Extent], _ tokens: [TokenBatch.Range], _ tokenReturn: TokenReturn
    ) {
        self.extents = extents
        self.tokens = Mutex(tokens)
        self.tokenReturn = tokenReturn
    }

    deinit {
        try? giveBack()
    }

    /// Gives the memory back to the NIC; the second time nothing happens.
    ///
    /// - Throws: `DevmemError` as `Connection.giveBack` does.
    package func giveBack() throws(DevmemError) {
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
