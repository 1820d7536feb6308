import DevmemCore
import Glibc
import SystemPackage

extension ValidationRun {
    /// Sends a pattern from device memory, and gets the result from the remote side or compares
    /// what the echo server returns.
    func send(
        _ segment: Int, _ total: UInt64, ipv6: Bool
    ) throws(DevmemError) -> CaseVerdict {
        guard let agent = peers.agent else { return try sendToEcho(segment, total) }
        let (id, problem) = try sendToPeer(segment, total, ipv6: ipv6)
        if let problem { return .fail(problem) }
        let reply = try agent.result(of: id)
        return verdict(
            unless: reply.failure.map { "the peer: \($0)" },
            reply.mismatch.map { "at the peer \($0)" },
            reply.bytes == total
                ? nil : "the peer received \(reply.bytes ?? 0) of \(total) bytes")
    }

    /// Sends to the remote side, and closes the connection.
    ///
    /// - Returns: the number of the request, and what went wrong, if anything.
    private func sendToPeer(
        _ segment: Int, _ total: UInt64, ipv6: Bool
    ) throws(DevmemError) -> (id: Int, problem: String?) {
        let wire = try WireConnection(self, ipv6: ipv6)
        var sink = DiscardingSink()
        return (wire.id, try transmit(wire.connection, segment, total, &sink))
    }

    private func sendToEcho(_ segment: Int, _ total: UInt64) throws(DevmemError) -> CaseVerdict {
        // The fixture would steer the echoed payload into memory that this connection does not
        // read.
        try releaseFixture()
        let connection = try connectToEcho()
        var sink = PatternSink(try Pattern("\(ValidationPeerRequest.period)"))
        let problem = try transmit(connection, segment, total, &sink)
        let checked = sink.comparison.checkedBytes
        return verdict(
            unless: problem, sink.comparison.firstMismatch.map { "in the answer \($0)" },
            checked == total ? nil : "\(checked) of \(total) bytes came back")
    }

    /// Sends all and waits until the kernel has released the memory. Returns what went wrong, if
    /// anything.
    private func transmit<Sink: PayloadSink & ~Copyable>(
        _ connection: borrowing Connection, _ segment: Int, _ total: UInt64,
        _ sink: inout Sink
    ) throws(DevmemError) -> String? {
        try connection.disableNagle()
        var exchange = try Exchange(
            sending: PatternSource(try Pattern("\(ValidationPeerRequest.period)"), bytes: total),
            from: SendMemory(binding: makeMemory(1 << 20), to: interface),
            receiving: PayloadReceiver(nil), chunk: segment)
        do throws(DevmemError) {
            let end = try exchange.run(
                connection, into: &sink, until: stop.signal,
                limits: StreamLimits(idle: caseTimeout, closing: caseTimeout))
            if case .stopped(let signal) = end { throw interrupted(by: signal) }
        } catch {
            guard exchange.outstandingSends > 0,
                exchange.lacksCompletions || error.errno == .timedOut
            else { throw error }
            return "\(exchange.outstandingSends) of \(exchange.counts.sendCalls) sends were never "
                + "reported complete in the error queue"
        }
        return exchange.counts.copiedSends == 0
            ? nil : "the kernel copied \(counted(exchange.counts.copiedSends, "send"))"
    }
}
