public import Logging
import SystemPackage

/// Changes made to a NIC, with one owner, who takes them back.
///
/// Settings are reversed by `restore()`; if its owner forgets, when the value goes away.
public struct SteeringTransaction: ~Copyable {
    /// How to take back one change that was made.
    private enum Reversal {
        case headerSplit(HeaderSplit)
        case splitThreshold(UInt32)
        case indirection([UInt32], reset: Bool)
        case disableFlowRules
        case deleteRule(UInt32)
    }

    private let interface: NetworkInterface
    private let logger: Logger
    private var reversals: [Reversal] = []

    /// Makes the changes of a plan in order. If one fails, those made before are taken back.
    ///
    /// - Throws: `DevmemError` as the kernel or the driver refuses.
    public init(
        applying plan: SteeringPlan, to interface: NetworkInterface, logger: Logger
    ) throws(DevmemError) {
        self.interface = interface
        self.logger = logger
        do throws(DevmemError) {
            for change in plan.changes { try make(change) }
        } catch {
            // A failure to go back is logged; the reason for going back is what the caller needs.
            _ = Self.reverse(&reversals, interface, logger)
            throw error
        }
    }

    deinit {
        var rest = reversals
        _ = Self.reverse(&rest, interface, logger)
    }

    /// Takes back every change, the last first; goes on after a failure.
    ///
    /// - Throws: `DevmemError`, the first failure, after trying the others.
    public mutating func restore() throws(DevmemError) {
        if let failure = Self.reverse(&reversals, interface, logger) { throw failure }
    }

    private mutating func make(_ change: SteeringChange) throws(DevmemError) {
        logger.debug("\(interface.name): \(change)")
        let netlink = try EthtoolNetlink(interface)
        switch change {
        case .headerSplit(let before):
            try netlink.setHeaderSplit(.on)
            reversals.append(.headerSplit(before))
            guard try netlink.rings().headerSplit == .on else {
                throw DevmemError(
                    .unsupported, call: "turn header split on for \(interface.name)",
                    message: "the driver took the setting but it stays off")
            }
        case .splitThreshold(let before):
            do throws(DevmemError) {
                try netlink.setSplitThreshold(0)
                reversals.append(.splitThreshold(before))
            } catch  where error.errno == .notSupportedOnSocket || error.errno == .invalidArgument {
                // Where it cannot be set the kernel does not ask for it either, or bind-rx says so.
                logger.debug("\(error)")
            }
        case .indirection(let before, let after, let reset):
            try EthtoolIoctl(interface).setIndirectionTable(after)
            reversals.append(.indirection(before, reset: reset))
        case .enableFlowRules:
            try netlink.setFeature(flowRuleFeature, true)
            reversals.append(.disableFlowRules)
        case .addRule(let alternatives):
            reversals.append(.deleteRule(try add(firstOf: alternatives)))
        }
    }

    /// Adds the first rule that the NIC takes and returns its location.
    private func add(firstOf alternatives: [FlowRule]) throws(DevmemError) -> UInt32 {
        let ioctl = try EthtoolIoctl(interface)
        var refusal = DevmemError(
            .unsupported, call: "add a flow rule to \(interface.name)", message: "none is given")
        for rule in alternatives {
            guard let table = try ioctl.flowRules() else { break }
            do throws(DevmemError) {
                return try ioctl.insert(rule, at: try table.place())
            } catch {
                logger.debug("\(error); trying a wider rule")
                refusal = error
            }
        }
        throw refusal.advising("ethtool -n \(interface.name) shows the rules there are")
    }

    private static func reverse(
        _ reversals: inout [Reversal], _ interface: NetworkInterface, _ logger: Logger
    ) -> DevmemError? {
        var failure: DevmemError?
        while let reversal = reversals.popLast() {
            do throws(DevmemError) {
                try reverse(reversal, interface)
            } catch {
                logger.error("cannot restore a setting: \(error)")
                failure = failure ?? error
            }
        }
        return failure
    }

    private static func reverse(
        _ reversal: Reversal, _ interface: NetworkInterface
    ) throws(DevmemError) {
        let netlink = try EthtoolNetlink(interface)
        switch reversal {
        case .headerSplit(let before):
            // "As the driver likes" is what it was unless a user had set it; reading tells. Some
            // drivers do not take it.
            try? netlink.setHeaderSplit(.unknown)
            if try netlink.rings().headerSplit != before { try netlink.setHeaderSplit(before) }
        case .splitThreshold(let before):
            try netlink.setSplitThreshold(before)
        case .indirection(let before, let reset):
            let ioctl = try EthtoolIoctl(interface)
            if reset { try ioctl.resetIndirectionTable() }
            if try ioctl.indirectionTable() != before { try ioctl.setIndirectionTable(before) }
        case .disableFlowRules:
            try netlink.setFeature(flowRuleFeature, false)
        case .deleteRule(let location):
            try EthtoolIoctl(interface).deleteRule(at: location)
        }
    }
}
