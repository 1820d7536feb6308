import DevmemCore
import DevmemTools

/// A page pool in the report of `show`.
struct PoolReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case id
        case inFlight = "in_flight"
        case inFlightBytes = "in_flight_bytes"
        case dmabufID = "dmabuf_id"
        case ioUring = "io_uring"
    }

    var id: UInt64
    var inFlight: UInt64?
    var inFlightBytes: UInt64?
    var dmabufID: UInt32?
    var ioUring: Bool

    init(_ pool: PagePoolInfo) {
        id = pool.id
        inFlight = pool.inFlight
        inFlightBytes = pool.inFlightBytes
        dmabufID = pool.dmabufID
        ioUring = pool.hasIOUring
    }
}

/// A page pool that cannot be freed yet.
struct DetachedPoolReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case pool
        case seconds = "detached_seconds"
    }

    var pool: PoolReport
    var seconds: UInt64

    init(_ detached: DetachedPool) {
        pool = PoolReport(detached.pool)
        seconds = detached.seconds
    }
}

/// A process that may own a binding.
struct BindingHolderReport: Encodable {
    struct Dmabuf: Encodable {
        var bytes: UInt64?
        var exporter: String?
    }

    var pid: Int32
    var process: String
    var dmabufs: [Dmabuf]

    init(_ holder: BindingHolder) {
        pid = holder.process.pid
        process = holder.process.name
        dmabufs = holder.dmabufs.map { Dmabuf(bytes: $0.bytes, exporter: $0.exporter) }
    }
}

/// A dma-buf bound to queues.
struct BindingReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case queues
        case dmabufID = "dmabuf_id"
        case likelyHolders = "likely_holders"
    }

    var dmabufID: UInt32
    var queues: [UInt32]
    var likelyHolders: [BindingHolderReport]

    init(_ binding: BindingState) {
        dmabufID = binding.dmabufID
        queues = binding.queues
        likelyHolders = binding.likelyHolders.map { BindingHolderReport($0) }
    }
}

/// A connection that may hold the memory of detached pools.
struct LikelyHolderReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case pid, process, reason, local, remote
        case unreadBytes = "unread_bytes"
    }

    var pid: Int32?
    var process: String?
    var reason: String
    var unreadBytes: UInt64
    var local: String
    var remote: String

    init(_ holder: LikelyHolder) {
        pid = holder.process?.pid
        process = holder.process?.name
        reason = holder.reason.rawValue
        unreadBytes = holder.unreadBytes
        local = holder.local.description
        remote = holder.remote.description
    }
}
