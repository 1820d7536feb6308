/// Gathers tokens that follow each other, as they do mostly, so that a fragment costs an addition.
/// Pure.
struct TokenRun {
    private var start: UInt32 = 0
    private var count: UInt32 = 0

    /// Adds a token.
    ///
    /// - Returns: the run that ends, as the token does not continue it; nil if it does.
    @inline(__always)
    mutating func append(_ token: UInt32) -> TokenBatch.Range? {
        if token > start && token - start == count && count > 0 {
            count += 1
            return nil
        }
        let ended = end()
        start = token
        count = 1
        return ended
    }

    /// Ends the run; nil if there is none.
    @inline(__always)
    mutating func end() -> TokenBatch.Range? {
        guard count > 0 else { return nil }
        let ended = TokenBatch.Range(start: start, count: count)
        count = 0
        return ended
    }
}
