/// A part of binding, or of what leads to it, that older kernels lack. The netlink policy tells, not the
/// kernel's version, because vendors backport.
package enum BindFeature: CaseIterable, Sendable {
    /// Binding for receiving.
    case receive
    /// Binding for sending.
    case transmit
    /// Receive buffers larger than a page.
    case pageSize
    /// Leasing a queue to a virtual interface.
    case lease

    /// Looks for it in a policy. Pure.
    ///
    /// - Parameter netdev: the policy of the kernel's family netdev.
    /// - Returns: whether that kernel has it.
    package func isIn(_ netdev: FamilyPolicy) -> Bool {
        switch self {
        case .receive: netdev.commands.contains(NetdevNumber.Command.bindRx)
        case .transmit: netdev.commands.contains(NetdevNumber.Command.bindTx)
        case .pageSize:
            netdev.attributes[NetdevNumber.Command.bindRx]?
                .contains(NetdevNumber.Dmabuf.rxPageSize) == true
        case .lease: netdev.commands.contains(NetdevNumber.Command.queueCreate)
        }
    }

    /// The message for a kernel that lacks it.
    package var lack: String {
        switch self {
        case .receive: "this kernel lacks bind-rx"
        case .transmit: "this kernel lacks bind-tx"
        case .pageSize: "this kernel lacks rx-page-size"
        case .lease: "this kernel lacks queue-create"
        }
    }

    /// What has it.
    package var remedy: String {
        switch self {
        case .receive: "needs Linux 6.12 and CONFIG_NET_DEVMEM"
        case .transmit: "needs Linux 6.16"
        case .pageSize: "needs Linux 7.3"
        case .lease: "needs Linux 7.1"
        }
    }
}

extension DevmemError {
    /// Names what the kernel lacks as the reason why it refused a request.
    ///
    /// - Parameters:
    ///   - features: what the request uses.
    ///   - netdev: reads the policy of the family netdev; called only where such a lack may be the
    ///     reason.
    /// - Returns: an error of kind `unsupported` with that message and advice; the same error if
    ///   the kernel lacks none.
    func blaming(
        _ features: [BindFeature], in netdev: () throws(DevmemError) -> FamilyPolicy
    ) -> DevmemError {
        guard errno == .notSupportedOnSocket || errno == .invalidArgument,
            let policy = try? netdev(), let lacking = features.first(where: { !$0.isIn(policy) })
        else { return self }
        var blamed = self
        blamed.kind = .unsupported
        // The kernel's own text is about the number of an attribute or a command.
        blamed.message = lacking.lack
        blamed.advice = Advice(stringLiteral: lacking.remedy)
        return blamed
    }
}
