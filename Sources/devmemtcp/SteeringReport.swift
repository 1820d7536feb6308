import DevmemCore
import DevmemTools

/// The report of `steer show` on one NIC.
struct SteeringReport: Encodable {
    /// The settings that steering may change.
    struct Settings: Encodable {
        private enum CodingKeys: String, CodingKey {
            case driver, rings, channels, ntuple, contexts, rules, queues
            case headerSplit = "tcp_data_split"
            case splitThreshold = "hds_thresh"
            case hardwareGRO = "rx_gro_hw"
            case xdpProgram = "xdp_program"
            case ruleCapacity = "rule_capacity"
        }

        var driver: String?
        var headerSplit: String?
        var splitThreshold: UInt32?
        /// Present only if the driver needs it for header split.
        var hardwareGRO: Bool?
        var rings: [String: UInt32]
        var channels: ChannelCounts?
        var ntuple: Bool?
        var contexts: [Context]
        var rules: [Rule]
        var ruleCapacity: UInt32?
        var queues: [Queue]
        var xdpProgram: UInt32?
    }

    /// An RSS context.
    struct Context: Encodable {
        var id: UInt32
        var table: [UInt32]
        var key: String
        var function: UInt32
        var transform: UInt32
    }

    /// A flow rule; `raw` is the kernel's struct in hexadecimal.
    struct Rule: Encodable {
        var location: UInt32
        var text: String
        var raw: String
    }

    /// A receive queue and what occupies it.
    struct Queue: Encodable {
        var id: UInt32
        var holder: String?
    }

    /// The steering that a journal records.
    struct Steering: Encodable {
        var name: String?
        var state: String
        var owner: String
        var pid: Int32
        var queues: [UInt32]
        var changes: [ChangeReport]
    }

    var interface: String
    var settings: Settings?
    var steering: Steering?
    /// The owner of steering that has no journal here.
    var holder: String?
    /// Why the steering is unknown.
    var problem: String?

    init(interface: String, settings snapshot: NICSnapshot?, entry: SteeredNIC?) {
        self.interface = interface
        settings = snapshot.map { Settings($0) }
        problem = entry?.problem?.description
        steering = Steering(entry)
        holder = entry?.hasJournal == false ? entry?.holder : nil
    }

    /// The report as text.
    var text: String { "\(interface)\n" + lines.map { "  \($0)\n" }.joined() }

    /// The steering and the settings as text, one fact per line.
    var lines: [String] {
        var lines: [String] = []
        if let problem { lines.append("steering: \(problem)") }
        if let steering {
            let name = steering.name.map { " \"\($0)\"" } ?? ""
            lines.append(
                "steering\(name): \(steering.state); \(steering.owner), pid \(steering.pid), queues "
                    + queueList(steering.queues))
            lines += steering.changes.map { "  \($0.change)" }
        } else if let holder {
            lines.append("steering: in use by \(holder), with no journal here")
        } else if problem == nil {
            lines.append("steering: none")
        }
        return lines + (settings?.lines ?? ["settings: the interface is gone"])
    }
}

extension SteeringReport.Steering {
    /// Describes the journal of an entry; nil if it has none.
    init?(_ entry: SteeredNIC?) {
        guard let entry, let journal = entry.journal else { return nil }
        name = journal.name
        state =
            if let holder = entry.holder, journal.phase != .kept {
                "in use by \(holder)"
            } else if journal.phase == .kept {
                "applied"
            } else {
                "left by a dead process"
            }
        owner = journal.owner.command
        pid = journal.owner.pid
        queues = journal.queues
        changes = journal.changes.map { ChangeReport(change: $0) }
    }
}

extension SteeringReport.Settings {
    init(_ snapshot: NICSnapshot) {
        driver = snapshot.driver
        headerSplit = snapshot.rings.headerSplit.map { "\($0)" }
        splitThreshold = snapshot.rings.splitThreshold
        hardwareGRO = snapshot.neededGRO?.isActive
        rings = snapshot.rings.sizes
        channels = snapshot.channels
        ntuple = snapshot.ntuple?.isActive
        contexts = snapshot.contexts.map {
            SteeringReport.Context(
                id: $0.id, table: $0.indirection, key: hex($0.key), function: $0.hashFunction,
                transform: $0.inputTransform)
        }
        rules = snapshot.rules.map {
            SteeringReport.Rule(location: $0.location, text: $0.text, raw: hex($0.specification))
        }
        ruleCapacity = snapshot.ruleTable?.capacity
        queues = snapshot.receiveQueues.map { SteeringReport.Queue(id: $0.id, holder: $0.holder) }
        xdpProgram = snapshot.xdpProgram
    }

    /// The settings as text, one per line.
    var lines: [String] {
        var lines = [
            "tcp-data-split: \(headerSplit ?? "not supported"), hds-thresh: "
                + (splitThreshold.map { "\($0)" } ?? "not supported")
                + (hardwareGRO.map { ", rx-gro-hw: \($0 ? "on" : "off")" } ?? ""),
            "ntuple: \(ntuple.map { $0 ? "on" : "off" } ?? "not supported"), \(counted(rules.count, "rule"))"
                + (ruleCapacity.map { " of \($0)" } ?? ""),
        ]
        lines += rules.map { "  rule \($0.location): \($0.text)" }
        for context in contexts {
            let shares = Dictionary(grouping: context.table) { $0 }.sorted { $0.key < $1.key }
            lines.append(
                (context.id == 0 ? "RSS" : "RSS context \(context.id)")
                    + ": \(context.table.count) entries over queues \(queueList(context.table)); "
                    + shares.map { "\($0.key):\($0.value.count)" }.joined(separator: " "))
        }
        lines += queues.compactMap { queue in queue.holder.map { "queue \(queue.id): \($0)" } }
        if let xdpProgram { lines.append("XDP program \(xdpProgram)") }
        return lines
    }
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// The report of `steer show`.
struct SteeringReports: Encodable {
    private enum CodingKeys: CodingKey {
        case version, interfaces
    }

    let version = 1
    var interfaces: [SteeringReport]
}
