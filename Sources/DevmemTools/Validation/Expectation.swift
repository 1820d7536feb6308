import DevmemCore
import SystemPackage

/// The refusal that a request must get.
struct ExpectedRefusal {
    /// The error numbers that kernels return.
    var errnos: [Errno]
    /// The extack text; nil if the kernel gives none.
    var refusal: Refusal?
    /// The attribute that the kernel reports; nil if it reports none.
    var attribute: String?

    init(_ errnos: Errno..., refusal: Refusal? = nil, attribute: String? = nil) {
        self.errnos = errnos
        self.refusal = refusal
        self.attribute = attribute
    }

    /// The refusal as text.
    var description: String {
        var parts = [errnos.map { describe($0) }.joined(separator: " or ")]
        if let refusal { parts.append("\"\(refusal.rawValue)\"") }
        if let attribute { parts.append("attribute \(attribute)") }
        return parts.joined(separator: ", ")
    }

    /// Tells whether an error is this refusal.
    func isMet(by error: DevmemError) -> Bool {
        guard let errno = error.errno, errnos.contains(errno) else { return false }
        if let refusal, Refusal(error) != refusal { return false }
        return attribute == nil || error.attribute == attribute
    }

    /// Checks whether a request gets this refusal.
    func verdict(
        on request: String, _ body: () throws(DevmemError) -> Void
    ) -> CaseVerdict {
        Self.verdict(on: request, anyOf: [self], body)
    }

    /// Checks whether a request gets one of several refusals, because kernels differ.
    static func verdict(
        on request: String, anyOf expected: [ExpectedRefusal],
        _ body: () throws(DevmemError) -> Void
    ) -> CaseVerdict {
        do throws(DevmemError) {
            try body()
        } catch {
            if expected.contains(where: { $0.isMet(by: error) }) { return .pass }
            var plain = error
            plain.advice = nil
            // The request was refused before the kernel checked the invalid part.
            if case .skip(let why) = CaseVerdict(plain) { return .skip(why) }
            return .fail("refused with \"\(plain)\", expected: \(words(expected))")
        }
        return .fail("\(request) was accepted, expected: \(words(expected))")
    }

    private static func words(_ expected: [ExpectedRefusal]) -> String {
        expected.map(\.description).joined(separator: "; or ")
    }
}

/// Returns a pass if no problem is given, otherwise a failure with the first problem.
func verdict(unless problems: String?...) -> CaseVerdict {
    for problem in problems { if let problem { return .fail(problem) } }
    return .pass
}

/// Returns a text if a value differs from the expected one, otherwise nil.
func difference<Value: Equatable>(
    _ what: String, _ found: Value, _ expected: Value
) -> String? {
    found == expected ? nil : "\(what): \(found), expected \(expected)"
}
