import DevmemCore
/// What the near end asks of the far end, a line of JSON each.
struct FarEndRequest: Codable, Equatable, Sendable {
    /// What to do.
    enum Action: String, Codable {
        /// Connect to the near end and send it a pattern.
        case send
        /// Listen, and compare what one connection brings with a pattern.
        case receive
    }

    /// The pattern that both ends know: of a period that divides no page, so that nothing that is
    /// moved by pages or halves of them goes unseen.
    static let period = 251

    /// Stands in all answers to this request.
    var id: Int
    var action: Action
    /// Address to send to, or to listen on.
    var address: String
    /// Port to send to; zero for one of the kernel's choice to listen on.
    var port: UInt16 = 0
    /// Address to come from; nil for the kernel's choice.
    var from: String?
    /// How many bytes to send.
    var bytes: UInt64 = 0
    /// How many bytes each call of send(2) takes.
    var segment: Int = 0
    /// Whether to tell where the connection comes from before anything is sent.
    var tellsSource: Bool?
}

/// What the far end answers.
struct FarEndReply: Codable, Equatable, Sendable {
    /// The request's; zero for the greeting.
    var id: Int
    /// The port that it listens on; what it did follows in another reply.
    var listening: UInt16?
    /// The address and port that its connection comes from, if it was asked; what it did follows in
    /// another reply.
    var source: Source?
    /// Payload bytes sent or received.
    var bytes: UInt64?
    /// Bytes that differ from the pattern.
    var wrong: UInt64?
    /// The first that differs.
    var mismatch: PatternChecker.Mismatch?
    /// What went wrong.
    var failure: String?

    /// The far end's end of a connection.
    struct Source: Codable, Equatable, Sendable {
        var address: String
        var port: UInt16

        init(_ endpoint: Endpoint) {
            address = endpoint.address.unmapped.description
            port = endpoint.port
        }
    }

    /// What the far end says first.
    static let greeting = FarEndReply(id: 0)
}
