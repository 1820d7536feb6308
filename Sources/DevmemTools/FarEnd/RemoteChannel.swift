import DevmemCore
import Synchronization
import SystemPackage

/// Sends messages to the remote end. Several threads may share it.
final class RemoteWriter<Message: RemoteMessage>: Sendable {
    private let output: Int32
    private let name: String
    /// Whether the remote end has read everything so far. One that did not in time gets nothing more.
    private let isHeard = Mutex(true)

    fileprivate init(_ output: Int32, to name: String) {
        self.output = output
        self.name = name
    }

    /// Sends several messages, which together take no longer than one.
    ///
    /// - Parameters:
    ///   - messages: what to send.
    ///   - stop: signals, after which the remote end has little time; nil for none.
    /// - Throws: `DevmemError` of kind `system` if the remote end is gone or does not read.
    func send(_ messages: [Message], stop: SharedStopSignal? = nil) throws(DevmemError) {
        let deadline = Deadline.after(messageTime)
        try isHeard.withLock { isHeard throws(DevmemError) in
            guard isHeard else {
                throw DevmemError(.system, call: "talk to \(name)", message: "it reads nothing")
            }
            // Until all of it is sent, as what is left of a line would be part of the next one.
            isHeard = false
            for message in messages {
                try writeJSONLine(message, to: output, until: deadline, stop: stop)
            }
            isHeard = true
        }
    }
}

/// A conversation with this same program elsewhere, as one of the two ends sees it.
final class RemoteChannel<Message: RemoteMessage> {
    private let input: Int32
    private let name: String
    private let stop: SharedStopSignal
    private let advice: Advice?
    private var reader = LineReader()
    /// Whether the remote end has sent a message; before, there may be the greeting of a login.
    private var isGreeted = false
    /// Whether more may come.
    private(set) var isOpen = true
    /// For threads that send by themselves.
    let writer: RemoteWriter<Message>

    /// - Parameters:
    ///   - input: the descriptor to read messages from; must stay open.
    ///   - output: the descriptor to write messages to; must stay open.
    ///   - name: what to call the remote end in errors.
    ///   - advice: what to do if it does not answer at all.
    ///   - stop: signals that end a wait.
    init(
        input: Int32, output: Int32, to name: String, advice: Advice? = nil, stop: SharedStopSignal
    ) {
        self.input = input
        self.name = name
        self.advice = advice
        self.stop = stop
        writer = RemoteWriter(output, to: name)
    }

    /// The descriptor to poll; -1 after the end.
    var rawValue: Int32 { isOpen ? input : -1 }

    /// Sends a message.
    ///
    /// - Throws: `DevmemError` of kind `system` if the remote end is gone or does not read.
    func tell(_ message: Message) throws(DevmemError) {
        try writer.send([message], stop: stop)
    }

    /// Sends several messages, which together take no longer than one.
    ///
    /// - Throws: `DevmemError` of kind `system` if the remote end is gone or does not read.
    func tell(_ messages: [Message]) throws(DevmemError) {
        try writer.send(messages, stop: stop)
    }

    /// The next message of what has been read; nil if there is none.
    ///
    /// - Throws: `DevmemError` of kind `malformed` for a line that is not a message, and for a message
    ///   with values that cannot be.
    func next() throws(DevmemError) -> Message? {
        while let line = reader.next() {
            if let message = LineReader.message(Message.self, in: line) {
                isGreeted = true
                do throws(DevmemError) {
                    try message.check()
                } catch {
                    throw malformed("it tells of \(error.message ?? "what cannot be")")
                        .advising(sameProgram)
                }
                return message.printed
            }
            guard !isGreeted else { throw malformed("it sent a line that is not a message") }
        }
        return nil
    }

    /// Stops reading, for a remote end that says what it should not.
    func close() { isOpen = false }

    /// Reads once; nothing more comes if it returns false.
    ///
    /// - Throws: `DevmemError` of kind `malformed` for a line without end, `system` as read(2) fails.
    func fill() throws(DevmemError) -> Bool {
        isOpen = false
        do throws(DevmemError) {
            isOpen = try reader.fill(from: input)
        } catch {
            // One that died with messages of ours unread is as gone as one that closed.
            guard error.errno == .connectionReset else { throw error }
        }
        return isOpen
    }

    /// Waits for the next message.
    ///
    /// - Parameters:
    ///   - seconds: how long to wait for the whole message.
    ///   - wanted: what is waited for, in words.
    ///   - others: descriptors that may become readable meanwhile.
    ///   - meanwhile: called when one of them may be.
    /// - Returns: the message.
    /// - Throws: `DevmemError` of kind `system` if none comes, or one that reports a failure.
    func receive(
        seconds: Int32, _ wanted: String, watching others: [Int32] = [],
        meanwhile: () throws(DevmemError) -> Void = {}
    ) throws(DevmemError) -> Message {
        try receive(
            until: .after(.seconds(Int(seconds))), wanted, watching: others, meanwhile: meanwhile)
    }

    /// The same, but not past a deadline.
    func receive(
        until deadline: Deadline, _ wanted: String, watching others: [Int32] = [],
        meanwhile: () throws(DevmemError) -> Void = {}
    ) throws(DevmemError) -> Message {
        let all = others.isEmpty ? nil : try Poller(reading: [input] + others)
        let watched: Int32 =
            switch all {
            case .some(let poller): poller.rawValue
            case .none: input
            }
        let call = "wait for \(name) to \(wanted)"
        while true {
            if let message = try next() {
                if let text = message.failureText {
                    throw DevmemError(.system, call: "\(name) cannot \(wanted)", message: text)
                }
                return message
            }
            try stop.wait(
                for: watched, events: Int32(PollEvents.input.rawValue), until: deadline, call)
            try meanwhile()
            guard try poll(input, for: .input, milliseconds: 0) else { continue }
            guard try fill() else {
                throw DevmemError(.system, call: call, message: "it is gone")
            }
        }
    }

    /// Exchanges the versions of both ends.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if they differ, and as `receive` does.
    func greet() throws(DevmemError) {
        try tell(.hello(version: Message.version))
        let message: Message
        do throws(DevmemError) {
            message = try receive(until: .after(messageTime), "answer")
        } catch {
            throw advice.map { error.advising($0) } ?? error
        }
        guard let version = message.helloVersion else { throw unexpected(message) }
        guard version == Message.version else {
            throw DevmemError(
                .unsupported, call: "talk to \(name)",
                message: "it speaks version \(version), this program \(Message.version)",
                advice: sameProgram)
        }
    }

    /// The error for a message that comes out of turn.
    func unexpected(_ message: Message) -> DevmemError {
        let word = Mirror(reflecting: message).children.first?.label ?? "\(message)"
        return malformed("it says \"\(word)\" out of turn")
    }

    private func malformed(_ message: String) -> DevmemError {
        DevmemError(.malformed, call: "listen to \(name)", message: message)
    }
}
