import DevmemCore
import Synchronization
import SystemPackage

/// The sending half of a channel. Threads can share it.
final class RemoteWriter<Message: RemoteMessage>: Sendable {
    private let output: Int32
    private let name: String
    /// Whether the peer has read everything so far. After a timeout nothing more is sent.
    private let isPeerReading = Mutex(true)

    fileprivate init(_ output: Int32, to name: String) {
        self.output = output
        self.name = name
    }

    /// Sends messages under a single timeout.
    ///
    /// - Parameters:
    ///   - messages: the messages.
    ///   - stop: signals that shorten the timeout; nil for none.
    /// - Throws: `DevmemError` of kind `system` if the peer is gone or does not read.
    func send(_ messages: [Message], stop: SharedStopSignal? = nil) throws(DevmemError) {
        let deadline = Deadline.after(messageTimeout)
        try isPeerReading.withLock { isPeerReading throws(DevmemError) in
            guard isPeerReading else {
                throw DevmemError(.system, call: "talk to \(name)", message: "it does not read")
            }
            for message in messages {
                let line = try jsonLine(of: message)
                // A line that is sent in part would corrupt the next message, so the channel
                // counts as broken until all of it is sent.
                isPeerReading = false
                try writeLine(line, to: output, until: deadline, stop: stop)
                isPeerReading = true
            }
        }
    }
}

/// A connection to another instance of this program, as one of its two sides sees it.
final class RemoteChannel<Message: RemoteMessage> {
    private let input: Int32
    private let name: String
    private let stop: SharedStopSignal
    private let advice: Advice?
    private var reader = LineReader()
    /// Whether the peer has sent a message. Lines before the first one may be a login banner.
    private var hasReceivedMessage = false
    /// Whether more input may arrive.
    private(set) var isOpen = true
    /// The sending half, for other threads.
    let writer: RemoteWriter<Message>

    /// - Parameters:
    ///   - input: the descriptor to read from; it must stay open.
    ///   - output: the descriptor to write to; it must stay open.
    ///   - name: the peer's name in errors.
    ///   - advice: the advice if the peer does not answer at all.
    ///   - stop: signals that interrupt a wait.
    init(
        input: Int32, output: Int32, to name: String, advice: Advice? = nil, stop: SharedStopSignal
    ) {
        self.input = input
        self.name = name
        self.advice = advice
        self.stop = stop
        writer = RemoteWriter(output, to: name)
    }

    /// The descriptor to poll; -1 after end of file.
    var rawValue: Int32 { isOpen ? input : -1 }

    /// Sends a message.
    ///
    /// - Throws: `DevmemError` of kind `system` if the peer is gone or does not read.
    func tell(_ message: Message) throws(DevmemError) {
        try writer.send([message], stop: stop)
    }

    /// Sends messages under a single timeout.
    ///
    /// - Throws: `DevmemError` of kind `system` if the peer is gone or does not read.
    func tell(_ messages: [Message]) throws(DevmemError) {
        try writer.send(messages, stop: stop)
    }

    /// Returns the next message that has been read; nil if there is none.
    ///
    /// - Throws: `DevmemError` of kind `malformed` if a line is not a message, or a message holds
    ///   invalid values.
    func next() throws(DevmemError) -> Message? {
        while let line = reader.next() {
            if let message = LineReader.message(Message.self, in: line) {
                hasReceivedMessage = true
                do throws(DevmemError) {
                    try message.check()
                } catch {
                    throw malformed("it sent \(error.message ?? "invalid values")")
                        .advising(sameProgram)
                }
                return message.printed
            }
            guard !hasReceivedMessage else {
                throw malformed("it sent a line that is not a message")
            }
        }
        return nil
    }

    /// Stops reading, after the peer has violated the protocol.
    func close() { isOpen = false }

    /// Reads once.
    ///
    /// - Returns: false at end of file.
    /// - Throws: `DevmemError` of kind `malformed` if a line is too long, `system` with the `errno`
    ///   of read(2).
    func fill() throws(DevmemError) -> Bool {
        isOpen = false
        do throws(DevmemError) {
            isOpen = try reader.fill(from: input)
        } catch {
            // ECONNRESET means that the peer died before it read all messages; treat that as end of
            // file.
            guard error.errno == .connectionReset else { throw error }
        }
        return isOpen
    }

    /// Waits for the next message.
    ///
    /// - Parameters:
    ///   - seconds: the timeout for the whole message.
    ///   - wanted: what the peer is expected to do, as a verb for errors.
    ///   - others: descriptors to poll meanwhile.
    ///   - meanwhile: called whenever a descriptor may be readable.
    /// - Returns: the message.
    /// - Throws: `DevmemError` of kind `system` on a timeout or end of file, or if the message
    ///   reports a failure.
    func receive(
        seconds: Int32, _ wanted: String, watching others: [Int32] = [],
        meanwhile: () throws(DevmemError) -> Void = {}
    ) throws(DevmemError) -> Message {
        try receive(
            until: .after(.seconds(Int(seconds))), wanted, watching: others, meanwhile: meanwhile)
    }

    /// Waits for the next message until a deadline.
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

    /// Exchanges protocol versions.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if the versions differ, and the errors of
    ///   `receive`.
    func greet() throws(DevmemError) {
        try tell(.hello(version: Message.version))
        let message: Message
        do throws(DevmemError) {
            message = try receive(until: .after(messageTimeout), "answer")
        } catch {
            // A signal is no fault of the peer.
            guard error.signal == nil, let advice else { throw error }
            throw error.advising(advice)
        }
        guard let version = message.helloVersion else { throw unexpected(message) }
        guard version == Message.version else {
            throw DevmemError(
                .unsupported, call: "talk to \(name)",
                message: "it speaks version \(version), this program \(Message.version)",
                advice: sameProgram)
        }
    }

    /// Returns the error for a message that the protocol does not allow at this point.
    func unexpected(_ message: Message) -> DevmemError {
        let word = Mirror(reflecting: message).children.first?.label ?? "\(message)"
        return malformed("it sent an unexpected \"\(word)\"")
    }

    private func malformed(_ message: String) -> DevmemError {
        DevmemError(.malformed, call: "read from \(name)", message: message)
    }
}
