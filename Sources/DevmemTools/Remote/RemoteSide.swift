package import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// The timeout for an idle connection, in milliseconds.
private let idleTimeout: Int32 = 20_000

/// Runs the remote side of a validation: carries out requests until end of file.
///
/// - Parameters:
///   - input: the descriptor to read requests from.
///   - output: the descriptor to write replies to.
///   - namespace: the network namespace to run in, as named for ip-netns(8).
///   - removesItself: whether to delete this program's file, which was copied here for one run.
/// - Throws: `DevmemError` of kind `system` if the namespace cannot be entered or the peer does not
///   answer, `malformed` if the peer sends something that is not a request.
package func runRemoteSide(
    input: Int32, output: Int32, namespace: String?, removesItself: Bool
) throws(DevmemError) {
    try prepareRemoteSide(namespace: namespace, removesItself: removesItself)
    // With SIGPIPE ignored, a lost peer is noticed when a write fails.
    ignoreFailingWrites()
    let channel = RemoteChannel<ValidationMessage>(
        input: input, output: output, to: "the peer", stop: SharedStopSignal(StopSignal()))
    do throws(DevmemError) {
        try channel.greet()
    } catch {
        // A starter that was interrupted closes the channel before it greets.
        guard channel.isOpen else { return }
        throw error
    }
    let writer = channel.writer
    while true {
        while let message = try channel.next() {
            guard case .request(let request) = message else { throw channel.unexpected(message) }
            try runInThread { answer(request, writer) }
        }
        guard try channel.fill() else { return }
    }
}

/// Prepares the process for its role as the remote side.
func prepareRemoteSide(namespace: String?, removesItself: Bool) throws(DevmemError) {
    if removesItself { removeOwnFile() }
    if let namespace { try NetworkNamespace(namespace).enter() }
}

/// Deletes this program's file if it is a copy made for one run; an installed program is kept. The
/// kernel keeps the content while the program runs.
private func removeOwnFile() {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    // readlink(2) does not terminate the string; the last byte stays zero.
    guard readlink("/proc/self/exe", &path, path.count - 1) > 0,
        stringFromCBuffer(path).hasPrefix(RemoteCommand.filePrefix)
    else { return }
    unlink(path)
}

private func answer(_ request: ValidationPeerRequest, _ writer: RemoteWriter<ValidationMessage>) {
    var reply = ValidationPeerReply(id: request.id)
    do throws(DevmemError) {
        guard let address = IPAddress(text: request.address) else {
            throw DevmemError(.invalid, call: "do as asked", message: "no address")
        }
        let endpoint = Endpoint(address: address, port: request.port)
        switch request.action {
        case .send: try sendPattern(request, to: endpoint, &reply, writer)
        case .receive:
            let listener = try Listener(binding: endpoint)
            try listener.listen()
            try writer.send([
                .reply(ValidationPeerReply(id: request.id, listening: listener.endpoint.port))
            ])
            try receivePattern(listener, &reply)
        }
    } catch {
        reply.failure = error.description
    }
    // A lost peer needs no reply.
    try? writer.send([.reply(reply)])
}

private func waitUntilReady(
    _ number: Int32, _ events: Int32, _ call: String
) throws(DevmemError) {
    guard
        try StopSignal().wait(for: number, events: events, milliseconds: idleTimeout) == .ready
    else { throw DevmemError(.system, call: call, errno: .timedOut) }
}

private func sendPattern(
    _ request: ValidationPeerRequest, to endpoint: Endpoint, _ reply: inout ValidationPeerReply,
    _ writer: RemoteWriter<ValidationMessage>
) throws(DevmemError) {
    let from = request.from.flatMap(IPAddress.init(text:)).map { Endpoint(address: $0, port: 0) }
    let connection = try Connection(to: endpoint, from: from, pinnedTo: nil)
    try waitUntilReady(connection.rawValue, Int32(POLLOUT), "connect to \(endpoint)")
    try connection.finishConnecting()
    if request.tellsSource == true, let local = connection.local {
        try writer.send([
            .reply(ValidationPeerReply(id: request.id, source: ValidationPeerReply.Source(local)))
        ])
    }
    try connection.disableNagle()
    var exchange = try Exchange(
        sending: PatternSource(
            try Pattern("\(ValidationPeerRequest.period)"), bytes: request.bytes),
        from: SendMemory(host: 1 << 20), receiving: PayloadReceiver(nil),
        chunk: max(request.segment, 1))
    var sink = DiscardingSink()
    defer { if exchange.counts.sentBytes > 0 { reply.bytes = exchange.counts.sentBytes } }
    let end = try exchange.run(
        connection, into: &sink, until: StopSignal(),
        limits: StreamLimits(idle: idleTimeout, closing: idleTimeout))
    // The peer closes after it has received everything.
    guard end == .finished else {
        throw DevmemError(
            .system, call: "wait for the peer to close", errno: .timedOut)
    }
}

private func receivePattern(
    _ listener: borrowing Listener, _ reply: inout ValidationPeerReply
) throws(DevmemError) {
    let connection = try SharedStopSignal(StopSignal()).accept(
        on: listener, until: .after(.milliseconds(Int(idleTimeout))), "wait for a connection")
    var sink = PatternSink(try Pattern("\(ValidationPeerRequest.period)"))
    var receiver = PayloadReceiver(nil)
    defer {
        let comparison = sink.comparison
        (reply.bytes, reply.wrong) = (comparison.checkedBytes, comparison.wrongBytes)
        reply.mismatch = comparison.firstMismatch
    }
    _ = try receiver.run(
        connection, into: &sink, until: StopSignal(), limits: StreamLimits(idle: idleTimeout))
}
