package import DevmemCore
import SystemPackage

/// The result of a case.
package enum CaseVerdict: Equatable, Sendable {
    /// The behaviour is correct.
    case pass
    /// The NIC, the kernel or the host does not support it, or a precondition is missing; the text
    /// says which.
    case skip(String)
    /// The behaviour is wrong; the text says how.
    case fail(String)

    /// Derives the result from an error. If the kernel or the driver does not support a request,
    /// the case is skipped; any other error is a failure. Errors of socket calls do not depend on
    /// the driver, so they are failures too.
    init(_ error: DevmemError) {
        let isOfDriver = error.kind == .netlink || error.operation.kind == .addFlowRule
        let isUnsupported = isOfDriver && error.errno.map(Errno.unsupported.contains) == true
        self = isUnsupported ? .skip("\(error)") : .fail("\(error)")
    }

    /// Turns the failure of a case that binds queues into a skip, for a driver that probably cannot
    /// receive. Such drivers refuse in different ways.
    ///
    /// - Parameters:
    ///   - lack: why it probably cannot.
    ///   - needs: the preconditions of the case.
    /// - Returns: the skip, or this result if the case binds no queues or did not fail.
    func excused(by lack: String, needs: [CaseNeed]) -> CaseVerdict {
        guard case .fail(let why) = self, needs.contains(.bindReceive) else { return self }
        return .skip("\(lack): \(why)")
    }

    /// The name: `pass`, `skip` or `fail`.
    package var name: String {
        switch self {
        case .pass: "pass"
        case .skip: "skip"
        case .fail: "fail"
        }
    }

    /// The reason of a skip or failure; nil for a pass.
    package var message: String? {
        switch self {
        case .pass: nil
        case .skip(let message), .fail(let message): message
        }
    }
}

extension Errno {
    /// The errors for unsupported requests: EOPNOTSUPP, and ENOTSUPP, which should not reach user
    /// space but does (include/linux/errno.h).
    static let unsupported: [Errno] = [.notSupportedOnSocket, Errno(rawValue: 524)]
}

/// The result of one case, with its name.
package struct CaseResult: Encodable, Equatable, Sendable {
    /// The family of the case.
    package var family: String
    /// The name within the family.
    package var name: String
    /// A one-line description.
    package var title: String
    /// The result.
    package var verdict: CaseVerdict
    /// The duration in seconds.
    package var seconds: Double

    /// Creates a result from its values.
    package init(
        family: String, name: String, title: String, verdict: CaseVerdict, seconds: Double
    ) {
        self.family = family
        self.name = name
        self.title = title
        self.verdict = verdict
        self.seconds = seconds
    }

    private enum CodingKeys: String, CodingKey {
        case family, name, title, verdict, message, seconds
    }

    /// Encodes the verdict's name and message as keys of the object itself.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(family, forKey: .family)
        try container.encode(name, forKey: .name)
        try container.encode(title, forKey: .title)
        try container.encode(verdict.name, forKey: .verdict)
        try container.encodeIfPresent(verdict.message, forKey: .message)
        try container.encode(seconds, forKey: .seconds)
    }
}

/// The report of a validation. The JSON keys are stable; `version` increases with an incompatible
/// change.
package struct ValidationReport: Encodable, Equatable, Sendable {
    /// The version of this format.
    package var version = 1
    /// The host that was tested, and its kernel.
    package var host: HostIdentity
    /// When the validation began, in UTC as ISO 8601 writes it.
    package var time: String
    /// The NIC.
    package var interface: String
    /// Its driver, if known.
    package var driver: String?
    /// The description of the remote side; nil if there was none.
    package var peer: String?
    /// The results of the cases in the order in which they ran.
    package var cases: [CaseResult] = []
    /// The total duration in seconds.
    package var seconds = 0.0
    /// The signal that ended it early; nil if it completed.
    package var stoppedBy: Int32?

    /// Creates a report without results.
    package init(
        on host: HostIdentity, time: String, interface: String, driver: String?, peer: String?
    ) {
        self.host = host
        self.time = time
        self.interface = interface
        self.driver = driver
        self.peer = peer
    }

    /// The number of cases that passed.
    package var passed: Int { cases.count { $0.verdict == .pass } }
    /// The number of cases that failed.
    package var failed: Int { cases.count { $0.verdict.name == "fail" } }
    /// The number of cases that were skipped.
    package var skipped: Int { cases.count - passed - failed }

    /// The exit status as in the kernel's selftests: 0 if some passed and none failed, 1 if some
    /// failed, 4 if all were skipped.
    package var exitStatus: Int32 {
        if failed > 0 { return 1 }
        return passed > 0 ? 0 : 4
    }

    private enum CodingKeys: String, CodingKey {
        case version, host, time, interface, driver, kernel, cases, passed, failed, skipped, seconds
        case peer = "far_end"
        case stoppedBy = "stopped_by_signal"
    }

    /// Encodes the report with the numbers of passed, failed and skipped cases.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(version, forKey: .version)
        try container.encode(host.name, forKey: .host)
        try container.encode(time, forKey: .time)
        try container.encode(interface, forKey: .interface)
        try container.encodeIfPresent(driver, forKey: .driver)
        try container.encode(host.kernel, forKey: .kernel)
        try container.encodeIfPresent(peer, forKey: .peer)
        try container.encode(cases, forKey: .cases)
        try container.encode(passed, forKey: .passed)
        try container.encode(failed, forKey: .failed)
        try container.encode(skipped, forKey: .skipped)
        try container.encode(seconds, forKey: .seconds)
        try container.encodeIfPresent(stoppedBy, forKey: .stoppedBy)
    }
}
