import Glibc

/// Receives one connection to its end, and answers it if that is asked for. What goes wrong is put
/// in the report; `progress` is called after each receive call with the payload bytes so far. What was
/// written is still to be stored.
func runConnection(
    with connection: borrowing Connection, _ request: ReceiveRequest,
    _ interface: NetworkInterface, _ bound: BoundMemory,
    _ consumer: inout PayloadConsumer, _ stop: borrowing StopSignal,
    progress: (UInt64) -> Void, _ report: inout ReceiveReport
) {
    report.peer = connection.peer.description
    report.peerAddress = connection.peer.address.unmapped
    report.peerPort = connection.peer.port
    let spent = SpentTime()
    var receiver = DeviceReceiver(bound, isDeviceOnly: request.isDeviceOnly)
    let idleLimit = request.idleLimit.map { Int32(clamping: Int(($0 * 1000).rounded())) } ?? -1
    do throws(DevmemError) {
        if request.answer == .nothing {
            let end = try receiver.run(
                connection, consumer: &consumer, idleLimit: idleLimit, stop: stop,
                progress: progress)
            if case .stopped(let signal) = end { report.stoppedBy = signal }
        } else {
            try answer(
                connection, request, interface, &receiver, &consumer, idleLimit, stop, progress,
                &report)
        }
    } catch {
        report.failure = error.description
    }
    do throws(DevmemError) {
        try consumer.finish()
    } catch {
        report.failure = report.failure ?? error.description
    }
    report.napiID = connection.incomingNAPI
    report.directBytes = consumer.directBytes
    (report.seconds, report.userSeconds, report.systemSeconds) = spent.soFar
    report.counts = receiver.counts
    report.validation = consumer.validation
}

/// Has the payload of a connection put on the disk, after its time is taken: how fast the disk is says
/// nothing of the connection. Also after a signal: what came until then is the user's, who shall learn
/// if it could not be kept.
func store(_ consumer: inout PayloadConsumer, failure: inout String?) {
    do throws(DevmemError) {
        try consumer.store()
    } catch {
        failure = failure ?? error.description
    }
}

/// Memory in bytes that answers are sent from, for each connection.
private let answerSize: UInt64 = 8 << 20
/// The most of it that one send takes.
private let answerChunk = 1 << 20

private func answer(
    _ connection: borrowing Connection, _ request: ReceiveRequest, _ interface: NetworkInterface,
    _ receiver: inout DeviceReceiver, _ consumer: inout PayloadConsumer, _ idleLimit: Int32,
    _ stop: borrowing StopSignal, _ progress: (UInt64) -> Void, _ report: inout ReceiveReport
) throws(DevmemError) {
    let memory = try SendMemory(
        binding: DmabufMemory(size: answerSize, provider: request.provider), to: interface)
    try connection.enableZerocopy()
    var source = try openSource(request.answer)
    if request.answer == .echo { consumer.echo = EchoQueue() }
    var sender = PayloadSender(capacity: memory.size, chunk: answerChunk)
    report.answeredBytes = 0
    defer { report.answeredBytes = sender.counts.sentBytes }
    let end = try sender.run(
        connection, memory: memory, source: &source, receiver: &receiver, consumer: &consumer,
        wait: -1, idleLimit: idleLimit, stop: stop, progress: progress)
    if case .stopped(let signal) = end { report.stoppedBy = signal }
}

private func openSource(
    _ answer: ReceiveRequest.Answer
) throws(DevmemError) -> PayloadSource? {
    guard case .file(let path) = answer else { return nil }
    return try PayloadSource(path: path)
}
