/// Merges consecutive token ids into ranges. Most ids are consecutive, so a fragment usually costs
/// one addition. Pure.
package struct TokenRun {
    private var run = TokenBatch.Range(start: 0, count: 0)

    package init() {}

    /// Adds a token.
    ///
    /// - Returns: the completed range if the token does not continue it; otherwise nil.
    @inline(__always)
    package mutating func append(_ token: UInt32) -> TokenBatch.Range? {
        if run.isContiguous(by: token) {
            run.count += 1
            return nil
        }
        let ended = end()
        run = TokenBatch.Range(start: token, count: 1)
        return ended
    }

    /// Ends the current range and returns it; nil if there is none.
    @inline(__always)
    package mutating func end() -> TokenBatch.Range? {
        guard run.count > 0 else { return nil }
        defer { run.count = 0 }
        return run
    }
}
