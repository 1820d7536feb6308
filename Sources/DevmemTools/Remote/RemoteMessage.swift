import DevmemCore

/// A message between two instances of this program, sent as a line of JSON.
protocol RemoteMessage: Codable, Sendable {
    /// The protocol version of this program.
    static var version: Int { get }
    /// The first message in either direction.
    static func hello(version: Int) -> Self
    /// The version in a hello; nil in any other message.
    var helloVersion: Int? { get }
    /// Why the sender gives up; nil in other messages.
    var failureText: String? { get }
    /// The message with each of its texts escaped for a terminal.
    var printed: Self { get }

    /// Checks for values that this program never sends.
    ///
    /// - Throws: `DevmemError` of kind `malformed` that names the value.
    func check() throws(DevmemError)
}
