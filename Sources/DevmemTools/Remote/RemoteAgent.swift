import DevmemCore
import SystemPackage

/// The remote side of a validation: a second instance of this program that carries out requests.
final class RemoteAgent {
    private let process: RemoteProcess
    private let channel: RemoteChannel<ValidationMessage>
    private var replies = PendingReplies()
    private var lastID = 0

    /// Starts the remote side and waits until it is ready.
    ///
    /// - Parameters:
    ///   - place: where to start it.
    ///   - stop: signals that interrupt the wait.
    /// - Throws: `DevmemError` if it cannot be started or does not answer.
    init(at place: RemotePlace, stop: SharedStopSignal) throws(DevmemError) {
        process = try RemoteProcess(at: place, stop: stop)
        channel = try process.greet()
    }

    /// Sends a request and returns its number, which identifies the replies.
    func ask(_ request: ValidationPeerRequest) throws(DevmemError) -> Int {
        lastID += 1
        var numbered = request
        numbered.id = lastID
        try channel.tell(.request(numbered))
        return lastID
    }

    /// Waits until the remote side listens for a request to receive, and returns the port.
    func port(of id: Int) throws(DevmemError) -> UInt16 {
        let reply = try reply { $0.id == id }
        guard let port = reply.listening else {
            throw DevmemError(.system, call: "listen at \(process.place)", message: reply.failure)
        }
        return port
    }

    /// Waits for the result of a request.
    func result(of id: Int) throws(DevmemError) -> ValidationPeerReply {
        try reply { $0.id == id && $0.listening == nil && $0.source == nil }
    }

    /// Waits for the source address of the connection of a request to send, which must have set
    /// `tellsSource`. If the connection fails, the reply holds the failure instead.
    func source(of id: Int, until deadline: Deadline) throws(DevmemError) -> ValidationPeerReply {
        try reply(until: deadline) { $0.id == id }
    }

    private func reply(
        until deadline: Deadline = .after(messageTimeout),
        where isWanted: (ValidationPeerReply) -> Bool
    ) throws(DevmemError) -> ValidationPeerReply {
        while true {
            if let reply = replies.remove(where: isWanted) { return reply }
            let message = try channel.receive(until: deadline, "answer")
            guard case .reply(let reply) = message else { throw channel.unexpected(message) }
            try replies.add(reply)
        }
    }
}
