/// How to bind memory to a NIC, and how to set the NIC up for it.
public struct BindRequest: Sendable {
    /// The receive queues to bind.
    public var queues: Queues
    /// How many of these queues, the last ones, are set up and stay unbound.
    public var spareQueues: Int
    /// Whether the memory may be sent from.
    public var transmits: Bool
    /// Size in bytes of the buffers that the NIC fills; nil for one page.
    public var pageSize: UInt32?
    /// Whether the NIC is watched while the memory is bound.
    public var watch: Watch
    /// What other processes are told of this one while it steers the NIC: `devmemtcp serve`.
    public var command: String
    /// Where the steering journal lies.
    package var store = JournalStore()

    /// Which receive queues, and what happens to the NIC's settings.
    public enum Queues: Sendable {
        /// None: the memory is for sending only.
        case none
        /// Those of a steering request, which the NIC is steered for.
        case steered(SteeringRequest)
        /// Some that are free; the settings stay as they are.
        case unsteered(QueueChoice)
        /// Some that only the kernel decides about, as their user has set the NIC up.
        case unchecked(QueueChoice)
    }

    /// What happens to changes of the NIC while the memory is bound.
    public enum Watch: Equatable, Sendable {
        /// Nobody looks, as the memory is bound for a moment or for a test.
        case off
        /// They are logged.
        case logs
        /// They are logged, and lost steering is set again.
        case renews
    }

    /// Makes a request from its parts.
    public init(
        queues: Queues = .none, spareQueues: Int = 0, transmits: Bool = false,
        pageSize: UInt32? = nil, watch: Watch = .off, command: String = "devmemtcp"
    ) {
        self.queues = queues
        self.spareQueues = spareQueues
        self.transmits = transmits
        self.pageSize = pageSize
        self.watch = watch
        self.command = command
    }
}
