import DevmemCore
/// A case of the validation, with its preconditions.
package struct ValidationCase: Sendable {
    /// The family of the case.
    package let family: String
    /// The name within the family.
    package let name: String
    /// The behaviour that it checks, in one line.
    package let title: String
    /// The preconditions; the first one that is not met is the reason to skip the case.
    let needs: [CaseNeed]
    let body: @Sendable (ValidationRun) throws(DevmemError) -> CaseVerdict

    /// The name for selection: `family.name`.
    package var id: String { "\(family).\(name)" }

    init(
        _ family: String, _ name: String, _ title: String, needs: [CaseNeed],
        body: @escaping @Sendable (ValidationRun) throws(DevmemError) -> CaseVerdict
    ) {
        self.family = family
        self.name = name
        self.title = title
        self.needs = needs
        self.body = body
    }

    /// All cases in the order in which they run: the least disruptive first, and the check for
    /// restored settings last.
    package static var all: [ValidationCase] {
        bindRefusals + udmabufRefusals + boundRefusals + sendRefusals + tokenCases + receiveCases
            + dataCases + ioUringCases + disturbanceCases + afterwards
    }

    /// Returns the cases that match any of the patterns; all cases if there are no patterns.
    ///
    /// - Parameter patterns: the patterns, each compared with the full name and with the family.
    /// - Returns: the cases in the order in which they run.
    package static func matching(_ patterns: [NamePattern]) -> [ValidationCase] {
        guard !patterns.isEmpty else { return all }
        return all.filter { one in
            patterns.contains { $0.matches(one.id) || $0.matches(one.family) }
        }
    }
}

/// A precondition of a case on the host, the NIC or the parameters.
enum CaseNeed: Equatable, Sendable {
    /// CAP_NET_ADMIN.
    case privilege
    /// The kernel supports bind-rx.
    case bindReceive
    /// The kernel supports bind-tx.
    case bindTransmit
    /// The kernel's io_uring receives into device memory.
    case ioUring
    /// The kernel supports a page size in bind-rx.
    case pageSize
    /// The NIC has a header split setting.
    case headerSplit
    /// The NIC has a header split threshold.
    case splitThreshold
    /// The kernel requires header split of bound queues.
    case splitHeld
    /// This many receive queues are free.
    case freeQueues(Int)
    /// The NIC has flow rules.
    case flowRules
    /// The NIC has an RSS indirection table.
    case spreading
    /// The udmabuf driver is available.
    case udmabuf
    /// This many bytes of huge pages are free.
    case hugePages(UInt64)
    /// There is a remote side that carries out requests.
    case remote
    /// There is a peer with an address of this family, or of any; an echo server suffices.
    case peer(ipv6: Bool?)
}

extension Array<CaseNeed> {
    /// The preconditions to bind queues.
    static let binding: [CaseNeed] = [
        .privilege, .bindReceive, .udmabuf, .headerSplit, .freeQueues(1),
    ]
    /// The preconditions to receive into bound queues.
    static let receiving: [CaseNeed] = binding + [.flowRules]
    /// The preconditions to bind for sending, which changes no setting of the NIC.
    static let sending: [CaseNeed] = [.bindTransmit, .udmabuf]
}
