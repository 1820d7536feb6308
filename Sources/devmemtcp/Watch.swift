import DevmemCore
import DevmemTools

/// Shows the rates of an interface's queues per interval: in place on a terminal, otherwise as
/// lines or JSON.
struct Watch {
    var interface: NetworkInterface
    var interval: Interval
    /// The number of intervals; nil for no limit.
    var count: Int?
    var isJSON: Bool

    /// Runs until a signal arrives or all intervals are over, and returns the signal.
    ///
    /// - Throws: `DevmemError` if the interface disappears or the output cannot be written.
    func run() throws -> Int32? {
        let stop = try StopSignal.ofUser()
        var last = try QueueSample(of: interface)
        guard last.isCounted else {
            throw DevmemError(
                .unsupported, call: "watch \(interface.name)",
                message: "its driver does not count packets per queue",
                advice: "ethtool -S \(shellWord(interface.name)) shows what it counts")
        }
        let isInPlace = !isJSON && terminalSize() != nil
        if isInPlace { try draw(last, rates: last.queues.map { QueueRate(of: $0) }) }
        var next = last.time
        var done = 0
        while done < count ?? .max {
            next = max(next + interval.duration, .now)
            if let signal = try stop.wait(milliseconds: milliseconds(until: next)) {
                return signal
            }
            let sample = try QueueSample(of: interface)
            let (rates, seconds) = sample.rates(since: last)
            if isInPlace {
                try draw(sample, rates: rates)
            } else if isJSON {
                try writeOutput(
                    json(
                        of:
                            WatchReport(
                                interface: interface.name, time: timeStamp(), seconds: seconds,
                                sample: sample, rates: rates)))
            } else {
                let time = timeStamp()
                try writeOutput(
                    rates.filter(\.isActive).map { "\(time) \(interface.name) \(line(of: $0))\n" }
                        .joined())
            }
            last = sample
            done += 1
        }
        return nil
    }

    private func milliseconds(until time: ContinuousClock.Instant) -> Int32 {
        let left = (time - .now) / .milliseconds(1)
        return Int32(min(max(left.rounded(.up), 0), Double(Int32.max)))
    }

    /// Formats a queue's rates: `rx 7 1200.0 packets/s 1.3 MiB/s 0.0 drops/s 0.0 alloc-fail/s`.
    private func line(of rate: QueueRate) -> String {
        let queue = rate.queue.info
        var parts = ["\(queue.type) \(queue.id)"]
        for (value, unit) in [
            (rate.packets, "packets/s"), (rate.bytes, "bytes/s"), (rate.drops, "drops/s"),
            (rate.allocationFailures, "alloc-fail/s"),
        ] {
            if let value { parts.append("\(fixed(value, 1)) \(unit)") }
        }
        return parts.joined(separator: " ")
    }

    /// Redraws the screen with a single write, so that it does not flicker.
    private func draw(_ sample: QueueSample, rates: [QueueRate]) throws(DevmemError) {
        let size = terminalSize() ?? (rows: 24, columns: 80)
        let screen = watchScreen(
            title: "\(interface.name)\(sample.isUp ? "" : ", down")  \(timeStamp())",
            rates: rates, detached: sample.detachedPools, rows: size.rows)
        let lines = screen.map { "\(printable($0).prefix(size.columns))\u{1b}[K\r\n" }.joined()
        try ReportStream.output.writeForTerminal("\u{1b}[H\(lines)\u{1b}[J")
    }
}

/// Returns the lines of a screen with the given number of rows. If not all queues fit, idle queues
/// are left out first.
func watchScreen(
    title: String, rates: [QueueRate], detached: [DetachedPool], rows: Int
) -> [String] {
    // The cursor stays in the last row, so that row is left empty.
    let room = max(rows - 1, 3)
    let below = detached.isEmpty ? [] : [brief(detached)]
    let fixedLines = 2 + below.count
    var shown = rates
    if shown.count + fixedLines > room {
        shown = shown.filter(\.isActive)
        if shown.count + fixedLines + 1 > room {
            shown = Array(shown.prefix(max(room - fixedLines - 1, 0)))
        }
    }
    var table = TextTable([
        "queue", "held by", "in flight#", "packets/s#", "bytes/s#", "drops/s#", "alloc-fail/s#",
    ])
    for rate in shown {
        let queue = rate.queue
        table.add([
            "\(queue.info.type) \(queue.info.id)", occupantText(queue.info),
            queue.inFlightBytes.map(ByteCount.text), rate.packets.map { fixed($0, 0) },
            rate.bytes.map { ByteCount.text(UInt64(exactly: $0.rounded()) ?? .max) },
            rate.drops.map { fixed($0, 0) },
            rate.allocationFailures.map { fixed($0, 0) },
        ])
    }
    var lines = [title] + table.lines
    if shown.count < rates.count { lines.append(counted(rates.count - shown.count, "more queue")) }
    return Array((lines + below).prefix(room))
}
