/// What a refusal of the kernel means, and what to do about it.
package struct ErrorExplanation: Equatable, Sendable {
    /// The meaning of the kernel's text or error number.
    package var meaning: String
    /// What to do.
    package var advice: Advice

    init(_ meaning: String, _ advice: Advice) {
        self.meaning = meaning
        self.advice = advice
    }
}

/// Explains a refused request of device memory TCP; nil if nothing is known beyond the error. Pure.
///
/// The kernel's text takes precedence, because several refusals share an error number, and a number
/// has another meaning for each request.
package func explain(_ error: DevmemError) -> ErrorExplanation? {
    // What the kernel lacks, the error says itself.
    guard error.kind != .unsupported else { return nil }
    if let refusal = Refusal(error) { return refusal.explanation }
    guard let errno = error.errno,
        let request = requests.first(where: { $0.kind == error.operation.kind })
    else { return nil }
    if errno == .invalidArgument, let attribute = error.attribute,
        let row = request.attributes.first(where: { attribute.hasSuffix($0.key) })
    {
        return row.value
    }
    return request.answers[errno]
}

/// Returns the error with the advice of its explanation, unless it already has advice.
func explained(_ error: DevmemError) -> DevmemError {
    explain(error).map { error.advising($0.advice) } ?? error
}
