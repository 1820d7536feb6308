/// What is about to be changed on a NIC, or has been, and by whom: enough to take it back after
/// whoever wrote it has died.
package struct SteeringJournal: Equatable, Sendable, Codable {
    /// The format's version; another one is refused.
    static let version = 1

    /// How far its changes are.
    package enum Phase: String, Sendable, Codable {
        /// Being made, or in use by the process that made them.
        case active
        /// Made, to stay until someone takes them back.
        case kept
        /// Being taken back.
        case restoring
    }

    /// A NIC: names may be used again, so the namespace's and the interface's numbers count.
    package struct Interface: Equatable, Sendable, Codable {
        /// Its name when the journal was begun.
        package var name: String
        /// Its number in the kernel.
        package var index: UInt32
        /// The network namespace's cookie (`SO_NETNS_COOKIE` of socket(7)).
        package var namespace: UInt64
        /// The kernel's random id of the running system; another one has forgotten all settings.
        package var boot: String
    }

    /// The process that makes the changes.
    package struct Owner: Equatable, Sendable, Codable {
        /// Its process id, in its own pid namespace.
        package var pid: Int32
        /// When it was started, in clock ticks since boot (field 22 of /proc/PID/stat).
        package var startTime: UInt64
        /// What it was started as, such as `devmemtcp serve`.
        package var command: String
    }

    var version = Self.version
    /// The NIC.
    package var interface: Interface
    /// Who makes the changes.
    package var owner: Owner
    /// What a user calls them, if they are to stay.
    package var name: String?
    /// How far they are.
    package var phase: Phase = .active
    /// The queues that they are for.
    package var queues: [UInt32]
    /// The changes that are not yet taken back, in the order in which they are made.
    package var changes: [SteeringChange]
    /// How many of them have been begun.
    package var begun = 0
    /// The lengths of rings that the driver made shorter when header split came on, by ethtool's name.
    var cutSizes: [String: UInt32]?
    /// What stood on the NIC before, beyond what the changes say.
    var before: Before

    /// Parts of a snapshot that tell ours from others'.
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

    /// The steering that it keeps in place, for others to use.
    package var applied: SteeringPlan.Applied {
        SteeringPlan.Applied(
            queues: queues,
            contexts: changes.compactMap {
                if case .createContext(_, let id) = $0 { id } else { nil }
            })
    }

    /// Who made the changes, in words: `devmemtcp serve (pid 812)`.
    package var maker: String { "\(owner.command) (pid \(owner.pid))" }

    /// What is said when it is dropped as it is of an earlier boot.
    var dropped: String { "dropped the journal of \(maker), which was of an earlier boot" }
}
