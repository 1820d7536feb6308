package import DevmemCore
package import Logging
import SystemPackage

/// A trial of the binding selftest, with the answers that the kernel may give. Pure.
package enum BindingTrial: String, CaseIterable, Sendable {
    /// Bind the queues.
    case bind = "bind the queues"
    /// Reduce the channels below a bound queue.
    case deactivate = "deactivate a bound queue"
    /// Bind without naming queues.
    case unnamed = "bind unnamed queues"
    /// Bind without header split.
    case unsplit = "bind without header split"

    /// The kernel's answer to a trial.
    package enum Outcome: Equatable, Sendable {
        /// The request succeeded.
        case accepted
        /// The request was refused.
        case refused(DevmemError)
    }

    /// Whether the refusal has the expected reason. A trial without a text of its own accepts any.
    private func hasExpectedReason(_ refusal: Refusal?) -> Bool {
        switch self {
        case .bind, .unnamed: true
        // `ethtool_check_max_channel` of net/ethtool/common.c, which may find another user's flow
        // rule first, and `netdev_queue_busy` of net/core/netdev_queues.c.
        case .deactivate:
            refusal == .channelsHeldByTable || refusal == .channelsHeldByRules
                || refusal?.isForBoundMemory == true
        // `netif_mp_open_rxq` of net/core/netdev_rx_queue.c.
        case .unsplit: refusal == .splitIsOff
        }
    }

    /// Returns what is wrong with an outcome; nil if it is as expected.
    package func fault(in outcome: Outcome) -> DevmemError? {
        switch (self, outcome) {
        case (.bind, .accepted): nil
        case (.bind, .refused(let error)): error
        case (_, .accepted):
            DevmemError(
                .unsupported, call: rawValue, message: "it succeeded but must be refused")
        case (_, .refused(let error)):
            isExpected(error)
                ? nil
                : DevmemError(
                    .unsupported, call: rawValue,
                    message: "refused for the wrong reason: \(error.description)")
        }
    }

    private func isExpected(_ error: DevmemError) -> Bool {
        guard error.errno == .invalidArgument else { return false }
        // Older kernels report no text for some errors.
        return error.message == nil || hasExpectedReason(Refusal(error))
    }
}

/// A selftest of bindings on a NIC.
package struct BindingSelfTest: Sendable {
    /// The NIC.
    package var interface: NetworkInterface
    /// The receive queues to bind.
    package var queues: [UInt32]
    /// The size of the dma-buf in bytes.
    package var memory: UInt64
    /// The size of the receive buffers in bytes; nil for one page. More than a page needs huge
    /// pages.
    package var pageSize: UInt32?
    /// The name under which other processes see this one while it steers the NIC.
    package var command: String

    /// Creates a selftest from its values.
    package init(
        interface: NetworkInterface, queues: [UInt32], memory: UInt64, pageSize: UInt32? = nil,
        command: String
    ) {
        self.interface = interface
        self.queues = queues
        self.memory = memory
        self.pageSize = pageSize
        self.command = command
    }

    /// Runs the trials in order until the first failure. The NIC is steered meanwhile and restored
    /// afterwards.
    ///
    /// - Parameters:
    ///   - store: the store of the steering journals.
    ///   - logger: logs each change of the NIC and each trial at level debug.
    /// - Returns: the trials that were run. Deactivating a queue is skipped if queue 0 is the only
    ///   bound one.
    /// - Throws: `DevmemError` with the first failure; the NIC is restored.
    package func run(
        store: JournalStore = JournalStore(), logger: Logger
    ) throws(DevmemError) -> [BindingTrial] {
        var made = try runWithHeaderSplit(logger, in: store)
        let nic = try setUp(splitsHeaders: false, binds: false, store, logger)
        try judge(.unsplit, logger) { () throws(DevmemError) in
            _ = try ReceiveBinding(
                dmabuf: nic.memory.dmabuf.descriptor, interface: interface, queues: queues,
                pageSize: pageSize)
        }
        try nic.release()
        made.append(.unsplit)
        return made
    }

    private func runWithHeaderSplit(
        _ logger: Logger, in store: JournalStore
    ) throws(DevmemError) -> [BindingTrial] {
        var made: [BindingTrial] = [.bind, .unnamed]
        let nic = try setUp(splitsHeaders: true, binds: true, store, logger)
        logger.debug("bound as \(nic.memory.id)")
        if let counts = try channelCountsExcluding(queues) {
            try judge(.deactivate, logger) { () throws(DevmemError) in
                try change(counts)
            }
            made.append(.deactivate)
        }
        nic.unbind()
        try judge(.unnamed, logger) { () throws(DevmemError) in
            _ = try ReceiveBinding(
                dmabuf: nic.memory.dmabuf.descriptor, interface: interface,
                unnamedQueues: queues.count, pageSize: pageSize)
        }
        try nic.release()
        return made
    }

    /// Steers the NIC, and binds the queues unless a trial does so.
    private func setUp(
        splitsHeaders: Bool, binds: Bool, _ store: JournalStore, _ logger: Logger
    ) throws(DevmemError) -> BoundNIC {
        let steering = SteeringRequest(
            queues: .list(queues), flows: [], splitsHeaders: splitsHeaders)
        var request = BindRequest(
            queues: .steered(steering), unboundQueues: binds ? 0 : queues.count, pageSize: pageSize,
            command: command)
        request.store = store
        return try BoundNIC(
            binding: try DmabufMemory(size: memory, pageSize: pageSize), to: interface, request,
            logger: logger)
    }

    private func judge(
        _ trial: BindingTrial, _ logger: Logger, _ body: () throws(DevmemError) -> Void
    ) throws(DevmemError) {
        var outcome = BindingTrial.Outcome.accepted
        do throws(DevmemError) {
            try body()
        } catch {
            outcome = .refused(error)
        }
        logger.debug("\(trial.rawValue): \(outcome)")
        if let fault = trial.fault(in: outcome) { throw fault }
    }

    /// Returns channel counts that drop at least one of the queues, but not all channels; nil if
    /// there are none.
    private func channelCountsExcluding(_ queues: [UInt32]) throws(DevmemError) -> ChannelCounts? {
        let now = try EthtoolNetlink(interface).channels()
        return now.flatMap { Self.fewer($0, than: queues) }
    }

    /// Returns the lower channel counts that exclude the bound queues; nil if the NIC cannot have
    /// them. Pure.
    static func fewer(_ now: ChannelCounts, than queues: [UInt32]) -> ChannelCounts? {
        guard let last = queues.max(), let first = queues.min(), last > 0 else { return nil }
        let left = first > 0 ? first : last
        // Combined channels come first in the numbering.
        var counts = now
        counts.combined = min(now.combined, left)
        counts.rx = left - counts.combined
        guard counts.combined > 0 || counts.rx > 0 && counts.tx > 0, counts != now else {
            return nil
        }
        return counts
    }

    /// Changes the channel counts, and changes them back if that succeeds.
    private func change(_ counts: ChannelCounts) throws(DevmemError) {
        let ethtool = try EthtoolNetlink(interface)
        let before = try ethtool.channels()
        try ethtool.setChannels(counts)
        if let before { try ethtool.setChannels(before) }
    }
}
