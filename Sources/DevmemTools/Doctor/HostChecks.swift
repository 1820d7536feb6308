import DevmemCore
/// Checks the kernel and the host. Pure.
///
/// - Parameter facts: what was read.
/// - Returns: the checks of the groups kernel, privileges, memory and network.
package func checks(of facts: HostFacts) -> [DoctorCheck] {
    kernelChecks(facts) + privilegeChecks(facts) + memoryChecks(facts) + networkChecks(facts)
}

private func privilegeChecks(_ facts: HostFacts) -> [DoctorCheck] {
    var list = CheckList(.privileges)
    let title = "Privilege to bind and steer"
    if let has = list.value(of: facts.hasNetAdmin, "cap-net-admin", title) {
        list.add(
            "cap-net-admin", title, has ? .ok : .failed,
            has ? "CAP_NET_ADMIN is in effect" : "this process lacks CAP_NET_ADMIN",
            fix: has ? nil : asRoot)
    }
    let journal = "Steering journals"
    if let may = list.value(of: facts.journalAccess, "journal-folder", journal) {
        list.add(
            "journal-folder", journal, may ? .ok : .failed,
            "\(facts.journalFolder) \(may ? "can" : "cannot") be written",
            fix: may ? nil : asRoot)
    }
    let enough = facts.openFiles >= minimumOpenFiles
    list.add(
        "open-files", "Limit on open files", enough ? .ok : .warning,
        "\(facts.openFiles)"
            + (enough ? "" : "; many simultaneous connections need more"),
        fix: enough ? nil : "ulimit -n \(minimumOpenFiles)")
    return list.checks
}

/// The fix for checks that need root.
var asRoot: String { "sudo \(AdvisedCommand(.checkHost))" }

/// The usual default limit of a login; each connection uses one descriptor.
private let minimumOpenFiles: UInt64 = 1024

private func networkChecks(_ facts: HostFacts) -> [DoctorCheck] {
    var list = CheckList(.network)
    for setting in bufferSettings {
        guard let reading = facts.sysctls[setting.name],
            let numbers = list.value(of: reading, setting.id, setting.title)
        else { continue }
        let most = numbers[numbers.count - 1]
        let enough = most >= setting.least
        let fresh = numbers.dropLast().map { "\($0)" } + ["\(setting.proposal)"]
        let value = fresh.count == 1 ? fresh[0] : "'\(fresh.joined(separator: " "))'"
        list.add(
            setting.id, setting.title, enough ? .ok : .warning,
            "\(setting.name) allows \(ByteCount.text(most))"
                + (enough ? "" : "; \(setting.consequence)"),
            fix: enough ? nil : "sysctl -w \(setting.name)=\(value)")
    }
    return list.checks
}

/// A sysctl whose last number is the maximum size of a buffer.
private struct BufferSetting {
    let id: String
    let name: String
    let title: String
    /// The size in bytes below which it limits throughput.
    let least: UInt64
    /// The size in bytes that the fix sets.
    let proposal: UInt64
    let consequence: String
}

/// 16 MiB suffice for 10 Gbit/s with a round-trip time of 13 ms, or for 100 Gbit/s with 1.3 ms.
private let minimumWindow: UInt64 = 16 << 20
private let proposedWindow: UInt64 = 64 << 20

private let bufferSettings = [
    BufferSetting(
        id: "tcp-rmem", name: "net.ipv4.tcp_rmem", title: "Receive window", least: minimumWindow,
        proposal: proposedWindow, consequence: "limits the TCP window and with it throughput"),
    BufferSetting(
        id: "tcp-wmem", name: "net.ipv4.tcp_wmem", title: "Send buffer", least: minimumWindow,
        proposal: proposedWindow, consequence: "limits data in flight and with it throughput"),
    BufferSetting(
        id: "rmem-max", name: "net.core.rmem_max",
        title: "Limit of SO_RCVBUF",
        least: minimumWindow, proposal: proposedWindow,
        consequence: "programs that set SO_RCVBUF get no larger window"),
    BufferSetting(
        id: "wmem-max", name: "net.core.wmem_max", title: "Limit of SO_SNDBUF",
        least: minimumWindow, proposal: proposedWindow,
        consequence: "programs that set SO_SNDBUF get no larger buffer"),
    BufferSetting(
        id: "optmem-max", name: "net.core.optmem_max", title: "Zero-copy sends in flight",
        least: 128 << 10, proposal: 1 << 20,
        consequence: "sendmsg fails with ENOBUFS when completions are late"),
]
