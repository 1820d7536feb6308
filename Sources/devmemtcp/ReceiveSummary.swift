import DevmemCore
import DevmemTools
import FoundationEssentials

/// Formats a receive report as text: one fact per line.
func summary(of report: ReceiveReport) -> String {
    let counts = report.counts
    var lines: [(String, String)] = []
    let bound = "\(report.interface), queues \(queueList(report.queues))"
    lines.append(("interface", bound + (report.driver.map { ", driver \($0)" } ?? "")))
    lines.append(("connection", "\(report.peer ?? "none") to \(report.listen)"))
    lines.append(
        (
            "payload",
            "\(counts.bytes) bytes in \(fixed(report.seconds, 3)) s, "
                + "\(fixed(report.bytesPerSecond / 1e6, 1)) MB/s"
        ))
    lines.append(
        (
            "device memory",
            "\(counts.deviceBytes) bytes (\(fixed(report.deviceShare * 100, 3)) %), "
                + counted(counts.fragments, "fragment")
        ))
    let reason = report.placement?.reason.map { ": \($0)" } ?? ""
    lines.append(
        (
            "elsewhere",
            "\(counts.linearBytes) bytes linear, \(counts.ordinaryBytes) ordinary\(reason)"
        ))
    if report.engine == .socket {
        lines.append(
            (
                "calls",
                "\(counts.receiveCalls) recvmsg, \(counts.tokenCalls) setsockopt to return "
                    + counted(counts.tokenRanges, "token range")
            ))
    } else {
        lines.append(("calls", counted(counts.receiveCalls, "batch", "batches")))
    }
    if report.pageSize != nil || report.pageSizeReason != nil {
        let size = report.pageSize.map { ByteCount.text(UInt64($0)) } ?? "one page"
        lines.append(("buffers", size + (report.pageSizeReason.map { "; larger: \($0)" } ?? "")))
    }
    let engine = report.engineReason.map { ": \($0)" } ?? ""
    lines.append(("engine", report.engine.rawValue + engine))
    lines.append(
        (
            "thread",
            threadText(
                cpus: report.processors, reason: report.processorsReason,
                isNAPIThreaded: report.isNAPIThreaded, busyPoll: report.busyPoll)
        ))
    lines.append(
        (
            "CPU",
            "\(fixed(report.userSeconds, 2)) s user, \(fixed(report.systemSeconds, 2)) s system"
        ))
    if let straight = report.directBytes {
        lines.append(("written", "\(straight) bytes straight from device memory"))
    }
    if let validation = report.validation { lines.append(("validation", text(of: validation))) }
    return aligned(lines)
}

/// Formats labels and values in two columns.
func aligned(_ lines: [(String, String)]) -> String {
    let width = lines.map(\.0.count).max() ?? 0
    return lines.map { label, value in
        label + String(repeating: " ", count: width + 2 - label.count) + value + "\n"
    }.joined()
}

/// Formats the result of a comparison as text.
func text(of validation: PatternComparison) -> String {
    guard let first = validation.firstMismatch else {
        return "\(validation.checkedBytes) bytes, all right"
    }
    return "\(validation.wrongBytes) of \(validation.checkedBytes) bytes wrong, the first at "
        + "offset \(first.offset): found \(first.found), expected \(first.expected)"
}

/// Formats a number with the given number of decimals.
func fixed(_ number: Double, _ decimals: Int) -> String {
    let factor = (0..<decimals).reduce(1.0) { product, _ in product * 10 }
    let scaled = (number * factor).rounded()
    guard scaled.magnitude < 1e15 else { return "\(number)" }
    let whole = Int(scaled.magnitude)
    let sign = scaled < 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(whole)" }
    let fraction = String(whole % Int(factor))
    let zeros = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(whole / Int(factor)).\(zeros)\(fraction)"
}

/// Encodes a report as JSON on one line, with sorted keys.
func json(of report: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return printableJSON(String(decoding: try encoder.encode(report), as: UTF8.self)) + "\n"
}

func printJSON(_ report: some Encodable) throws {
    try writeOutput(json(of: report))
}
