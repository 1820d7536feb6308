package import DevmemCore
import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// How long a connection of the far end may stand still, in milliseconds.
private let patience: Int32 = 20_000

/// Does at the far end what the near end asks for, until its input ends.
///
/// - Parameters:
///   - input: the descriptor that requests come from.
///   - output: the descriptor that answers go to.
///   - namespace: the network namespace to do it in, by the name that ip-netns(8) gives it.
///   - removesItself: whether the program's file was put here for this and is to go.
/// - Throws: `DevmemError` of kind `system` if the namespace cannot be entered or the near end
///   cannot be talked to.
package func runFarEnd(
    input: Int32, output: Int32, namespace: String?, removesItself: Bool
) throws(DevmemError) {
    try prepareFarEnd(namespace: namespace, removesItself: removesItself)
    // A near end that is gone shows in what a call returns.
    ignoreFailingWrites()
    let writer = ReplyWriter(output)
    try writer.write(.greeting)
    var reader = LineReader()
    while true {
        while let line = reader.next() {
            guard let request = LineReader.message(FarEndRequest.self, in: line) else { continue }
            try runInThread { answer(request, writer) }
        }
        guard try reader.fill(from: input) else { return }
    }
}

/// Gets the program ready to be a far end.
func prepareFarEnd(namespace: String?, removesItself: Bool) throws(DevmemError) {
    if removesItself { removeOwnFile() }
    if let namespace { try enter(namespace) }
}

/// While it runs the kernel keeps its contents. A program that is installed is left alone.
private func removeOwnFile() {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    // One less than there is room for, so that a zero ends it.
    guard readlink("/proc/self/exe", &path, path.count - 1) > 0,
        terminated(path).hasPrefix(FarEndCommand.filePrefix)
    else { return }
    unlink(path)
}

private func enter(_ namespace: String) throws(DevmemError) {
    let descriptor = try Descriptor.open("/run/netns/\(namespace)", O_RDONLY)
    try retrying("enter network namespace \(namespace)") {
        cdm_enter_network_namespace(descriptor.rawValue)
    }
}

/// Lets several threads answer, a line at a time.
private final class ReplyWriter: Sendable {
    private let output: Int32
    private let turn = Mutex(())

    init(_ output: Int32) {
        self.output = output
    }

    func write(_ reply: FarEndReply) throws(DevmemError) {
        let result = turn.withLock { _ in
            Result { () throws(DevmemError) in try writeJSONLine(reply, to: output) }
        }
        try result.get()
    }
}

private func answer(_ request: FarEndRequest, _ writer: ReplyWriter) {
    var reply = FarEndReply(id: request.id)
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
            try writer.write(FarEndReply(id: request.id, listening: listener.endpoint.port))
            try receivePattern(listener, &reply)
        }
    } catch {
        reply.failure = error.description
    }
    // If nobody listens any more there is nobody to tell.
    try? writer.write(reply)
}

private func waitUntilReady(
    _ number: Int32, _ events: Int32, _ call: String
) throws(DevmemError) {
    guard
        try StopSignal().wait(for: number, events: events, milliseconds: patience) == .ready
    else { throw DevmemError(.system, call: call, errno: .timedOut) }
}

private func sendPattern(
    _ request: FarEndRequest, to endpoint: Endpoint, _ reply: inout FarEndReply,
    _ writer: ReplyWriter
) throws(DevmemError) {
    let from = request.from.flatMap(IPAddress.init(text:)).map { Endpoint(address: $0, port: 0) }
    let connection = try Connection(to: endpoint, from: from, pinnedTo: nil)
    try waitUntilReady(connection.rawValue, Int32(POLLOUT), "connect to \(endpoint)")
    try connection.finishConnecting()
    if request.tellsSource == true, let local = connection.local {
        try writer.write(FarEndReply(id: request.id, source: FarEndReply.Source(local)))
    }
    try connection.sendAtOnce()
    var exchange = try Exchange(
        sending: PatternSource(try Pattern("\(FarEndRequest.period)"), bytes: request.bytes),
        from: SendMemory(host: 1 << 20), receiving: PayloadReceiver(nil),
        chunk: max(request.segment, 1))
    var sink = DiscardingSink()
    defer { if exchange.counts.sentBytes > 0 { reply.bytes = exchange.counts.sentBytes } }
    let end = try exchange.run(
        connection, into: &sink, until: StopSignal(),
        limits: StreamLimits(idle: patience, closing: patience))
    // The near end closes once it has received everything.
    guard end == .finished else {
        throw DevmemError(
            .system, call: "wait for the near end to close", errno: .timedOut)
    }
}

private func receivePattern(
    _ listener: borrowing Listener, _ reply: inout FarEndReply
) throws(DevmemError) {
    let connection = try StopWatch(StopSignal()).accept(
        on: listener, until: .after(.milliseconds(Int(patience))), "wait for a connection")
    var sink = PatternSink(try Pattern("\(FarEndRequest.period)"))
    var receiver = PayloadReceiver(nil)
    defer {
        let comparison = sink.comparison
        (reply.bytes, reply.wrong) = (comparison.checkedBytes, comparison.wrongBytes)
        reply.mismatch = comparison.firstMismatch
    }
    _ = try receiver.run(
        connection, into: &sink, until: StopSignal(), limits: StreamLimits(idle: patience))
}
