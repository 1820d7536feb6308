import DevmemCore
import Glibc
import SystemPackage

extension ValidationRun {
    /// Sends a pattern from device memory and asks the far end what came, or looks at what comes
    /// back.
    func send(
        _ segment: Int, _ total: UInt64, ipv6: Bool
    ) throws(DevmemError) -> CaseVerdict {
        guard let farEnd = peers.farEnd else { return try sendToEcho(segment, total) }
        let (id, problem) = try sendToFarEnd(segment, total, ipv6: ipv6)
        if let problem { return .fail(problem) }
        let reply = try farEnd.result(of: id)
        return verdict(
            unless: reply.failure.map { "the peer: \($0)" },
            reply.mismatch.map { "at the peer \($0)" },
            reply.bytes == total
                ? nil : "the peer received \(reply.bytes ?? 0) of \(total) bytes")
    }

    /// Returns the far end's number of the connection, which is closed by then, and what went wrong.
    private func sendToFarEnd(
        _ segment: Int, _ total: UInt64, ipv6: Bool
    ) throws(DevmemError) -> (id: Int, problem: String?) {
        let wire = try WireConnection(self, ipv6: ipv6)
        var consumer = PayloadConsumer(output: nil, pattern: nil)
        return (wire.id, try transmit(wire.connection, segment, total, &consumer))
    }

    private func sendToEcho(_ segment: Int, _ total: UInt64) throws(DevmemError) -> CaseVerdict {
        // Its answers must not go where nobody can read them.
        try releaseStage()
        let connection = try connectToEcho()
        var consumer = PayloadConsumer(
            output: nil, pattern: try Pattern("\(FarEndRequest.period)"))
        let problem = try transmit(connection, segment, total, &consumer)
        let checked = consumer.checker?.checkedBytes ?? 0
        return verdict(
            unless: problem, consumer.checker?.firstMismatch.map { "in the answer \($0)" },
            checked == total ? nil : "\(checked) of \(total) bytes came back")
    }

    /// Sends it all and waits until the kernel needs none of it any more; returns what went wrong.
    private func transmit(
        _ connection: borrowing Connection, _ segment: Int, _ total: UInt64,
        _ consumer: inout PayloadConsumer
    ) throws(DevmemError) -> String? {
        try connection.enableZerocopy()
        try connection.sendAtOnce()
        let memory = try SendMemory(binding: DmabufMemory(size: 1 << 20), to: interface)
        var source: PayloadSource? = PayloadSource(
            pattern: try Pattern("\(FarEndRequest.period)"), bytes: total)
        var sender = PayloadSender(
            capacity: (1 << 20) / FarEndRequest.period * FarEndRequest.period, chunk: segment)
        var receiver = HostReceiver()
        do throws(DevmemError) {
            let end = try sender.run(
                connection, memory: memory, source: &source, receiver: &receiver,
                consumer: &consumer, wait: casePatience, idleLimit: casePatience,
                stop: stop.signal, progress: { _ in })
            if case .stopped(let signal) = end { throw interrupted(by: signal) }
        } catch {
            guard error.errno == .timedOut, sender.outstandingSends > 0 else { throw error }
            return "\(sender.outstandingSends) of \(sender.counts.sendCalls) sends were never "
                + "reported complete in the error queue"
        }
        return sender.counts.copiedSends == 0
            ? nil : "the kernel copied \(sender.counts.copiedSends) sends"
    }
}
