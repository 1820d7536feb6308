package import DevmemCore
/// One thing that device memory TCP depends on, looked at.
package struct DoctorCheck: Equatable, Sendable, Codable {
    /// What it is about.
    package enum Group: String, Sendable, Codable, CaseIterable {
        /// What the running kernel offers.
        case kernel
        /// What this process may do.
        case privileges
        /// Where dma-bufs come from.
        case memory
        /// Settings of the network stack.
        case network
        /// A NIC and its settings.
        case nic
        /// What the kernel answered when asked to bind.
        case probe
    }

    /// What came of it.
    package enum Verdict: String, Sendable, Codable, CaseIterable {
        /// Nothing is in the way.
        case ok
        /// It works, but not in full or not for long.
        case warning
        /// Device memory TCP does not work.
        case failed
        /// It could not be told.
        case unknown
    }

    /// Its lasting name, such as `bind-rx`.
    package var id: String
    /// What it is about.
    package var group: Group
    /// The NIC; nil for the host.
    package var interface: String?
    /// What is looked at, for people.
    package var title: String
    /// What came of it.
    package var verdict: Verdict
    /// What was read.
    package var evidence: String
    /// A command for root's shell that makes it pass; nil where there is none.
    package var fix: String?

    /// Makes a check from its parts.
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

/// The checks of one group, as they are judged.
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

    /// What was read; if that failed, the check is unknown, in the kernel's words.
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

/// What was read of the host, or why it could not be.
package typealias Reading<Value> = Result<Value, DevmemError>
