import DevmemCore

/// Replies of the remote side that are not yet waited for. Pure.
struct PendingReplies {
    /// The maximum number of stored replies. A request has at most two, and few requests run at
    /// once.
    static let most = 256

    private var replies: [ValidationPeerReply] = []

    /// Adds a reply.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if more replies wait than requests can explain.
    mutating func add(_ reply: ValidationPeerReply) throws(DevmemError) {
        guard replies.count < Self.most else {
            throw DevmemError(
                .malformed, call: "read from the peer",
                message: "it sends more replies than it got requests")
        }
        replies.append(reply)
    }

    /// Removes and returns the first reply that satisfies a condition; nil if there is none.
    mutating func remove(where isWanted: (ValidationPeerReply) -> Bool) -> ValidationPeerReply? {
        replies.firstIndex(where: isWanted).map { replies.remove(at: $0) }
    }
}
