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
        /// Connect to the peer and send a pattern.
        case send
        /// Listen, and compare what one connection receives with a pattern.
        case receive
    }

    /// The period of the pattern that both ends know. It divides no page, so that payload displaced by
    /// pages, or by halves of them, does not match.
    static let period = 251

    /// Identifies the request in all replies to it.
    var id: Int
    var action: Action
    /// Address to send to, or to listen on.
    var address: String
    /// Port to send to, or to listen on; zero for a port of the kernel's choice.
    var port: UInt16 = 0
    /// Source address; nil for the kernel's choice.
    var from: String?
    /// How many bytes to send.
    var bytes: UInt64 = 0
    /// How many bytes to send in a call of send(2).
    var segment: Int = 0
    /// Whether to report the source of the connection before anything is sent.
    var tellsSource: Bool?
}

/// What the remote end replies.
struct FarEndReply: Codable, Equatable, Sendable {
    /// That of the request.
    var id: Int
    /// The port that it listens on; the result follows in another reply.
    var listening: UInt16?
    /// The address and port that its connection comes from, if the request asks; the result follows in
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

    /// The remote end of a connection.
    struct Source: Codable, Equatable, Sendable {
        var address: String
        var port: UInt16

        init(_ endpoint: Endpoint) {
            address = endpoint.address.unmapped.description
            port = endpoint.port
        }
    }
}
