import CDevmem
import FoundationEssentials
import Glibc

@testable import DevmemCore
@testable import DevmemTools

/// Valid inputs for what chance does not find: formats with keys, and long structures.
func seeds(for target: String) -> [[UInt8]] {
    switch target {
    case "bench": benchSeeds()
    case "control": [controlSeed()]
    case "journal": journalSeeds()
    case "netlink": netlinkSeeds()
    case "results": resultSeeds()
    case "rules": ruleSeeds()
    case "validation": validationSeeds()
    default: []
    }
}

private func line(_ value: some Encodable) -> [UInt8] { (try? jsonLine(of: value)) ?? [] }

private func resultSeeds() -> [[UInt8]] {
    let way = #"{"memory":{"sender":"host","receiver":"device"},"bytes_per_second":1e9}"#
    let text = """
        {"near":{"host":"node1"},"far":{"host":"node2"},"inbound":\(way),"outbound":\(way)}
        {"near":{"host":"node1"},"far_end":"ssh:node10","time":"now","inbound":\(way),"failure":"no"}
        {"version":1,"error":{"text":"it broke"}}

        """
    return text.split(separator: "\n").map { Array($0.utf8) } + [Array(text.utf8)]
}

private func benchSeeds() -> [[UInt8]] {
    var plan = BenchPlan()
    plan.inbound = BenchPlan.Direction(sender: .device, receiver: .host)
    plan.seconds = 10
    plan.congestion = "cubic"
    plan.source = BenchPlan.Source(address: "192.0.2.2", port: 40000)
    plan.remoteProcessors = [0, 2]
    let sample = BenchSample(
        time: 1, seconds: 1, received: [4096], sent: [0], user: 0.1, system: 0.2, softirq: 0.3)
    var flow = BenchFlowReport(flow: 1)
    flow.validation = PatternSink(fixedPattern).comparison
    flow.failure = "reset"
    var end = BenchEndReport()
    end.interface = "eth1"
    end.host = "farm1"
    end.kernel = "7.3.4"
    end.boundQueues = [6, 7]
    end.seconds = 10
    end.queues = [BenchEndReport.Queue(type: "rx", id: 6, counters: ["rx-packets": 7])]
    end.pools = [BenchEndReport.Pool(id: 3, inFlight: 2, inFlightBytes: 8192)]
    end.flows = [flow]
    let control: [BenchMessage] = [
        .hello(version: BenchMessage.version), .plan(plan, address: "192.0.2.1", ports: [5202]),
        .ready, .connect, .connected(from: [BenchPlan.Source(address: "::1", port: 9)]), .start,
        .interval(sample), .stop(signal: 2), .failure("no memory"),
    ]
    let report = end.messages
    return (control + report).map { [0] + line($0) }
        + [[0] + (control.prefix(1) + control[6...6] + report).flatMap { line($0) }]
}

private let fixedPattern: Pattern = {
    guard let pattern = try? Pattern("7") else { fatalError("no pattern") }
    return pattern
}()

private func validationSeeds() -> [[UInt8]] {
    let request = ValidationPeerRequest(id: 1, action: .send, address: "192.0.2.1", port: 5)
    var reply = ValidationPeerReply(id: 1)
    reply.failure = "no route"
    reply.source = ValidationPeerReply.Source(
        Endpoint(address: IPAddress(four: (192, 0, 2, 2)), port: 9))
    let messages: [ValidationMessage] = [.hello(version: 1), .request(request), .reply(reply)]
    return messages.map { line($0) } + [messages.flatMap { line($0) }]
}

private func journalSeeds() -> [[UInt8]] {
    (UInt64(0)..<24).compactMap { seed in
        guard let scene = try? SteeringScene(seed: seed), var journal = try? scene.journal() else {
            return nil
        }
        journal.begun = journal.changes.count
        return (try? JSONEncoder().encode(journal)).map { [UInt8(seed)] + [UInt8]($0) }
    }
}

private func controlSeed() -> [UInt8] {
    func message(_ type: Int32, _ offset: UInt64, _ length: UInt32, _ token: UInt32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(cdm_cmsg_space_dmabuf))
        bytes.store(UInt64(bytes.count), at: 0)
        bytes.store(DevmemSocketNumber.level, at: 8)
        bytes.store(type, at: 12)
        bytes.store(offset, at: 16)
        bytes.store(length, at: 24)
        bytes.store(token, at: 28)
        bytes.store(UInt32(7), at: 32)
        return bytes
    }
    return [1, 0, 0, 0] + message(DevmemSocketNumber.dmabuf, 4096, 100, 1)
        + message(DevmemSocketNumber.linear, 0, 10, 0)
        + message(DevmemSocketNumber.dmabuf, 8192, 100, 2)
}

/// One datagram with a message of a family, and its acknowledgement with a text and an offset.
private func netlinkSeeds() -> [[UInt8]] {
    guard let request = try? NetlinkMessage(family: 21, command: 10, version: 1),
        (try? request.put(NetdevNumber.Queue.id, UInt32(1))) != nil,
        (try? request.put(NetdevNumber.Queue.type, UInt32(0))) != nil,
        (try? request.nest(NetdevNumber.Queue.lease) { nest throws(DevmemError) in
            try nest.put(1, UInt32(2))
        }) != nil
    else { return [] }
    let bytes = request.bytes
    var answer = [UInt8](repeating: 0, count: 36)
    answer.store(NetlinkFrame.typeError, at: cdm_nlmsghdr_type)
    answer.store(UInt16(0x300), at: cdm_nlmsghdr_flags)
    answer.store(Int32(-22), at: 16)
    answer += [9, 0, 1, 0] + Array("text\0".utf8) + [0, 0, 0] + [8, 0, 2, 0, 20, 0, 0, 0]
    answer.store(UInt32(answer.count), at: 0)
    let start = [UInt8(bytes.count)] + bytes
    return [start + bytes, start + answer, start + bytes + answer]
}

private func ruleSeeds() -> [[UInt8]] {
    let rules = [false, true].map { isIPv6 in
        var rule = FlowRule(isIPv6: isIPv6, destinationPort: 5201, target: .queue(3))
        rule.source = [UInt8](repeating: 2, count: isIPv6 ? 16 : 4)
        return rule
    }
    let bytes = rules.compactMap { try? FlowSpec.encode($0, location: 1) }
    return [[1, 0, 0, 0] + bytes.flatMap { $0 + $0 }]
}
