import DevmemCore
/// Formats the intervals of a benchmark as CSV (RFC 4180): a heading, then a line per interval and
/// flow. Pure.
///
/// - Parameter report: the benchmark.
/// - Returns: lines that end with a newline; rates in bytes per second, and the CPU time of a whole
///   side in seconds per second.
package func benchCSV(of report: BenchReport) -> String {
    var lines = [
        "time_s,interval_s,flow,inbound_bytes_per_s,outbound_bytes_per_s,near_cpu_user,"
            + "near_cpu_system,far_cpu_user,far_cpu_system,near_host_softirq"
    ]
    for interval in report.intervals {
        let length = max(interval.seconds, 1e-9)
        let shares = [
            interval.nearUser, interval.nearSystem, interval.farUser, interval.farSystem,
            interval.softirq,
        ].map { decimal($0 / length, 4) }
        for flow in 0..<max(interval.inbound.count, interval.outbound.count) {
            let rates = [interval.inbound, interval.outbound].map { bytes in
                bytes.indices.contains(flow) ? decimal(Double(bytes[flow]) / length, 0) : "0"
            }
            lines.append(
                ([decimal(interval.time, 3), decimal(interval.seconds, 3), "\(flow + 1)"] + rates
                    + shares).joined(separator: ","))
        }
    }
    return lines.map { $0 + "\n" }.joined()
}

/// Formats a non-negative number with the given number of decimals, in any locale; larger numbers
/// than fit are clamped.
func decimal(_ number: Double, _ decimals: Int) -> String {
    let factor = (0..<decimals).reduce(1.0) { product, _ in product * 10 }
    // NaN is not greater than zero.
    let scaled = number > 0 ? UInt64(min((number * factor).rounded(), 1e18)) : 0
    guard decimals > 0 else { return "\(scaled)" }
    let unit = UInt64(factor)
    let fraction = String(scaled % unit)
    return "\(scaled / unit)." + String(repeating: "0", count: decimals - fraction.count)
        + fraction
}
