import DevmemCore
import DevmemTools

/// The report of `show`. Keys with unknown or absent values are left out.
struct ShowReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, interfaces
        case orphanedPools = "orphaned_pools"
        case likelyHolders = "likely_holders"
    }

    let version = 1
    var interfaces: [InterfaceReport]
    var orphanedPools: [DetachedPoolReport]?
    var likelyHolders: [LikelyHolderReport]?

    init(interfaces: [InterfaceReport]) {
        self.interfaces = interfaces
    }

    init(_ list: InterfaceList) {
        interfaces = list.interfaces.map { InterfaceReport($0) }
        orphanedPools = list.orphanedPools.map { DetachedPoolReport($0) }
        likelyHolders = list.likelyHolders.map { LikelyHolderReport($0) }
    }
}

/// An interface in the report. The optional arrays are present if the interface was named.
struct InterfaceReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case interface, index, driver, kind, device, up, carrier, state, mtu, address
        case channels, steering, addresses, settings, queues, pools, bindings
        case speed = "speed_mbps"
        case rxQueues = "rx_queues"
        case txQueues = "tx_queues"
        case boundQueues = "bound_queues"
        case headerSplit = "tcp_data_split"
        case splitThreshold = "hds_thresh"
        case steeringProblem = "steering_problem"
        case detachedPools = "detached_pools"
        case likelyHolders = "likely_holders"
    }

    var interface: String
    var index: UInt32
    var driver: String?
    var kind: String?
    var device: String?
    var up: Bool
    var carrier: Bool
    var state: String?
    var speed: UInt32?
    var mtu: UInt32?
    var address: String?
    var rxQueues: Int
    var txQueues: Int
    var channels: ChannelCounts?
    var headerSplit: String?
    var splitThreshold: UInt32?
    var boundQueues: [UInt32]
    var steering: SteeringReport.Steering?
    var steeringProblem: String?
    var detachedPools: [DetachedPoolReport]

    var addresses: [String]?
    var settings: SteeringReport.Settings?
    var queues: [QueueReport]?
    var pools: [PoolReport]?
    var bindings: [BindingReport]?
    var likelyHolders: [LikelyHolderReport]?

    init(_ summary: InterfaceSummary) {
        let link = summary.link
        interface = link.name
        index = link.index
        driver = summary.driver
        kind = link.kind
        device = link.parentDevice
        up = link.isUp
        carrier = link.hasCarrier
        state = link.operationalState
        speed = summary.speed
        mtu = link.mtu
        address = link.addressText
        rxQueues = summary.queues.count { $0.type == .rx }
        txQueues = summary.queues.count { $0.type == .tx }
        channels = summary.channels
        headerSplit = summary.rings.headerSplit.map { "\($0)" }
        splitThreshold = summary.rings.splitThreshold
        boundQueues = summary.boundQueues
        steering = SteeringReport.Steering(summary.steering)
        steeringProblem = summary.steering?.problem?.description
        detachedPools = summary.detachedPools.map { DetachedPoolReport($0) }
    }

    init(_ state: InterfaceState) {
        self.init(state.summary)
        addresses = state.addresses.map(\.description)
        settings = SteeringReport.Settings(state.settings)
        queues = state.queues.map { QueueReport($0) }
        pools = state.unassignedPools.map { PoolReport($0) }
        bindings = state.bindings.map { BindingReport($0) }
        likelyHolders = state.likelyHolders.map { LikelyHolderReport($0) }
    }
}

/// A queue with its NAPI instance, page pools, counters and steering.
struct QueueReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case type, id, irq, xsk, lease, pools, counters, contexts, rules
        case napiID = "napi_id"
        case napiPID = "napi_pid"
        case dmabufID = "dmabuf_id"
        case ioUring = "io_uring"
        case rssEntries = "rss_entries"
        case leasedFrom = "leased_from"
    }

    struct Lessor: Encodable {
        var interface: String
        var queue: UInt32
    }

    struct Lease: Encodable {
        private enum CodingKeys: String, CodingKey {
            case index, interface, queue
            case namespace = "netns_id"
        }

        var index: UInt32
        var interface: String?
        var queue: UInt32
        var namespace: Int32?
    }

    var type: String
    var id: UInt32
    var napiID: UInt32?
    var napiPID: UInt32?
    var irq: UInt32?
    var dmabufID: UInt32?
    var ioUring: Bool
    var xsk: Bool
    var lease: Lease?
    var leasedFrom: Lessor?
    var pools: [PoolReport]
    var counters: [String: UInt64]
    var rssEntries: Int?
    var contexts: [UInt32]?
    var rules: [UInt32]?

    init(_ queue: QueueState) {
        let info = queue.info
        type = "\(info.type)"
        id = info.id
        napiID = info.napiID
        napiPID = queue.napi?.pid
        irq = queue.napi?.irq
        dmabufID = info.dmabufID
        ioUring = info.hasIOUring
        xsk = info.hasXSK
        lease = info.lease.map {
            Lease(
                index: $0.interface, interface: $0.lessee?.name, queue: $0.queue,
                namespace: $0.namespace)
        }
        leasedFrom = queue.lessor.map { Lessor(interface: $0.interface, queue: $0.queue) }
        pools = queue.pools.map { PoolReport($0) }
        counters = queue.counters
        guard info.type == .rx else { return }
        rssEntries = queue.rssEntries
        contexts = queue.contexts
        rules = queue.rules
    }
}
