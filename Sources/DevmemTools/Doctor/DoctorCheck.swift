package import DevmemCore
/// A check of one precondition of device memory TCP.
package struct DoctorCheck: Equatable, Sendable, Codable {
    /// The subject of a check.
    package enum Group: String, Sendable, Codable, CaseIterable {
        /// The features of the running kernel.
        case kernel
        /// The privileges of this process.
        case privileges
        /// The sources of dma-bufs.
        case memory
        /// Settings of the network stack.
        case network
        /// A NIC with its settings.
        case nic
        /// The kernel's answers to a trial binding.
        case probe
    }

    /// The result of a check.
    package enum Verdict: String, Sendable, Codable, CaseIterable {
        /// The precondition is met.
        case ok
        /// Device memory TCP works, but with limits.
        case warning
        /// Device memory TCP does not work.
        case failed
        /// The state could not be determined.
        case unknown
    }

    /// The stable identifier, such as `bind-rx`.
    package var id: String
    /// The subject.
    package var group: Group
    /// The NIC; nil for the host.
    package var interface: String?
    /// The title for people.
    package var title: String
    /// The result.
    package var verdict: Verdict
    /// The value that was read.
    package var evidence: String
    /// A shell command for root that makes the check pass; nil if there is none.
    package var fix: String?

    /// Creates a check from its values.
    package init(
        id: String, group: Group, interface: String?, title: String, verdict: Verdict,
        evidence: String, fix: String?
    ) {
        self.id = id
        self.group = group
        self.interface = interface
        self.title = title
        self.verdict = verdict
        self.evidence = evidence
        self.fix = fix
    }
}

/// A list of checks of one group.
struct CheckList {
    let group: DoctorCheck.Group
    var interface: String?
    private(set) var checks: [DoctorCheck] = []

    init(_ group: DoctorCheck.Group, interface: String? = nil) {
        self.group = group
        self.interface = interface
    }

    mutating func add(
        _ id: String, _ title: String, _ verdict: DoctorCheck.Verdict, _ evidence: String,
        fix: String? = nil
    ) {
        checks.append(
            DoctorCheck(
                id: id, group: group, interface: interface, title: title, verdict: verdict,
                evidence: evidence, fix: fix))
    }

    /// Returns a value that was read. If reading failed, adds an unknown check with the error.
    mutating func value<Value>(
        of reading: Reading<Value>, _ id: String, _ title: String
    ) -> Value? {
        switch reading {
        case .success(let value): return value
        case .failure(let error):
            add(id, title, .unknown, error.description)
            return nil
        }
    }
}

/// A value that was read, or the error.
package typealias Reading<Value> = Result<Value, DevmemError>
