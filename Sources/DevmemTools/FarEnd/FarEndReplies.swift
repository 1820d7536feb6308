import DevmemCore

/// Replies of the remote end that nobody has asked for yet. Pure.
struct FarEndReplies {
    /// A request has two at most, and only a few requests are under way at once.
    static let most = 256

    private var replies: [FarEndReply] = []

    /// Adds a reply.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if more wait than can have been asked for.
    mutating func add(_ reply: FarEndReply) throws(DevmemError) {
        guard replies.count < Self.most else {
            throw DevmemError(
                .malformed, call: "listen to the remote end",
                message: "it answers what nobody asked")
        }
        replies.append(reply)
    }

    /// Removes and returns the first reply that is wanted; nil if there is none.
    mutating func remove(where isWanted: (FarEndReply) -> Bool) -> FarEndReply? {
        replies.firstIndex(where: isWanted).map { replies.remove(at: $0) }
    }
}
