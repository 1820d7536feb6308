import DevmemCore
/// Answers of the far end that nobody has asked for yet. Pure.
struct FarEndReplies {
    /// A request has two at most, and only a few requests are under way at once.
    static let most = 256

    private var replies: [FarEndReply] = []

    /// Adds what a line holds; one that is no answer is passed over, such as a greeting of a host.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if more wait than can have been asked for.
    mutating func add(_ line: [UInt8]) throws(DevmemError) {
        guard let reply = LineReader.message(FarEndReply.self, in: line) else { return }
        guard replies.count < Self.most else {
            throw DevmemError(
                .malformed, call: "listen to the far end", message: "it answers what nobody asked")
        }
        replies.append(reply)
    }

    /// Removes and returns the first one that is wanted; nil if there is none.
    mutating func remove(where isWanted: (FarEndReply) -> Bool) -> FarEndReply? {
        replies.firstIndex(where: isWanted).map { replies.remove(at: $0) }
    }
}
