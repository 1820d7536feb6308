import DevmemCore
import DevmemTools

/// The report of `doctor`.
struct DoctorReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, kernel, interfaces, checks, failed, warnings, unknown
        case isReady = "ready"
    }

    /// A NIC and its device.
    struct Interface: Encodable {
        private enum CodingKeys: String, CodingKey {
            case interface, driver, bus, address, mtu, up, carrier, mac, memory
            case driverVersion = "driver_version"
            case firmwareVersion = "firmware_version"
            case numaNode = "numa_node"
            case speed = "speed_mbps"
            case iommuGroup = "iommu_group"
            case iommuType = "iommu_type"
        }

        var interface: String
        var driver: String?
        var driverVersion: String?
        var firmwareVersion: String?
        var bus: String?
        var address: String?
        var numaNode: Int?
        var speed: UInt64?
        var mtu: UInt32?
        var up: Bool?
        var carrier: Bool?
        var mac: String?
        var iommuGroup: String?
        var iommuType: String?
        var memory: [Memory]
    }

    /// A source of dma-bufs. Host memory has no distance.
    struct Memory: Encodable {
        var kind: String
        var name: String
        var driver: String?
        var node: String?
        var distance: String?
    }

    let version = 1
    var kernel: String
    var interfaces: [Interface]
    var checks: [DoctorCheck]
    var failed: Int
    var warnings: Int
    var unknown: Int
    var isReady: Bool

    init(host: HostFacts, devices: [NetworkDevice], checks: [DoctorCheck]) {
        kernel = host.kernelRelease
        interfaces = devices.map { Interface($0, host.memoryDevices) }
        self.checks = checks
        failed = checks.count { $0.verdict == .failed }
        warnings = checks.count { $0.verdict == .warning }
        unknown = checks.count { $0.verdict == .unknown }
        isReady = failed == 0
    }

    /// Formats the report as text: a section per group, and a line per check with its fix.
    func text(coloured: Bool) -> String {
        var lines: [String] = []
        for group in DoctorCheck.Group.allCases where group != .nic && group != .probe {
            let name = group == .kernel ? "kernel \(kernel)" : group.rawValue
            lines += section(name, checks.filter { $0.group == group }, coloured)
        }
        lines += section("nic", checks.filter { $0.group == .nic && $0.interface == nil }, coloured)
        for interface in interfaces {
            let own = checks.filter { $0.interface == interface.interface }
            lines += section(interface.heading, own.filter { $0.group == .nic }, coloured)
            lines += section(
                "probe of \(interface.interface)", own.filter { $0.group == .probe }, coloured)
        }
        lines.append(
            isReady ? "ready" : "not ready: \(counted(failed, "check")) failed")
        return lines.map { $0 + "\n" }.joined()
    }

    private func section(
        _ heading: String, _ checks: [DoctorCheck], _ coloured: Bool
    ) -> [String] {
        guard !checks.isEmpty else { return [] }
        let width = DoctorCheck.Verdict.allCases.map(\.rawValue.count).max() ?? 0
        return [printable(heading)]
            + checks.flatMap { check in
                let word = check.verdict.rawValue
                let gap = String(repeating: " ", count: width - word.count)
                let shown = coloured ? "\u{1b}[\(check.verdict.colour)m\(word)\u{1b}[0m" : word
                let line = "  \(shown)\(gap)  " + printable("\(check.title): \(check.evidence)")
                let margin = String(repeating: " ", count: width + 4)
                return [line] + (check.fix.map { ["\(margin)fix: " + printable($0)] } ?? [])
            }
    }
}

extension DoctorReport.Interface {
    init(_ device: NetworkDevice, _ memory: [MemoryDevice]) {
        interface = device.interface.name
        driver = device.driver
        driverVersion = device.driverVersion
        firmwareVersion = device.firmwareVersion
        bus = device.bus
        address = device.address
        numaNode = device.numaNode
        speed = device.speed
        mtu = device.mtu
        up = device.isUp
        carrier = device.hasCarrier
        mac = device.macAddress
        iommuGroup = device.iommuGroup
        iommuType = device.iommuType
        self.memory = memory.map {
            DoctorReport.Memory(
                kind: $0.kind.rawValue, name: $0.name, driver: $0.driver, node: $0.node,
                distance: $0.distance(to: device)?.rawValue)
        }
    }

    /// The interface and its device on one line.
    var heading: String {
        var parts: [String] = []
        if let driver { parts.append(driver + (driverVersion.map { " \($0)" } ?? "")) }
        if let firmwareVersion { parts.append("firmware \(firmwareVersion)") }
        if let bus, let address { parts.append("\(bus) \(address)") }
        if let mac { parts.append(mac) }
        return interface + (parts.isEmpty ? "" : ": " + parts.joined(separator: ", "))
    }
}

extension DoctorCheck.Verdict {
    /// The SGR colour code (ECMA-48).
    fileprivate var colour: Int {
        switch self {
        case .ok: 32
        case .warning: 33
        case .failed: 31
        case .unknown: 36
        }
    }
}
