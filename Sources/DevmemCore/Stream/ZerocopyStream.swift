import CDevmem
import Glibc
import SystemPackage

/// The payload of one connection by io_uring: in device memory from a ring, and what is outside
/// device memory from the socket, in stream order. Used by one thread.
///
/// Closing a ring does not return the memory of what it has completed, so that the deinitializer
/// takes and returns what is left.
final class ZerocopyStream {
    /// What the next call does.
    private enum State: Equatable {
        /// Submit the request.
        case idle
        /// Take the request's completions.
        case armed
        /// Receive what is not in device memory, up to what is; the flag says whether any came.
        case draining(Bool)
        case ended
        /// Throw: the request has failed, and the sink has what came before.
        case failed(Errno)
    }

    /// The most completions in one batch. The kernel gives 150 to 260 at once.
    static let batch: UInt32 = 1024

    private var ring: ZerocopyRing
    private let queue: ZerocopyQueue
    private let memory: UInt64
    private var state = State.idle

    /// - Parameters:
    ///   - queue: the queue that receives the connection.
    ///   - memory: the size of the dma-buf in bytes.
    ///   - share: the memory in bytes that unread payload may hold in the ring; nil for no limit.
    /// - Throws: `DevmemError` as `ZerocopyQueue.makeRing`.
    init(_ queue: ZerocopyQueue, memory: UInt64, share: UInt64?) throws(DevmemError) {
        ring = try queue.makeRing(share: share)
        self.queue = queue
        self.memory = memory
    }

    deinit {
        if case .armed = state { try? ring.cancel() }
        var fragments: [ZerocopyFragment] = []
        var calls = 0
        // What one call leaves, because the ring was full, comes with the next.
        repeat {
            calls += 1
            fragments.removeAll(keepingCapacity: true)
            try? ring.enter()
            let taken = try? ring.takeCompletions(atMost: .max, memory: memory) {
                if case .fragment(let fragment) = $0 {
                    fragments.append(fragment)
                } else {
                    state = .ended
                }
            }
            if taken == nil { state = .ended }
            try? queue.giveBack(&fragments)
        } while state == .armed && calls < 1000
    }

    /// Whether the next call does something without waiting for the connection. Otherwise wait for
    /// the connection and not for the ring: the kernel reports what comes to its pollers one RCU
    /// grace period late (`io_local_work_wake_poll` of io_uring/tw.c).
    var isReady: Bool { state != .armed }

    /// Receives one batch of payload without blocking.
    ///
    /// - Parameters:
    ///   - connection: the connection; the same in each call.
    ///   - payload: receives the extents, if `listing` is set, and the fragments to return.
    ///   - buffer: receives payload outside device memory.
    ///   - counts: counts what was received.
    ///   - listing: whether the extents are needed.
    /// - Returns: the result of the call.
    /// - Throws: `DevmemError` of kind `system` if the connection fails, `malformed` for impossible
    ///   numbers of the kernel, `unsupported` for payload that only the socket engine receives.
    func receive(
        _ connection: borrowing Connection, into payload: inout ReceivedPayload,
        _ buffer: UnsafeMutableRawBufferPointer, _ counts: inout ReceiveCounts, listing: Bool
    ) throws(DevmemError) -> StreamStep {
        while true {
            switch state {
            case .ended: return .end
            case .failed(let code): throw Self.failure(code, connection.peer)
            case .draining(let hasBegun):
                if let count = try drain(connection, buffer, hasBegun) {
                    guard count > 0 else { return .end }
                    counts.receiveCalls += 1
                    counts.ordinaryBytes += UInt64(count)
                    payload.list.append(.host, offset: 0, length: count)
                    return .bytes(count)
                }
            case .idle, .armed:
                if state == .idle {
                    try ring.arm(socket: connection.rawValue)
                    state = .armed
                }
                let count = try collect(&payload, listing: listing)
                if count > 0 {
                    counts.receiveCalls += 1
                    counts.fragments += UInt64(payload.fragments.count)
                    counts.deviceBytes += UInt64(count)
                    return .bytes(count)
                }
                if state == .armed { return .nothing }
            }
        }
    }

    /// Takes the completions at hand, and lets the kernel make more if there are none.
    ///
    /// - Returns: the number of payload bytes.
    private func collect(
        _ payload: inout ReceivedPayload, listing: Bool
    ) throws(DevmemError) -> Int {
        if let count = try take(&payload, listing: listing) { return count }
        try ring.enter()
        return try take(&payload, listing: listing) ?? 0
    }

    /// - Returns: the number of payload bytes; nil if there are no completions.
    private func take(
        _ payload: inout ReceivedPayload, listing: Bool
    ) throws(DevmemError) -> Int? {
        var state = state
        var bytes = 0
        let taken = try ring.takeCompletions(atMost: Self.batch, memory: memory) {
            switch $0 {
            case .fragment(let fragment):
                payload.fragments.append(fragment)
                bytes += fragment.length
                if listing {
                    payload.list.append(.device, offset: fragment.offset, length: fragment.length)
                }
            case .end: state = .ended
            case .full: state = .idle
            case .outside: state = .draining(false)
            case .failed(let code): state = .failed(code)
            }
        }
        self.state = state
        return taken > 0 ? bytes : nil
    }

    private static func failure(_ code: Errno, _ peer: Endpoint) -> DevmemError {
        let error = DevmemError(.system, call: "receive from \(peer) by io_uring", errno: code)
        guard code == .badAddress else { return error.explainingDisconnect() }
        return error.advising("payload arrived on another queue than the one that io_uring has")
    }

    /// Receives payload outside device memory, which stands before what is in device memory.
    ///
    /// - Returns: the number of bytes, 0 at the end of the stream; nil if the request must go on.
    private func drain(
        _ connection: borrowing Connection, _ buffer: UnsafeMutableRawBufferPointer,
        _ hasBegun: Bool
    ) throws(DevmemError) -> Int? {
        let result: Connection.Received
        do throws(DevmemError) {
            result = try connection.receiveHost(into: buffer)
        } catch {
            guard error.errno == .badAddress || error.errno == .operationNotSupportedByDevice else {
                throw error
            }
            // Device memory is next.
            guard !hasBegun else {
                state = .idle
                return nil
            }
            throw DevmemError(
                .unsupported, call: "receive from \(connection.peer) by io_uring",
                errno: error.errno,
                message: "the NIC left payload beside a packet's headers",
                advice: "the socket engine receives such payload")
        }
        switch result {
        case .bytes(let count, _):
            state = .draining(true)
            return count
        case .wouldBlock:
            guard hasBegun else {
                // Nothing is outside device memory: the kernel itself is short of memory.
                throw Self.failure(.noMemory, connection.peer)
            }
            state = .idle
            return nil
        case .end:
            state = .ended
            return 0
        }
    }
}
