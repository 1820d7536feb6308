/// The record of changes that are about to be made or were made to a NIC, and by whom: enough to
/// undo them after the writer has died.
package struct SteeringJournal: Equatable, Sendable, Codable {
    /// The format version; a journal of another version is refused.
    static let version = 1

    /// The state of the changes.
    package enum Phase: String, Sendable, Codable {
        /// Being made, or in use by the process that made them.
        case active
        /// Made, and kept until someone restores the settings.
        case kept
        /// Being undone.
        case restoring
    }

    /// Identifies a NIC. Names may be reused, so the namespace and the index identify it.
    package struct Interface: Equatable, Sendable, Codable {
        /// Its name when the journal was created.
        package var name: String
        /// Its interface index.
        package var index: UInt32
        /// The network namespace's cookie (`SO_NETNS_COOKIE` of socket(7)).
        package var namespace: UInt64
        /// The boot id; no setting outlives a boot.
        package var boot: String
    }

    /// The process that makes the changes.
    package struct Owner: Equatable, Sendable, Codable {
        /// Its process id, in its own pid namespace.
        package var pid: Int32
        /// Its start time, in clock ticks since boot (field 22 of /proc/PID/stat).
        package var startTime: UInt64
        /// Its command, such as `devmemtcp serve`.
        package var command: String
    }

    var version = Self.version
    /// The NIC.
    package var interface: Interface
    /// Who makes the changes.
    package var owner: Owner
    /// The name that a user gave the changes, if they are kept.
    package var name: String?
    /// The state of the changes.
    package var phase: Phase = .active
    /// The queues that they serve.
    package var queues: [UInt32]
    /// The changes that are not undone yet, in the order in which they are made.
    package var changes: [SteeringChange]
    /// How many of them were begun.
    package var begun = 0
    /// The sizes of rings that the driver reduced when header split came on, by ethtool's ring
    /// name.
    var cutSizes: [String: UInt32]?
    /// Settings before the changes, beyond those that the changes record.
    var before: Before

    /// The parts of a snapshot that distinguish our changes from others'.
    struct Before: Equatable, Sendable, Codable {
        var rings: RingSettings
        var channels: ChannelCounts?
        var ruleLocations: [UInt32]
        var contexts: [UInt32]
    }

    init(interface: Interface, owner: Owner, plan: SteeringPlan, on snapshot: NICSnapshot) {
        self.interface = interface
        self.owner = owner
        queues = plan.queues
        changes = plan.changes
        before = Before(
            rings: snapshot.rings, channels: snapshot.channels,
            ruleLocations: snapshot.ruleTable?.locations ?? [],
            contexts: snapshot.contexts.map(\.id))
    }

    /// The steering that it keeps applied, for others to use.
    package var applied: SteeringPlan.Applied {
        SteeringPlan.Applied(
            queues: queues,
            contexts: changes.compactMap {
                if case .createContext(_, let id) = $0 { id } else { nil }
            })
    }

    /// The process that made the changes, in words: `devmemtcp serve (pid 812)`.
    package var maker: String { "\(owner.command) (pid \(owner.pid))" }

    /// The message for a journal that is dropped because it is from an earlier boot.
    var dropped: String { "dropped the journal of \(maker), which was of an earlier boot" }
}
