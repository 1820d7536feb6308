import DevmemCore
/// What is known of a driver's device memory TCP. Only a bind tells for sure: vendors port back, and
/// chips differ.
struct DriverSupport: Equatable {
    /// The kernel release since which the driver receives into device memory; nil if it does not.
    var receive: String?
    /// The kernel release since which it sends from device memory; nil if it does not.
    var send: String?
    /// What else is to be known.
    var note: String?

    /// By the driver's name in sysfs; as of Linux 7.3, by the sources in drivers/net/ethernet.
    private static let known: [String: DriverSupport] = [
        "bnxt_en": DriverSupport(
            receive: "6.16", send: "6.17", note: "with a P5 chip or newer"),
        "mlx5_core": DriverSupport(
            receive: "6.17", send: "6.17", note: "with hardware GRO for header split"),
        "gve": DriverSupport(
            receive: "6.18", send: "6.16", note: "with the DQO queue format; not on queue 0"),
        "fbnic": DriverSupport(receive: "6.18", send: "6.18"),
        "labnic": DriverSupport(receive: "7.3", send: "7.3", note: "the lab's software NIC"),
        "bnge": DriverSupport(), "ice": DriverSupport(), "idpf": DriverSupport(),
        "eea": DriverSupport(), "netdevsim": DriverSupport(),
    ]

    /// What is known of a driver; nil if nothing is.
    static func of(_ driver: String) -> DriverSupport? { known[driver] }

    /// In words.
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
