import DevmemCore
import SystemPackage

/// What a case found.
package enum CaseVerdict: Equatable, Sendable {
    /// All is as it must be.
    case pass
    /// The NIC, the kernel or the host cannot do it, or what it takes is not given: why.
    case skip(String)
    /// It should be so and is not: what is wrong.
    case fail(String)

    /// What an error makes of a case. What kernel or driver do not support they cannot do, and so it
    /// is skipped; all else they should. A socket is no driver: what it refuses is wrong.
    init(_ error: DevmemError) {
        let isOfDriver = error.kind == .netlink || error.operation.kind == .addFlowRule
        let isUnsupported = isOfDriver && error.errno.map(Errno.unsupported.contains) == true
        self = isUnsupported ? .skip("\(error)") : .fail("\(error)")
    }

    /// Its name: `pass`, `skip` or `fail`.
    package var name: String {
        switch self {
        case .pass: "pass"
        case .skip: "skip"
        case .fail: "fail"
        }
    }

    /// Why it was skipped, or what is wrong; nil for a pass.
    package var message: String? {
        switch self {
        case .pass: nil
        case .skip(let message), .fail(let message): message
        }
    }
}

extension Errno {
    /// What the kernel says where something is not supported: EOPNOTSUPP, and ENOTSUPP, which should
    /// not leave the kernel and does (include/linux/errno.h).
    static let unsupported: [Errno] = [.notSupportedOnSocket, Errno(rawValue: 524)]
}

/// What became of one case.
package struct CaseResult: Encodable, Equatable, Sendable {
    /// The family that it belongs to.
    package var family: String
    /// Its name in the family.
    package var name: String
    /// What it is about, in one line.
    package var title: String
    /// What it found.
    package var verdict: CaseVerdict
    /// How long it took, in seconds.
    package var seconds: Double

    /// Makes a result from its values.
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

    /// Writes it flat: the verdict's name, and its message if it has one.
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

/// What a validation found. The keys of its JSON form are stable; `version` counts changes that
/// would break a reader.
package struct ValidationReport: Encodable, Equatable, Sendable {
    /// Version of this form.
    package var version = 1
    /// The NIC.
    package var interface: String
    /// Its driver, if known.
    package var driver: String?
    /// The running kernel's release.
    package var kernel: String
    /// The far end in words; nil if there was none.
    package var farEnd: String?
    /// What became of each case, in the order in which they ran.
    package var cases: [CaseResult] = []
    /// Seconds that all of it took.
    package var seconds = 0.0
    /// The signal that ended it early; nil if it came to its end.
    package var stoppedBy: Int32?

    /// Makes a report without results.
    package init(interface: String, driver: String?, kernel: String, farEnd: String?) {
        self.interface = interface
        self.driver = driver
        self.kernel = kernel
        self.farEnd = farEnd
    }

    /// How many cases passed.
    package var passed: Int { cases.count { $0.verdict == .pass } }
    /// How many cases failed.
    package var failed: Int { cases.count { $0.verdict.name == "fail" } }
    /// How many cases were skipped.
    package var skipped: Int { cases.count - passed - failed }

    /// The exit status that the kernel's selftests give this: 0 passed, 1 failed, 4 all skipped.
    package var exitStatus: Int32 {
        if failed > 0 { return 1 }
        return passed > 0 ? 0 : 4
    }

    private enum CodingKeys: String, CodingKey {
        case version, interface, driver, kernel, cases, passed, failed, skipped, seconds
        case farEnd = "far_end"
        case stoppedBy = "stopped_by_signal"
    }

    /// Writes it with the numbers of passed, failed and skipped cases.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(version, forKey: .version)
        try container.encode(interface, forKey: .interface)
        try container.encodeIfPresent(driver, forKey: .driver)
        try container.encode(kernel, forKey: .kernel)
        try container.encodeIfPresent(farEnd, forKey: .farEnd)
        try container.encode(cases, forKey: .cases)
        try container.encode(passed, forKey: .passed)
        try container.encode(failed, forKey: .failed)
        try container.encode(skipped, forKey: .skipped)
        try container.encode(seconds, forKey: .seconds)
        try container.encodeIfPresent(stoppedBy, forKey: .stoppedBy)
    }
}
