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
    private let queues: ZerocopyQueues
    private let share: UInt64?
    /// The place of the ring's queue.
    private var place: Int
    /// How many times a queue was tried for what comes next.
    private var tried = 1
    private var state = State.idle

    /// - Parameters:
    ///   - queues: the queues, one of which receives the connection.
    ///   - connection: the connection.
    ///   - share: the memory in bytes that unread payload may hold in the ring; nil for no limit.
    /// - Throws: `DevmemError` as `ZerocopyQueue.makeRing`.
    init(
        _ queues: ZerocopyQueues, for connection: borrowing Connection, share: UInt64?
    ) throws(DevmemError) {
        place = queues.count > 1 ? queues.place(ofNAPI: connection.incomingNAPI) ?? 0 : 0
        ring = try queues.makeRing(at: place, share: share)
        self.queues = queues
        self.share = share
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
            let taken = try? ring.takeCompletions(atMost: .max) {
                if case .fragment(let fragment) = $0 {
                    fragments.append(fragment)
                } else {
                    state = .ended
                }
            }
            if taken == nil { state = .ended }
            try? queues.giveBack(&fragments)
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
            case .failed(.badAddress) where tried < 2 * queues.count: try changeQueue(connection)
            case .failed(let code): throw Self.failure(code, connection.peer)
            case .draining(let hasBegun):
                if let count = try drain(connection, buffer, hasBegun) {
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
                    tried = 1
                    counts.receiveCalls += 1
                    counts.fragments += UInt64(payload.fragments.count)
                    counts.deviceBytes += UInt64(count)
                    return .bytes(count)
                }
                if state == .armed { return .nothing }
            }
        }
    }

    /// Goes on with another queue, from which the connection's packets come now, or else the next:
    /// a rule or the RSS table was changed. The ring has completed nothing that was not taken.
    private func changeQueue(_ connection: borrowing Connection) throws(DevmemError) {
        let next = (place + 1) % queues.count
        let found = tried == 1 ? queues.place(ofNAPI: connection.incomingNAPI) ?? next : next
        place = found == place ? next : found
        tried += 1
        ring = try queues.makeRing(at: place, share: share)
        state = .idle
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
        // Copied at once, which is cheaper than adding one fragment after the other to an array.
        let batch = Int(Self.batch)
        return try withUnsafeTemporaryAllocation(of: ZerocopyFragment.self, capacity: batch) {
            fragments throws(DevmemError) in
            var count = 0
            var bytes = 0
            defer {
                let taken = UnsafeMutableBufferPointer(rebasing: fragments[..<count])
                payload.fragments.append(contentsOf: taken)
                if listing { payload.list.append(taken) }
            }
            let taken = try ring.takeCompletions(atMost: Self.batch) {
                switch $0 {
                case .fragment(let fragment):
                    fragments[count] = fragment
                    count += 1
                    bytes += fragment.length
                case .end: state = .ended
                case .full: state = .idle
                case .outside: state = .draining(false)
                case .failed(let code): state = .failed(code)
                }
            }
            self.state = state
            return taken > 0 ? bytes : nil
        }
    }

    private static func failure(_ code: Errno, _ peer: Endpoint) -> DevmemError {
        let error = DevmemError(.system, call: "receive from \(peer) by io_uring", errno: code)
        guard code == .badAddress else { return error.explainingDisconnect() }
        return error.advising("payload arrived on a queue that io_uring does not have here")
    }

    /// Receives payload outside device memory, which stands before what is in device memory.
    ///
    /// - Returns: the number of bytes; nil if there are none, for which the state tells what is next.
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
            return nil
        }
    }
}
