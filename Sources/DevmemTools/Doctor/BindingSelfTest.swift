package import DevmemCore
package import Logging
import SystemPackage

/// What the selftest of bindings tries on a NIC, and how the kernel must answer. Pure.
package enum BindingTrial: String, CaseIterable, Sendable {
    /// Binding the queues.
    case bind = "bind the queues"
    /// Fewer channels, so that a bound queue goes.
    case deactivate = "deactivate a bound queue"
    /// Binding queues without saying which.
    case unnamed = "bind unnamed queues"
    /// Binding while nobody asks for header split.
    case unsplit = "bind without header split"

    /// What the kernel made of a trial.
    package enum Outcome: Equatable, Sendable {
        /// It did what it was asked for.
        case accepted
        /// It did not.
        case refused(DevmemError)
    }

    /// Whether the kernel refuses with words that it may use; any, where it has none of its own.
    private func isRight(_ refusal: Refusal?) -> Bool {
        switch self {
        case .bind, .unnamed: true
        // `ethtool_check_max_channel` of net/ethtool/common.c, which may see another's flow rule
        // first, and `netdev_queue_busy` of net/core/netdev_queues.c.
        case .deactivate:
            refusal == .channelsHeldByTable || refusal == .channelsHeldByRules
                || refusal?.isForBoundMemory == true
        // `netif_mp_open_rxq` of net/core/netdev_rx_queue.c.
        case .unsplit: refusal == .splitIsOff
        }
    }

    /// What is wrong with an outcome; nil if it is as it must be.
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
        // Older kernels have no text for everything.
        return error.message == nil || isRight(Refusal(error))
    }
}

/// What the selftest of bindings is to be done with.
package struct BindingSelfTest: Sendable {
    /// The NIC.
    package var interface: NetworkInterface
    /// The receive queues to bind.
    package var queues: [UInt32]
    /// Size of the dma-buf in bytes.
    package var memory: UInt64
    /// Bytes of the pieces that the NIC fills; nil for one page. Larger ones take huge pages.
    package var pageSize: UInt32?
    /// What others are told of this process while it steers the NIC.
    package var command: String

    /// Makes a selftest from its parts.
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

    /// Tries all in turn, until the first fault. The NIC is steered for it and put back after it.
    ///
    /// - Parameters:
    ///   - store: where the steering journal lies.
    ///   - logger: is told of each change of the NIC, and of each trial, at level debug.
    /// - Returns: the trials that could be made; only deactivating has a NIC on which it cannot,
    ///   if queue 0 is the only one bound.
    /// - Throws: `DevmemError`, the first fault or what else failed; the NIC is as it was then.
    package func run(
        store: JournalStore = JournalStore(), logger: Logger
    ) throws(DevmemError) -> [BindingTrial] {
        var made = try tryWhileSplit(logger, in: store)
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

    private func tryWhileSplit(
        _ logger: Logger, in store: JournalStore
    ) throws(DevmemError) -> [BindingTrial] {
        var made: [BindingTrial] = [.bind, .unnamed]
        let nic = try setUp(splitsHeaders: true, binds: true, store, logger)
        logger.debug("bound as \(nic.memory.id)")
        if let counts = try countsWithout(queues) {
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

    /// Steers the NIC, and binds the queues unless a trial is to do that.
    private func setUp(
        splitsHeaders: Bool, binds: Bool, _ store: JournalStore, _ logger: Logger
    ) throws(DevmemError) -> BoundNIC {
        let steering = SteeringRequest(
            queues: .list(queues), flows: [], splitsHeaders: splitsHeaders)
        var request = BindRequest(
            queues: .steered(steering), spareQueues: binds ? 0 : queues.count, pageSize: pageSize,
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

    /// Channel counts that leave out one of the queues at least, but not all; nil if there are none.
    private func countsWithout(_ queues: [UInt32]) throws(DevmemError) -> ChannelCounts? {
        let now = try EthtoolNetlink(interface).channels()
        return now.flatMap { Self.fewer($0, than: queues) }
    }

    /// As few channels as leave the bound queues out, of the kind that the NIC has. Pure.
    static func fewer(_ now: ChannelCounts, than queues: [UInt32]) -> ChannelCounts? {
        guard let last = queues.max(), let first = queues.min(), last > 0 else { return nil }
        let left = first > 0 ? first : last
        // Combined channels have the lower numbers.
        var counts = now
        counts.combined = min(now.combined, left)
        counts.rx = left - counts.combined
        guard counts.combined > 0 || counts.rx > 0 && counts.tx > 0, counts != now else {
            return nil
        }
        return counts
    }

    /// Changes the channel counts, and back if that succeeds.
    private func change(_ counts: ChannelCounts) throws(DevmemError) {
        let ethtool = try EthtoolNetlink(interface)
        let before = try ethtool.channels()
        try ethtool.setChannels(counts)
        if let before { try ethtool.setChannels(before) }
    }
}
