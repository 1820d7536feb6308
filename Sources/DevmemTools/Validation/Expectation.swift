import DevmemCore
import SystemPackage

/// The refusal that a request must meet with.
struct ExpectedRefusal {
    /// The error numbers that kernels give it.
    var errnos: [Errno]
    /// What the kernel's text says; nil where it gives none.
    var refusal: Refusal?
    /// The attribute that the kernel names; nil where it names none.
    var attribute: String?

    init(_ errnos: Errno..., refusal: Refusal? = nil, attribute: String? = nil) {
        self.errnos = errnos
        self.refusal = refusal
        self.attribute = attribute
    }

    /// The refusal in words.
    var description: String {
        var parts = [errnos.map { describe($0) }.joined(separator: " or ")]
        if let refusal { parts.append("\"\(refusal.rawValue)\"") }
        if let attribute { parts.append("attribute \(attribute)") }
        return parts.joined(separator: ", ")
    }

    /// Whether an error is the refusal.
    func isMet(by error: DevmemError) -> Bool {
        guard let errno = error.errno, errnos.contains(errno) else { return false }
        if let refusal, Refusal(error) != refusal { return false }
        return attribute == nil || error.attribute == attribute
    }

    /// Whether a request meets with the refusal.
    func verdict(
        on request: String, _ body: () throws(DevmemError) -> Void
    ) -> CaseVerdict {
        Self.verdict(on: request, anyOf: [self], body)
    }

    /// Whether a request meets with one of several refusals, as kernels differ.
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
            // Refused before the kernel looked at what is wrong with it.
            if case .skip(let why) = CaseVerdict(plain) { return .skip(why) }
            return .fail("refused with \"\(plain)\", expected: \(words(expected))")
        }
        return .fail("\(request) was accepted, expected: \(words(expected))")
    }

    private static func words(_ expected: [ExpectedRefusal]) -> String {
        expected.map(\.description).joined(separator: "; or ")
    }
}

/// Pass if there is nothing wrong; otherwise the first of what is.
func verdict(unless problems: String?...) -> CaseVerdict {
    for problem in problems { if let problem { return .fail(problem) } }
    return .pass
}

/// What is wrong with a value; nil if it is as expected.
func difference<Value: Equatable>(
    _ what: String, _ found: Value, _ expected: Value
) -> String? {
    found == expected ? nil : "\(what): \(found), expected \(expected)"
}
