import Glibc

/// How to bind memory to a NIC, and how to configure the NIC for it.
public struct BindRequest: Sendable {
    /// The receive queues to bind.
    public var queues: Queues
    /// The number of queues, the last of the list, that are configured but not bound.
    public var unboundQueues: Int
    /// Whether to bind the memory for sending.
    public var transmits: Bool
    /// The size in bytes of the buffers that the NIC fills; nil for one page.
    public var pageSize: UInt32?
    /// Whether to watch the NIC while the memory is bound.
    public var watch: Watch
    /// The command, such as `devmemtcp serve`, that other processes see as the owner of the
    /// steering.
    public var command: String
    /// The way in which payload is received.
    public var engine = ReceiveEngineChoice.socket
    /// The directory of the steering journal.
    package var store = JournalStore()

    /// The receive queues, and whether to change the NIC's settings for them.
    public enum Queues: Sendable {
        /// None; the memory is for sending only.
        case none
        /// The queues of a steering request; the NIC is steered for it.
        case steered(SteeringRequest)
        /// Free queues; the NIC's settings stay unchanged.
        case unsteered(QueueChoice)
        /// Queues that only the kernel checks, on a NIC that the user has configured.
        case unchecked(QueueChoice)

        /// The choice that is checked before the kernel sees it, if any is.
        var checked: QueueChoice? {
            switch self {
            case .steered(let request): request.queues
            case .unsteered(let choice): choice
            case .none, .unchecked: nil
            }
        }

        /// The number of queues.
        var count: Int {
            switch self {
            case .none: 0
            case .steered(let request): request.queues.count
            case .unsteered(let choice), .unchecked(let choice): choice.count
            }
        }
    }

    /// What to do about changes to the NIC while the memory is bound.
    public enum Watch: Equatable, Sendable {
        /// Ignore them; for short bindings and tests.
        case off
        /// Log them.
        case logs
        /// Log them and restore lost steering.
        case renews
    }

    /// Creates a request from its parts.
    public init(
        queues: Queues = .none, unboundQueues: Int = 0, transmits: Bool = false,
        pageSize: UInt32? = nil, watch: Watch = .off, command: String? = nil
    ) {
        self.queues = queues
        self.unboundQueues = unboundQueues
        self.transmits = transmits
        self.pageSize = pageSize
        self.watch = watch
        self.command = command ?? nameOfProcess(getpid()) ?? "?"
    }
}
