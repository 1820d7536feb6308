/// How to bind memory to a NIC, and how to set the NIC up for it.
package struct BindRequest: Sendable {
    /// Receive queues to bind; nil for none.
    package var queues: QueueChoice?
    /// How many of these queues, the last ones, are set up and stay unbound.
    package var spareQueues: Int
    /// Whether the memory may be sent from.
    package var transmits: Bool
    /// Size in bytes of the buffers that the NIC fills; nil for one page.
    package var pageSize: UInt32?
    /// How to steer the NIC; its queues do not count. Nil leaves all settings alone.
    package var steering: SteeringRequest?
    /// Whether queues of a NIC that is not steered are checked first. Otherwise the kernel alone
    /// decides about them.
    package var checksQueues: Bool
    /// Whether the NIC is watched while the memory is bound.
    package var watch: Watch
    /// What other processes are told of this one while it steers the NIC, such as `devmemtcp serve`.
    package var command: String
    /// Where the steering journal lies.
    package var store: JournalStore

    /// What happens to changes of the NIC while the memory is bound.
    package enum Watch: Equatable, Sendable {
        /// Nobody looks, as the memory is bound for a moment or for a test.
        case off
        /// They are logged.
        case logs
        /// They are logged, and lost steering is set again.
        case renews
    }

    /// Makes a request from its parts.
    package init(
        queues: QueueChoice? = nil, spareQueues: Int = 0, transmits: Bool = false,
        pageSize: UInt32? = nil, steering: SteeringRequest? = nil, checksQueues: Bool = true,
        watch: Watch = .off, command: String = "devmemtcp", store: JournalStore = JournalStore()
    ) {
        self.queues = queues
        self.spareQueues = spareQueues
        self.transmits = transmits
        self.pageSize = pageSize
        self.steering = steering
        self.checksQueues = checksQueues
        self.watch = watch
        self.command = command
        self.store = store
    }
}
