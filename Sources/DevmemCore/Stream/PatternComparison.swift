/// How the payload compares with a pattern.
package struct PatternComparison: Codable, Equatable, Sendable {
    /// Bytes compared.
    package var checkedBytes: UInt64
    /// Bytes that differ.
    package var wrongBytes: UInt64
    /// The first byte that differs.
    package var firstMismatch: PatternChecker.Mismatch?

    private enum CodingKeys: String, CodingKey {
        case checkedBytes = "checked_bytes"
        case wrongBytes = "wrong_bytes"
        case firstMismatch = "first_mismatch"
    }
}
