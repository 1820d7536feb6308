import DevmemCore
/// One case of the validation: what it asks of the NIC and the kernel, and what it needs for that.
package struct ValidationCase: Sendable {
    /// The family that it belongs to.
    package let family: String
    /// Its name in the family.
    package let name: String
    /// What must be so, in one line.
    package let title: String
    /// What must be there; the first that is not is why it is skipped.
    let needs: [CaseNeed]
    let body: @Sendable (ValidationRun) throws(DevmemError) -> CaseVerdict

    /// The name that it is chosen by: `family.name`.
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

    /// All cases, in the order in which they run: those that disturb the NIC least first, and last
    /// whether it is as it was.
    package static var all: [ValidationCase] {
        bindRefusals + udmabufRefusals + boundRefusals + sendRefusals + tokenCases + receiveCases
            + dataCases + disturbances + afterwards
    }

    /// Those whose name matches one of the patterns; all if there are none.
    ///
    /// - Parameter patterns: each is compared with the full name, and with the family's.
    /// - Returns: the cases, in the order in which they run.
    package static func matching(_ patterns: [NamePattern]) -> [ValidationCase] {
        guard !patterns.isEmpty else { return all }
        return all.filter { one in
            patterns.contains { $0.matches(one.id) || $0.matches(one.family) }
        }
    }
}

/// What a case needs of the host, the NIC or the caller.
enum CaseNeed: Equatable, Sendable {
    /// CAP_NET_ADMIN.
    case privilege
    /// The kernel's request to bind for receiving.
    case bindReceive
    /// The kernel's request to bind for sending.
    case bindTransmit
    /// That request's page size.
    case pageSize
    /// A setting for header split.
    case headerSplit
    /// A setting for the size up to which packets are not split.
    case splitThreshold
    /// Queues that nothing else uses.
    case freeQueues(Int)
    /// Flow rules.
    case flowRules
    /// A table for RSS.
    case spreading
    /// The udmabuf driver.
    case udmabuf
    /// Huge pages that are free, so many bytes of them.
    case hugePages(UInt64)
    /// A far end that can be told what to do.
    case farEnd
    /// A far end at an address of this family, or of any, be it one that only sends back what it gets.
    case peer(ipv6: Bool?)
}

extension Array<CaseNeed> {
    /// To bind queues.
    static let binding: [CaseNeed] = [
        .privilege, .bindReceive, .udmabuf, .headerSplit, .freeQueues(1),
    ]
    /// To receive into bound queues.
    static let receiving: [CaseNeed] = binding + [.flowRules]
    /// To bind for sending, which changes nothing of the NIC.
    static let sending: [CaseNeed] = [.bindTransmit, .udmabuf]
}
