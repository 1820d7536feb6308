/// How often the changes of a plan interrupt all traffic of a NIC because its driver closes and
/// reopens all queues. Other changes interrupt nothing.
package struct SteeringInterruptions: Equatable, Sendable, Encodable {
    private enum CodingKeys: String, CodingKey {
        case applying, restoring
        case losesLink = "loses_link"
    }

    /// The most interruptions while the changes are made; nil if unknown for the driver.
    package let applying: Int?
    /// The most interruptions while they are restored; nil if unknown for the driver.
    package let restoring: Int?
    /// Whether the link goes down each time; nil if unknown for the driver.
    package let losesLink: Bool?

    /// Counts the interruptions, as the drivers of Linux 7.3 cause them.
    ///
    /// - Parameters:
    ///   - changes: the changes of a plan.
    ///   - driver: the kernel driver's name, if known.
    package init(of changes: [SteeringChange], driver: String?) {
        guard let habits = driver.flatMap({ InterruptingSettings.known[$0] }) else {
            applying = changes.isEmpty ? 0 : nil
            restoring = changes.isEmpty ? 0 : nil
            losesLink = nil
            return
        }
        var applying = 0
        var restoring = 0
        var hasRings = false
        for change in changes {
            switch change {
            case .headerSplit(let before, _, _) where habits.stoppedBy.contains(.rings):
                // gve: the probe for a user's "off" may cost one, and restoring the driver's own
                // takes two.
                let count = before == .off && driver == "gve" ? 2 : 1
                applying += count
                restoring += count
                hasRings = true
            case .splitThreshold where habits.stoppedBy.contains(.rings) && !hasRings:
                applying += 1
                restoring += 1
            case .indirection where habits.stoppedBy.contains(.table),
                .feature(.flowRules, _) where habits.stoppedBy.contains(.flowRules),
                .feature(.hardwareGRO, _) where habits.stoppedBy.contains(.hardwareGRO):
                applying += 1
                restoring += 1
            default: break
            }
        }
        self.applying = applying
        self.restoring = restoring
        losesLink = habits.losesLink
    }

    /// Returns a sentence for users.
    ///
    /// - Parameter driver: the kernel driver's name, if known.
    /// - Returns: the sentence, without a full stop.
    package func text(driver: String?) -> String {
        guard let applying, let restoring else {
            return
                "\(driver ?? "the driver") may stop all traffic for a moment, and the link may go "
                + "down, while settings change"
        }
        if applying == 0 && restoring == 0 { return "no traffic is interrupted" }
        return
            "\(driver ?? "the driver") stops all traffic up to \(Self.times(applying)) to apply, and "
            + "up to \(Self.times(restoring)) to restore"
            + (losesLink == true ? "; the link goes down each time" : "")
    }

    private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
}

/// The settings for which a driver closes and reopens all queues.
private struct InterruptingSettings {
    enum Setting {
        case rings, table, flowRules, hardwareGRO
    }

    let stoppedBy: Set<Setting>
    let losesLink: Bool

    /// The functions concerned:
    /// - bnxt: `bnxt_set_ringparam`, `bnxt_set_rxfh` and `bnxt_set_features`.
    /// - fbnic: `fbnic_set_ringparam`.
    /// - gve: `gve_set_ringparam`; binding and unbinding stop all queues too (`gve_turndown`).
    /// - mlx5: `set_feature_hw_gro` of en_main.c; a change of header split alone stops nothing.
    static let known: [String: InterruptingSettings] = [
        "bnxt_en": InterruptingSettings(stoppedBy: [.rings, .table, .flowRules], losesLink: true),
        "fbnic": InterruptingSettings(stoppedBy: [.rings], losesLink: false),
        "gve": InterruptingSettings(stoppedBy: [.rings], losesLink: true),
        "mlx5_core": InterruptingSettings(stoppedBy: [.hardwareGRO], losesLink: true),
    ]
}
