import CDevmem
import Glibc
import Logging
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// A remote side that a test controls step by step.
private struct ScriptedRemote {
    let channel: BenchChannel
    let stop: SharedStopSignal

    /// Runs the protocol until connections are expected, and returns the endpoints to connect to.
    func begin() throws -> [Endpoint] {
        try channel.greet()
        guard case .plan(_, let text, let ports) = try channel.receive(seconds: 5, "say") else {
            throw DevmemError(.malformed, call: "read the plan")
        }
        try channel.tell(.ready)
        #expect(try channel.receive(seconds: 5, "listen") == .connect)
        let address = try #require(IPAddress(text: text))
        return ports.map { Endpoint(address: address, port: $0) }
    }

    func connect(to near: Endpoint, from address: String, port: UInt16 = 0) throws -> Connection {
        let ip = try #require(IPAddress(text: address))
        let local = Endpoint(address: ip, port: port)
        return try stop.connect(to: near, from: local, milliseconds: 5000)
    }

    /// Announces a connection, sends payload over it, and reports.
    func measure(
        _ connection: borrowing Connection, bytes: Int, _ report: [BenchMessage]
    ) throws {
        let place = connection.local
        let local = try #require(place)
        try channel.tell(.connected(from: [BenchPlan.Source(local)]))
        #expect(try channel.receive(seconds: 5, "begin") == .start)
        let payload = [UInt8](repeating: 0, count: bytes)
        #expect(write(connection.rawValue, payload, bytes) == bytes)
        try connection.finishSending()
        try channel.tell(report)
        // Wait until the local side has closed.
        var byte: UInt8 = 0
        try stop.wait(
            for: connection.rawValue, events: Int32(POLLIN), milliseconds: 10_000, "end")
        _ = read(connection.rawValue, &byte, 1)
    }
}

/// Keeps a connection open.
private final class Kept {
    private let connection: Connection

    init(_ connection: consuming Connection) {
        self.connection = connection
    }
}

/// Returns a port that is free at the moment.
private func freePort() throws -> UInt16 {
    let address = try #require(IPAddress(text: "127.0.0.1"))
    return try Listener(binding: Endpoint(address: address, port: 0)).endpoint.port
}

/// Runs a local side that receives from a scripted remote side.
private func receive(
    port: UInt16? = nil, flows: Int = 1, queues: QueueChoice = .automatic(1),
    from script: @escaping @Sendable (ScriptedRemote) throws -> Void
) throws -> BenchReport {
    var plan = BenchPlan()
    plan.inbound = BenchPlan.Direction(sender: .host, receiver: .host)
    plan.bytes = 1000
    plan.flows = flows
    let request = BenchRequest(
        remoteSide: .serving([]), interface: nil, plan: plan, queues: queues, port: port)
    try request.check()
    let (ours, theirs) = try makeChannel()
    let near = Descriptor(owning: ours)
    let far = Descriptor(owning: theirs)
    let number = far.rawValue
    let scripted = try Thread {
        let stop = SharedStopSignal(StopSignal())
        let channel = BenchChannel(
            input: number, output: number, to: "the near end", stop: stop)
        do {
            try script(ScriptedRemote(channel: channel, stop: stop))
        } catch {
            Issue.record(error)
            shutdown(number, Int32(SHUT_RDWR))
        }
    }
    let stop = SharedStopSignal(StopSignal())
    let channel = BenchChannel(
        input: near.rawValue, output: near.rawValue, to: "the peer", stop: stop)
    try channel.greet()
    let address = try #require(IPAddress(text: "127.0.0.1"))
    let result = Result {
        try BenchLocalSide(
            request, NetworkInterface(named: "lo"), Endpoint(address: address, port: 0), channel,
            stop
        ).run(
            "there", started: { _, _ in }, seen: { _ in }, logger: Logger(label: "near end"))
    }
    try scripted.wait()
    withExtendedLifetime(near) {}
    withExtendedLifetime(far) {}
    return try result.get()
}

private let good: [BenchMessage] = [.flow(BenchFlowReport(flow: 1)), .end(BenchEndReport())]

@Suite(.serialized, .enabled(if: tellsOfQueues), .timeLimit(.minutes(1)))
struct BenchForeignConnectionTests {
    /// A connection from another host can have the same port and arrive first.
    @Test func foreignConnectionFromTheSamePortIsClosed() throws {
        let port = try freePort()
        let ended = Mutex<Int?>(nil)
        let report = try receive { far in
            let near = try #require(try far.begin().first)
            let foreign = try far.connect(to: near, from: "127.0.0.2", port: port)
            #expect(write(foreign.rawValue, "junk", 4) == 4)
            let own = try far.connect(to: near, from: "127.0.0.1", port: port)
            try far.measure(own, bytes: 1000, good)
            try far.stop.wait(
                for: foreign.rawValue, events: Int32(POLLIN), milliseconds: 5000, "be closed")
            var byte: UInt8 = 0
            ended.withLock { $0 = read(foreign.rawValue, &byte, 1) }
        }
        #expect(report.failure == nil && report.inbound?.bytes == 1000)
        // End of file or a reset.
        #expect(ended.withLock { $0 }.map { $0 <= 0 } == true)
    }

