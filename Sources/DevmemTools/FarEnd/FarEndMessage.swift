import DevmemCore

/// What a validation and its remote end tell each other.
enum FarEndMessage: RemoteMessage {
    /// The first message either way.
    case hello(version: Int)
    /// What the validation asks for.
    case request(FarEndRequest)
    /// What the remote end answers.
    case reply(FarEndReply)

    static let version = 1

    var helloVersion: Int? { if case .hello(let version) = self { version } else { nil } }

    var failureText: String? { nil }

    var printed: FarEndMessage {
        guard case .reply(var reply) = self else { return self }
        reply.failure = reply.failure.map { printable($0) }
        return .reply(reply)
    }

    func check() throws(DevmemError) {}
}

/// What a validation asks of the remote end.
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
    /// That of the request.
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
}
