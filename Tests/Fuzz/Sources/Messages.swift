import DevmemCore
import Glibc

@testable import DevmemTools
@testable import devmemtcp

/// Reads messages as a channel does, up to the first that it refuses.
private func messages<Message: RemoteMessage>(
    in input: FuzzInput, _ type: Message.Type
) -> [Message] {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { fatalError("no pipe") }
    defer { close(ends[0]) }
    let bytes = input.bytes
    // A pipe holds 64 KiB, more than any input has.
    require(write(ends[1], bytes, bytes.count) == bytes.count, "a short write")
    close(ends[1])
    let channel = RemoteChannel<Message>(
        input: ends[0], output: -1, to: "peer", stop: SharedStopSignal(StopSignal()))
    var messages: [Message] = []
    do throws(DevmemError) {
        repeat {
            while let message = try channel.next() { messages.append(message) }
        } while try channel.fill()
    } catch {
        require(error.kind == .malformed, "\(error)")
        checkPrintable(error.description)
    }
    return messages
}

/// Messages written again are those that were read.
private func checkLine<Message: RemoteMessage & Equatable>(_ message: Message) {
    guard let line = try? jsonLine(of: message) else { fatalError("\(message) cannot be written") }
    require(
        LineReader.message(Message.self, in: Array(line.dropLast())) == message,
        "\(message) reads otherwise")
    require(message.printed == message, "\(message) is escaped twice")
    require(message.failureText.map(isPrintable) ?? true, "a failure that is not printable")
}

/// What the peer of a benchmark sends, and the reports made of it.
func fuzzBenchMessages(_ input: FuzzInput) {
    var input = input
    let flows = 1 + Int(input.number(UInt8.self) % 4)
    var assembler = PeerReportAssembler(flows: flows)
    var plan = BenchPlan()
    plan.inbound = BenchPlan.Direction(sender: .device, receiver: .device)
    plan.flows = flows
    for message in messages(in: input, BenchMessage.self) {
        checkLine(message)
        switch message {
        case .plan(let wanted, _, let ports): if check(wanted, ports) { plan = wanted }
        case .connected(let ends):
            if let sources = try? AnnouncedSources(ends, ports: 2) { _ = sources }
        default: _ = try? assembler.take(message, after: .seconds(1))
        }
    }
    if let report = assembler.report { check(plan, report, assembler.samples) }
}

/// Returns whether a plan is one that is carried out.
private func check(_ plan: BenchPlan, _ ports: [UInt16]) -> Bool {
    guard (try? plan.check()) != nil else { return false }
    require(plan.receiveShare ?? 1 > 0, "no share of the memory")
    require(
        plan.source.map { $0.endpoint(of: plan.flows - 1) != nil } ?? true, "no source")
    _ = (plan.remoteChoice, BenchRole.local(of: plan), BenchRole.remote(of: plan))
    if !ports.isEmpty {
        for flow in 0..<plan.flows {
            let port = BenchSchedule.port(of: flow, ports: ports.count)
            require(ports.indices.contains(port), "flow \(flow) has port \(port)")
        }
    }
    return true
}

private func check(_ plan: BenchPlan, _ report: BenchEndReport, _ samples: [BenchSample]) {
    let parts = report.messages
    require(
        parts.count == report.flows.count + report.queues.count + report.pools.count + 1,
        "\(parts.count) messages of a report")
    for near in [BenchEndReport(), report] {
        let whole = BenchReport(
            plan, peer: "peer", near: near, far: report,
            intervals: BenchInterval.joined(near: samples, far: samples))
        let lines = summary(of: whole).split(separator: "\n")
        require(lines.count > 4, "a summary of \(lines.count) lines")
        for line in lines { require(isPrintable(String(line)), "\(line) is not printable") }
        let rows = benchCSV(of: whole).split(separator: "\n")
        let expected = samples.reduce(1) { $0 + $1.received.count }
        require(rows.count == expected, "\(rows.count) rows for \(expected)")
        for row in rows { require(row.split(separator: ",").count == 10, String(row)) }
        let plot = benchPlot(of: whole)
        require(!plot.contains("nan") && !plot.contains("inf"), "a plot of what is no number")
        guard let text = try? json(of: whole) else { fatalError("no JSON of a report") }
        require(!text.isEmpty, "an empty report")
    }
    for sample in samples { checkPrintable(liveLine(of: sample, left: 1)) }
}

/// What the two sides of a validation send.
func fuzzValidationMessages(_ input: FuzzInput) {
    var pending = PendingReplies()
    for message in messages(in: input, ValidationMessage.self) {
        guard let line = try? jsonLine(of: message),
            let again = LineReader.message(ValidationMessage.self, in: Array(line.dropLast()))
        else { fatalError("\(message) cannot be written and read") }
        switch (message, again) {
        case (.hello(let one), .hello(let other)): require(one == other, "another version")
        case (.request(let one), .request(let other)): require(one == other, "another request")
        case (.reply(let one), .reply(let other)):
            require(one == other, "another reply")
            require(one.failure.map(isPrintable) ?? true, "a failure that is not printable")
            guard (try? pending.add(one)) != nil else { return }
            require(pending.remove { $0.id == one.id } != nil, "the reply is lost")
        default: fatalError("another kind of message")
        }
    }
}
