import CDevmem
import Glibc
import Logging
import Synchronization

/// Extents of payload in stream order. Pure; does not allocate within its capacity.
package struct PayloadExtents: Sendable {
    private(set) var extents: [PayloadExtent] = []

    /// - Parameter capacity: the most extents that one receive call can return.
    package init(capacity: Int) {
        extents.reserveCapacity(capacity)
    }

    var deviceRanges: [MemoryRange] {
        extents.compactMap {
            $0.source == .device ? MemoryRange(offset: $0.offset, count: $0.length) : nil
        }
    }

    /// Returns the ranges of device memory, with their positions after a given one, at which the
    /// payload begins.
    func placedDeviceRanges(from first: UInt64) -> [PlacedRange] {
        var position = first
        return extents.compactMap { extent in
            defer { position += UInt64(extent.length) }
            guard extent.source == .device else { return nil }
            return PlacedRange(
                MemoryRange(offset: extent.offset, count: extent.length), at: position)
        }
    }

    var hasDeviceBytes: Bool { extents.contains { $0.source == .device } }

    /// Adds a range; extends the last extent if it is adjacent.
    package mutating func append(_ source: PayloadExtent.Source, offset: Int, length: Int) {
        guard length > 0 else { return }
        if let last = extents.last, last.source == source, last.offset + last.length == offset {
            extents[extents.count - 1].length += length
        } else {
            extents.append(PayloadExtent(source: source, offset: offset, length: length))
        }
    }

    /// Adds fragments of device memory, as `append` does one range after the other.
    mutating func append(_ fragments: UnsafeMutableBufferPointer<ZerocopyFragment>) {
        guard let first = fragments.first else { return }
        var current = PayloadExtent(source: .device, offset: first.offset, length: 0)
        if let last = extents.last, last.source == .device,
            last.offset + last.length == first.offset
        {
            current = last
            extents.removeLast()
        }
        for fragment in fragments {
            if current.offset &+ current.length == fragment.offset {
                current.length &+= fragment.length
            } else {
                extents.append(current)
                current.offset = fragment.offset
                current.length = fragment.length
            }
        }
        extents.append(current)
    }

    package mutating func removeAll() {
        extents.removeAll(keepingCapacity: true)
    }
}

/// The payload of one receive call, as passed to a sink.
public struct ReceivedPayload: ~Copyable {
    var list: PayloadExtents
    /// The tokens of the call's fragments.
    var tokens: [TokenBatch.Range] = []
    /// The fragments that io_uring received in the call.
    var fragments: [ZerocopyFragment] = []
    /// The dma-buf's bytes; empty unless the sink needs bytes.
    var device = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The receive buffer.
    let host: UnsafeRawBufferPointer
    /// The socket that takes the tokens of the payload.
    private var socket: Int32 = -1
    /// The dma-buf that the extents in device memory are of.
    private let memory: BoundMemory?
    /// The queues that take the fragments back, if io_uring receives.
    private var queues: ZerocopyQueues? { memory?.zerocopy }
    /// The payload kept by the sinks of this call, which share one object.
    private var kept: KeptPayload?
    private var sharedSocket: SharedSocket?

    init(capacity: Int, host: UnsafeRawBufferPointer, memory: BoundMemory? = nil) {
        list = PayloadExtents(capacity: capacity)
        if memory?.zerocopy == nil {
            tokens.reserveCapacity(capacity)
        } else {
            fragments.reserveCapacity(capacity)
        }
        self.memory = memory
        self.host = host
    }

    deinit {
        guard let queues, !fragments.isEmpty else { return }
        var rest = fragments
        try? queues.giveBack(&rest)
    }

    /// The extents of the payload, in stream order.
    public var extents: [PayloadExtent] { list.extents }

    /// Returns the bytes of an extent, valid during the call. Bytes in device memory are available
    /// only if the sink needs bytes.
    public func bytes(of extent: PayloadExtent) -> UnsafeRawBufferPointer {
        bytes(of: extent, device)
    }

    private func bytes(
        of extent: PayloadExtent, _ device: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        let memory = extent.source == .device ? device : host
        return UnsafeRawBufferPointer(
            rebasing: memory[extent.offset..<extent.offset + extent.length])
    }

    /// Keeps the device memory of this call after the sink returns. Extents in host memory cannot
    /// be kept: the next call overwrites them.
    ///
    /// Keeping too much for too long starves the receive queue. Memory that was received on a socket
    /// also keeps the socket open: to end the connection for the peer before, use shutdown(2).
    ///
    /// - Returns: the owner of the memory.
    /// - Throws: `DevmemError` of kind `system` if the socket's descriptor cannot be duplicated.
    public mutating func keep() throws(DevmemError) -> KeptPayload {
        if let kept { return kept }
        let extents = extents.filter { $0.source == .device }
        let made: KeptPayload
        if let queues {
            made = KeptPayload(extents, .queues(queues, fragments))
            fragments = []
        } else {
            let shared: SharedSocket
            if let sharedSocket {
                shared = sharedSocket
            } else {
                shared = try SharedSocket(duplicating: socket)
            }
            sharedSocket = shared
            made = KeptPayload(extents, .socket(shared, tokens))
            tokens = []
        }
        kept = made
        return made
    }

