import DevmemCore

/// A message between a validation and its remote side.
enum ValidationMessage: RemoteMessage {
    /// The first message in either direction.
    case hello(version: Int)
    /// A request of the validation.
    case request(ValidationPeerRequest)
    /// A reply of the remote side.
    case reply(ValidationPeerReply)

    static let version = 1

    var helloVersion: Int? { if case .hello(let version) = self { version } else { nil } }

    var failureText: String? { nil }

    var printed: ValidationMessage {
        guard case .reply(var reply) = self else { return self }
        reply.failure = reply.failure.map { printable($0) }
        return .reply(reply)
    }

    func check() throws(DevmemError) {}
}

/// A request to the remote side.
struct ValidationPeerRequest: Codable, Equatable, Sendable {
    /// The action to carry out.
    enum Action: String, Codable {
        /// Connect to the peer and send a pattern.
        case send
        /// Listen, and compare what one connection receives with a pattern.
        case receive
    }

    /// The period of the pattern, known to both sides. It divides no page size, so that payload
    /// displaced by pages or half pages does not match.
    static let period = 251

    /// Identifies the request in all replies to it.
    var id: Int
    var action: Action
    /// The address to connect to, or to listen on.
    var address: String
    /// The port to connect to, or to listen on; zero lets the kernel choose.
    var port: UInt16 = 0
    /// The source address; nil lets the kernel choose.
    var from: String?
    /// The number of bytes to send.
    var bytes: UInt64 = 0
    /// The number of bytes to send per call.
    var segment: Int = 0
    /// Whether to report the source of the connection before sending.
    var tellsSource: Bool?
}

/// A reply of the remote side.
struct ValidationPeerReply: Codable, Equatable, Sendable {
    /// The request's number.
    var id: Int
    /// The port that the remote side listens on; the result follows in another reply.
    var listening: UInt16?
    /// The source address and port of the connection, if the request asks for it; the result
    /// follows in another reply.
    var source: Source?
    /// Payload bytes sent or received.
    var bytes: UInt64?
    /// Bytes that differ from the pattern.
    var wrong: UInt64?
    /// The first mismatch.
    var mismatch: PatternChecker.Mismatch?
    /// Why the request failed.
    var failure: String?

    /// The source address of a connection.
    struct Source: Codable, Equatable, Sendable {
        var address: String
        var port: UInt16

        init(_ endpoint: Endpoint) {
            address = endpoint.address.unmapped.description
            port = endpoint.port
        }
    }
}
