import ArgumentParser
import DevmemCore
import DevmemTools

/// A virtual interface to lease a queue to, on the command line.
struct Lessee: OptionValue, Equatable {
    static let form =
        "[NETNS/]IFACE, such as nk0, blue/nk0 or /proc/1234/ns/net/nk0 for the network namespace of a process"
    static var completion: CompletionKind { .lessee }

    /// A name of ip-netns(8), or a path; nil for this network namespace.
    var namespace: String?
    var interface: String

    init?(argument: String) {
        let place = argument.lastIndex(of: "/")
        interface = String(place.map { argument[argument.index(after: $0)...] } ?? argument[...])
        namespace = place.map { String(argument[..<$0]) }
        guard !interface.isEmpty, namespace?.isEmpty != true else { return nil }
    }

    var text: String { (namespace.map { "\($0)/" } ?? "") + interface }
}

extension QueueCommand {
    struct Lease: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lease", abstract: "Lease receive queues to a container.",
            discussion: """
                The container's end of a netkit pair gets a new queue for each, to which memory can be \
                bound inside. Header split and flow rules stay with the NIC. Needs Linux 7.1.
                """)

        @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"), completion: .nic)
        var interface: String

        @Argument(
            help: ArgumentHelp("The receive queues.", valueName: "queue"), completion: .queue)
        var queues: [UInt32]

        @Option(
            help: ArgumentHelp(
                "The netkit interface that gets the queues.", valueName: "[netns/]iface"))
        var to: Lessee

        @OptionGroup var common: CommonOptions

        func run() throws {
            try reporting(common) {
                let nic = try NetworkInterface(named: interface)
                var leases: [LeaseReport.Lease] = []
                for queue in queues {
                    do throws(DevmemError) {
                        let namespace = try to.openNamespace()
                        let number = try lease(queue, of: nic, to: to.interface, in: namespace)
                        leases.append(LeaseReport.Lease(queue: queue, leasedQueue: number))
                    } catch {
                        // Otherwise there is a line for each.
                        throw common.json ? error.after(leases.map(\.queue)) : error
                    }
                    if !common.json {
                        let lease = leases[leases.count - 1]
                        try writeOutput(
                            "queue \(queue) of \(interface) is queue \(lease.leasedQueue) of \(to.text)\n"
                        )
                    }
                }
                if common.json {
                    try printJSON(LeaseReport(interface: nic.name, to: to, leases: leases))
                }
            }
        }
    }

    struct Unlease: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unlease", abstract: "Take a leased receive queue back.",
            discussion: """
                The kernel ends a lease only with the virtual interface. Without --delete, only says \
                which one that is.
                """)

        @Argument(help: ArgumentHelp("The NIC.", valueName: "iface"), completion: .nic)
        var interface: String

        @Argument(help: ArgumentHelp("The receive queue.", valueName: "queue"), completion: .queue)
        var queue: UInt32

        @Flag(
            name: .long,
            help: "Delete the virtual interface, and with it its peer and all its leases.")
        var delete = false

        @OptionGroup var common: CommonOptions

        func run() throws {
            try reporting(common) {
                let nic = try NetworkInterface(named: interface)
                let ended = try takeBack(queue, of: nic, deletes: delete)
                if common.json {
                    try printJSON(UnleaseReport(interface: nic.name, ended))
                } else {
                    try writeOutput(
                        "\(ended.lessee) is deleted, and \(queueText(ended.queues)) of \(nic.name) "
                            + "\(ended.queues.count == 1 ? "is" : "are") back\n")
                }
            }
        }
    }
}

extension Lessee {
    /// Opens the network namespace; nil for this one.
    fileprivate func openNamespace() throws(DevmemError) -> NetworkNamespace? {
        guard let namespace else { return nil }
        return try NetworkNamespace(namespace)
    }
}

extension DevmemError {
    /// Returns the error with the queues that were leased before it.
    fileprivate func after(_ queues: [UInt32]) -> DevmemError {
        guard !queues.isEmpty else { return self }
        var copy = self
        let earlier = "\(queueText(queues)) \(queues.count == 1 ? "is" : "are") leased"
        copy.message = copy.message.map { "\($0); \(earlier)" } ?? earlier
        return copy
    }
}

/// The report of `queue lease`.
struct LeaseReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, interface, leases
        case lessee = "to"
        case namespace = "netns"
    }

    struct Lease: Encodable {
        private enum CodingKeys: String, CodingKey {
            case queue
            case leasedQueue = "leased_queue"
        }

        /// The NIC's queue.
        var queue: UInt32
        /// The virtual interface's queue.
        var leasedQueue: UInt32
    }

    let version = 1
    var interface: String
    var lessee: String
    var namespace: String?
    var leases: [Lease]

    init(interface: String, to lessee: Lessee, leases: [Lease]) {
        self.interface = interface
        self.lessee = lessee.interface
        namespace = lessee.namespace
        self.leases = leases
    }
}

/// The report of `queue unlease`.
struct UnleaseReport: Encodable {
    let version = 1
    var interface: String
    var queues: [UInt32]
    var deleted: String

    init(interface: String, _ ended: EndedLease) {
        self.interface = interface
        queues = ended.queues
        deleted = ended.lessee
    }
}
