import DevmemCore

/// What this program and the same program elsewhere tell each other, a line of JSON for each message.
protocol RemoteMessage: Codable, Sendable {
    /// The version of the messages that this program sends and reads.
    static var version: Int { get }
    /// The first message either way.
    static func hello(version: Int) -> Self
    /// The version in a hello; nil in any other message.
    var helloVersion: Int? { get }
    /// Why the sender gives up; nil in a message that does not say so.
    var failureText: String? { get }
    /// The message with each of its texts on one line, fit for a terminal.
    var printed: Self { get }

    /// Refuses values that this program never sends.
    ///
    /// - Throws: `DevmemError` of kind `malformed` that names the value.
    func check() throws(DevmemError)
}