    /// Connections from other hosts arrive before the remote side has announced its own.
    @Test func unannouncedConnectionsDoNotFillTheBacklog() throws {
        let report = try receive { far in
            let near = try #require(try far.begin().first)
            let foreign = try (0..<20).map { _ in
                Kept(try far.connect(to: near, from: "127.0.0.2"))
            }
            let own = try far.connect(to: near, from: "127.0.0.1")
            try far.measure(own, bytes: 1000, good)
            withExtendedLifetime(foreign) {}
        }
        #expect(report.failure == nil && report.inbound?.bytes == 1000)
    }

    @Test(arguments: ["127.0.0.1", "anywhere"])
    func flowsThatShareASocketOrHaveNoneAreRefused(address: String) throws {
        let error = #expect(throws: DevmemError.self) {
            _ = try receive(flows: 2) { far in
                _ = try far.begin()
                let place = BenchPlan.Source(address: address, port: 9)
                try far.channel.tell(.connected(from: [place, place]))
            }
        }
        #expect(error?.description.contains(/connections? for 2 flows/) == true)
    }

    @Test func connectionsComeToTheNamedPort() throws {
        let port = try freePort()
        let seen = Mutex<[UInt16]>([])
        let report = try receive(port: port) { far in
            let near = try far.begin()
            seen.withLock { $0 = near.map(\.port) }
            let own = try far.connect(to: near[0], from: "127.0.0.1")
            try far.measure(own, bytes: 1000, good)
        }
        #expect(report.failure == nil && seen.withLock { $0 } == [port])
    }

    @Test func eachReceivingQueueHasAPort() throws {
        var plan = BenchPlan()
        plan.inbound = BenchPlan.Direction(sender: .host, receiver: .device)
        plan.seconds = 1
        plan.flows = 8
        func request(_ port: UInt16?) -> BenchRequest {
            BenchRequest(
                remoteSide: .serving([]), interface: nil, plan: plan, queues: .list([4, 5, 6]),
                port: port)
        }
        #expect(request(nil).portCount == 3)
        try request(65533).check()
        for port: UInt16 in [0, 65534] {
            let error = #expect(throws: DevmemError.self) { try request(port).check() }
            #expect(error?.description.contains("3 ports from \(port) on") == true)
        }
        plan.flows = 2
        #expect(request(nil).portCount == 2)
        plan.inbound = BenchPlan.Direction(sender: .device, receiver: .host)
        #expect(request(nil).portCount == 1)
    }

    /// The local results are reported, whatever the remote side reports.
    @Test(arguments: [
        [BenchMessage.flow(hugeFlow(1)), .end(BenchEndReport())],
        [.flow(BenchFlowReport(flow: 7)), .end(BenchEndReport())],
        [.flow(BenchFlowReport(flow: 1)), .flow(BenchFlowReport(flow: 1)), .end(BenchEndReport())],
        [.connect],
    ])
    func invalidPeerReportKeepsLocalResults(messages: [BenchMessage]) throws {
        let report = try receive { far in
            let near = try #require(try far.begin().first)
            let own = try far.connect(to: near, from: "127.0.0.1")
            try far.measure(own, bytes: 1000, messages)
        }
        let failure = try #require(report.failure)
        let words = ["it sent ", "not in the plan", "an unexpected \"connect\""]
        #expect(words.contains { failure.contains($0) }, "\(failure)")
        #expect(report.far == nil && report.near.flows.count == 1)
    }
}

@Suite struct BufferBoundTests {
    @Test func lessThanRequestedIsReported() {
        #expect(ReceiveBufferLimit(wanted: 4096, actual: 4096).shortfall == nil)
        #expect(ReceiveBufferLimit(wanted: 4096, actual: 9000).shortfall == nil)
        #expect(
            ReceiveBufferLimit(wanted: 4 << 20, actual: 425984).shortfall?.contains(
                "holds 416.0 KiB, not 4.0 MiB, because without CAP_NET_ADMIN net.core.rmem_max limits it"
            ) == true)
    }

    /// With CAP_NET_ADMIN a buffer can exceed net.core.rmem_max; without it, the user is notified.
    @Test func boundIsReadBack() throws {
        let most = try numbers(in: "/proc/sys/net/core/rmem_max")[0]
        let address = try #require(IPAddress(text: "127.0.0.1"))
        let listener = try Listener(binding: Endpoint(address: address, port: 0))
        let bound = try listener.limitBuffers(to: 4 * most)
        if try hasNetAdmin() {
            #expect(bound.actual == 4 * most && bound.shortfall == nil)
        } else {
            #expect(bound.actual <= 2 * most && bound.shortfall != nil)
        }
        // Values that the socket option cannot hold.
        #expect(try listener.limitBuffers(to: .max).actual > 0)
        #expect(try listener.limitBuffers(to: 0).actual > 0)
    }
}
