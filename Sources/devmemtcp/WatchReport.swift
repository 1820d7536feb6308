import DevmemCore
import DevmemTools

/// The report of `show --watch --json` on one interval.
struct WatchReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case version, time, interface, seconds, up, queues
        case detachedPools = "detached_pools"
    }

    /// The rates of a queue; unknown ones are left out.
    struct Queue: Encodable {
        private enum CodingKeys: String, CodingKey {
            case type, id
            case dmabufID = "dmabuf_id"
            case inFlightBytes = "in_flight_bytes"
            case packets = "packets_per_second"
            case bytes = "bytes_per_second"
            case drops = "drops_per_second"
            case allocationFailures = "alloc_fail_per_second"
        }

        var type: String
        var id: UInt32
        var dmabufID: UInt32?
        var inFlightBytes: UInt64?
        var packets: Double?
        var bytes: Double?
        var drops: Double?
        var allocationFailures: Double?

        init(_ rate: QueueRate) {
            type = "\(rate.queue.info.type)"
            id = rate.queue.info.id
            dmabufID = rate.queue.info.dmabufID
            inFlightBytes = rate.queue.inFlightBytes
            packets = rate.packets
            bytes = rate.bytes
            drops = rate.drops
            allocationFailures = rate.allocationFailures
        }
    }

    let version = 1
    var interface: String
    var time: String
    var seconds: Double
    var up: Bool
    var queues: [Queue]
    var detachedPools: [DetachedPoolReport]

    init(
        interface: String, time: String, seconds: Double, sample: QueueSample, rates: [QueueRate]
    ) {
        self.interface = interface
        self.time = time
        self.seconds = seconds
        up = sample.isUp
        queues = rates.map { Queue($0) }
        detachedPools = sample.detachedPools.map { DetachedPoolReport($0) }
    }
}
