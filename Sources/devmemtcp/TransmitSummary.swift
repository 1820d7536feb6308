import DevmemCore
import DevmemTools

/// Formats a transmit report as text: one fact per line.
func summary(of report: TransmitReport) -> String {
    let counts = report.counts
    var lines: [(String, String)] = []
    if let interface = report.interface {
        lines.append(("interface", interface + (report.driver.map { ", driver \($0)" } ?? "")))
    }
    lines.append(("connection", "\(report.local ?? "none") to \(report.peer)"))
    lines.append(
        (
            "payload",
            "\(counted(counts.sentBytes, "byte")) in \(fixed(report.seconds, 3)) s, "
                + "\(fixed(report.bytesPerSecond / 1e6, 1)) MB/s"
        ))
    lines.append(("received", counted(counts.receivedBytes, "byte")))
    lines.append(
        (
            "calls",
            "\(counts.inputCalls) read, \(counts.sendCalls) sendmsg, "
                + "\(counted(counts.completions, "completion")), \(counted(counts.bufferWaits, "wait")) for buffers"
        ))
    if counts.copiedSends > 0 { lines.append(("copied", counted(counts.copiedSends, "send"))) }
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
    if let validation = report.validation { lines.append(("validation", text(of: validation))) }
    if !report.peerClosed && report.failure == nil && report.stoppedBy == nil {
        lines.append(("peer", "did not close in time"))
    }
    return aligned(lines)
}