    /// Drops this value's reference to kept payload, which returns to the NIC once its sink drops it.
    mutating func dropKept() { kept = nil }

    /// Passes the payload to a sink; begins CPU access to the dma-buf only if needed.
    mutating func hand<Sink: PayloadSink & ~Copyable>(
        to sink: inout Sink, _ needs: PayloadNeeds, _ stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        defer { dropKept() }
        guard needs == .bytes, let memory, list.hasDeviceBytes else {
            return try sink.receive(&self, until: stop)
        }
        return try memory.dmabuf.withDeviceBytes(in: list.deviceRanges) {
            device throws(DevmemError) in
            self.device = device
            defer { self.device = UnsafeRawBufferPointer(start: nil, count: 0) }
            return try sink.receive(&self, until: stop)
        }
    }

    /// Compares the payload with a pattern: on the device that has it, if that can compare and the
    /// bytes are not here anyway.
    func compare(with checker: inout PatternChecker, _ logger: Logger) throws(DevmemError) {
        guard let memory, device.isEmpty, list.hasDeviceBytes else {
            return compare(device, with: &checker)
        }
        let phase = UInt64(checker.phase)
        let start = checker.checkedBytes &- phase
        guard
            let difference = try memory.dmabuf.compare(
                list.placedDeviceRanges(from: phase), with: checker.pattern, logger)
        else {
            return try memory.dmabuf.withDeviceBytes(in: list.deviceRanges) { device in
                compare(device, with: &checker)
            }
        }
        for extent in extents {
            switch extent.source {
            case .device: checker.skip(extent.length)
            case .host: checker.check(bytes(of: extent))
            }
        }
        checker.note(difference, from: start)
    }

    private func compare(_ device: UnsafeRawBufferPointer, with checker: inout PatternChecker) {
        for extent in extents { checker.check(bytes(of: extent, device)) }
    }

    /// Resets this value for a new call.
    mutating func removeAll(socket: Int32) {
        list.removeAll()
        dropKept()
        self.socket = socket
    }
}

/// A duplicate of a connection's socket. It returns tokens even after the connection is closed;
/// until then the kernel does not reuse the memory (`tcp_release_user_frags` of
/// net/ipv4/tcp_ipv4.c).
private final class SharedSocket: Sendable {
    let descriptor: Descriptor

    init(duplicating socket: Int32) throws(DevmemError) {
        descriptor = Descriptor(
            owning: try retrying("keep device memory") { cdm_fcntl(socket, F_DUPFD_CLOEXEC, 0) })
    }
}

/// Device memory kept by a sink. It returns to the NIC when it is released or no longer referenced,
/// on any thread: the kernel accepts tokens under a separate lock (`sock_devmem_dontneed` of
/// net/core/sock.c), and io_uring's ring has one here.
public final class KeptPayload: Sendable {
    /// What takes the memory back, and what of it is not returned yet.
    fileprivate enum Owner: Sendable {
        case socket(SharedSocket, [TokenBatch.Range])
        case queues(ZerocopyQueues, [ZerocopyFragment])
    }

    /// The extents in the dma-buf, in stream order.
    public let extents: [PayloadExtent]
    private let owner: Mutex<Owner>

    fileprivate init(_ extents: [PayloadExtent], _ owner: Owner) {
        self.extents = extents
        self.owner = Mutex(owner)
    }

    deinit {
        try? release()
    }

    /// Returns the memory to the NIC; does nothing once all of it is returned. Another call after a
    /// failure returns the rest.
    ///
    /// - Throws: `DevmemError` of kind `system` if the kernel refuses, `malformed` if it accepts
    ///   fewer fragments than it was given.
    public func release() throws(DevmemError) {
        try owner.withLock { owner throws(DevmemError) in
            switch owner {
            case .socket(let shared, var tokens):
                var batch = TokenBatch()
                defer { owner = .socket(shared, batch.ranges + tokens) }
                try batch.append(&tokens) { batch throws(DevmemError) in
                    try batch.returnTokens(to: shared.descriptor.rawValue)
                }
                try batch.returnTokens(to: shared.descriptor.rawValue)
            case .queues(let queues, var fragments):
                // So that the array has one owner, and is not copied.
                owner = .queues(queues, [])
                defer { owner = .queues(queues, fragments) }
                try queues.giveBack(&fragments)
            }
        }
    }
}
