/// What a refusal of the kernel means, and what to do about it.
package struct ErrorExplanation: Equatable, Sendable {
    /// What the kernel's words or error number stand for.
    package var meaning: String
    /// What to do.
    package var advice: Advice

    init(_ meaning: String, _ advice: Advice) {
        self.meaning = meaning
        self.advice = advice
    }
}

/// Explains a refused request of device memory TCP. Pure: only the error is looked at.
///
/// The kernel's text decides where it has one, as several refusals share an error number; then the
/// number, which means something else for each request.
///
/// - Parameter error: as thrown by the core.
/// - Returns: the explanation; nil where nothing is known beyond the error itself.
package func explain(_ error: DevmemError) -> ErrorExplanation? {
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

/// The same error with the advice of its explanation, unless it carries some or has none.
func explained(_ error: DevmemError) -> DevmemError {
    explain(error).map { error.advising($0.advice) } ?? error
}
