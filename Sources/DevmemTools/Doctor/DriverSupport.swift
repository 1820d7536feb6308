import DevmemCore
/// What is known about a driver's support of device memory TCP. Only a trial binding is conclusive:
/// vendors backport, and chips differ.
struct DriverSupport: Equatable {
    /// The first kernel release in which the driver receives into device memory; nil if none does.
    var receive: String?
    /// The first kernel release in which it sends from device memory; nil if none does.
    var send: String?
    /// Further conditions.
    var note: String?

    /// Keyed by the driver's name in sysfs; as of the sources of Linux 7.3 in drivers/net/ethernet.
    private static let known: [String: DriverSupport] = [
        "bnxt_en": DriverSupport(
            receive: "6.16", send: "6.17", note: "with a P5 chip or newer"),
        "mlx5_core": DriverSupport(
            receive: "6.17", send: "6.17", note: "with hardware GRO for header split"),
        "gve": DriverSupport(
            receive: "6.18", send: "6.16", note: "with the DQO queue format; not on queue 0"),
        "fbnic": DriverSupport(receive: "6.18", send: "6.18"),
        "labnic": DriverSupport(receive: "6.12", send: "7.2", note: "the lab's software NIC"),
        "bnge": DriverSupport(), "ice": DriverSupport(), "idpf": DriverSupport(),
        "eea": DriverSupport(), "netdevsim": DriverSupport(),
    ]

    /// Returns what is known about a driver; nil if nothing is.
    static func of(_ driver: String) -> DriverSupport? { known[driver] }

    /// Tells whether a driver is known not to receive with a kernel. Not conclusive, as vendors
    /// backport. Pure.
    ///
    /// - Parameters:
    ///   - driver: the name in sysfs.
    ///   - kernel: the release as uname(2) reports it.
    /// - Returns: why it cannot receive; nil if it can or nothing is known.
    static func lackOfReceive(_ driver: String, kernel: String) -> String? {
        guard let support = of(driver), let running = version(kernel) else { return nil }
        guard let first = support.receive else { return "\(driver): \(support.text)" }
        guard let needed = version(first), running.lexicographicallyPrecedes(needed) else {
            return nil
        }
        return "\(driver) receives into device memory since Linux \(first)"
    }

    /// The first two numbers of a release, such as 6 and 12 of `6.12.57+deb13-cloud-amd64`; nil if it
    /// does not begin with them.
    private static func version(_ release: String) -> [UInt32]? {
        guard let match = release.prefixMatch(of: /([0-9]+)\.([0-9]+)/),
            let major = UInt32(match.1), let minor = UInt32(match.2)
        else { return nil }
        return [major, minor]
    }

    /// The support as text.
    var text: String {
        guard receive != nil || send != nil else {
            return "no device memory TCP as of Linux 7.3"
        }
        let parts = [
            receive.map { "receives into device memory since Linux \($0)" },
            send.map { "sends from it since \($0)" }, note,
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }
}
