/// Receives one connection of a session on its thread, and sends the answer if one is requested. The
/// thread has no capability left when the first payload is read.
struct ConnectionReceiver: Sendable {
    let request: ReceiveRequest
    let interface: NetworkInterface
    let memory: BoundMemory
    /// The memory in bytes that the connection may hold in a receive call; nil for no limit.
    let share: UInt64?
    /// Where the connection's thread runs.
    let placement: ThreadPlacement

    /// The size in bytes of each connection's memory for answers.
    private static let answerSize: UInt64 = 8 << 20
    /// The most bytes that one send of an answer handles.
    private static let answerChunk = 1 << 20

    /// Receives a connection to its end. Failures are put into the report; the caller stores the
    /// sink's output.
    ///
    /// - Parameters:
    ///   - connection: the connection.
    ///   - sink: the sink for the payload.
    ///   - stop: ends the connection early.
    ///   - report: filled in with the results.
    ///   - progress: called after each receive call with the number of payload bytes so far.
    func run<Sink: SessionSink & ~Copyable>(
        _ connection: borrowing Connection, into sink: inout Sink, until stop: borrowing StopSignal,
        _ report: inout ReceiveReport, progress: (UInt64) -> Void
    ) {
        report.peer = connection.peer.description
        report.peerAddress = connection.peer.address.unmapped
        report.peerPort = connection.peer.port
        let spent = TimeUsage()
        do throws(DevmemError) {
            switch request.answer {
            case .nothing: try receive(connection, &sink, stop, &report, progress)
            case .echo: try echo(connection, &sink, stop, &report, progress)
            case .file(let path):
                // No signal ends a call that blocks in this thread.
                let input = try InputStream(path, waits: false)
                var exchange = try exchange(connection, sending: input)
                defer { exchange.note(in: &report) }
                let end = try exchange.run(
                    connection, into: &sink, until: stop, limits: limits, progress: progress)
                if case .stopped(let signal) = end { report.stoppedBy = signal }
            }
        } catch {
            report.failure = error.description
        }
        report.napiID = connection.incomingNAPI
        (report.seconds, report.userSeconds, report.systemSeconds) = spent.soFar
        let findings = sink.findings
        report.directBytes = findings.directBytes
        report.validation = findings.validation
    }

    private var limits: StreamLimits {
        StreamLimits(
            idle: request.idleLimit.map { Int32(clamping: Int(($0 * 1000).rounded())) } ?? -1,
            busyPoll: request.busyPoll)
    }

    private var receiver: PayloadReceiver {
        PayloadReceiver(memory, isDeviceOnly: request.isDeviceOnly, share: share)
    }

    private func receive<Sink: SessionSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal,
        _ report: inout ReceiveReport, _ progress: (UInt64) -> Void
    ) throws(DevmemError) {
        var receiver = receiver
        defer { report.counts = receiver.counts }
        try receiver.dropPrivileges(before: connection)
        let end = try receiver.run(
            connection, into: &sink, until: stop, limits: limits, progress: progress)
        if case .stopped(let signal) = end { report.stoppedBy = signal }
    }

    /// Sends received payload back, and also passes it to the sink.
    private func echo<Sink: SessionSink & ~Copyable>(
        _ connection: borrowing Connection, _ sink: inout Sink, _ stop: borrowing StopSignal,
        _ report: inout ReceiveReport, _ progress: (UInt64) -> Void
    ) throws(DevmemError) {
        let queue = EchoQueue()
        var exchange = try exchange(connection, sending: EchoSource(queue))
        var both = SinkPair(EchoSink(queue), sink)
        var failure: DevmemError?
        do throws(DevmemError) {
            let end = try exchange.run(
                connection, into: &both, until: stop, limits: limits, progress: progress)
            if case .stopped(let signal) = end { report.stoppedBy = signal }
        } catch {
            failure = error
        }
        exchange.note(in: &report)
        sink = both.intoSecond()
        if let failure { throw failure }
    }

    private func exchange<Source: PayloadSource & ~Copyable>(
        _ connection: borrowing Connection, sending source: consuming Source
    ) throws(DevmemError) -> Exchange<Source> {
        let buffer = try DmabufMemory(
            atLeast: Self.answerSize, from: request.provider.forMore, near: interface)
        let memory = try SendMemory(binding: buffer, to: interface)
        var receiver = receiver
        // The file to send is open by now.
        try receiver.dropPrivileges(before: connection)
        return try Exchange(
            sending: source, from: memory, receiving: receiver, chunk: Self.answerChunk)
    }
}

extension Exchange where Source: ~Copyable {
    fileprivate func note(in report: inout ReceiveReport) {
        report.counts = receiver.counts
        report.answeredBytes = counts.sentBytes
    }
}
