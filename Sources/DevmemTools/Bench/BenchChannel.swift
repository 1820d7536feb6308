import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// The conversation of the two ends of a benchmark, as one of them sees it.
final class BenchChannel {
    private let input: Int32
    private let output: Int32
    private let name: String
    private let stop: StopWatch
    private let advice: String?
    private var reader = LineReader()
    /// Whether the other end has said hello; before, there may be the greeting of a login.
    private var isGreeted = false
    private(set) var isOpen = true
    /// Whether the other end has taken everything so far. One that did not in time is not told more.
    private var isHeard = true

    /// - Parameters:
    ///   - input: the descriptor that the other end's words come from; must stay open.
    ///   - output: the descriptor that this end's words go to; must stay open.
    ///   - name: the other end, in words.
    ///   - advice: what to do if it does not answer at all.
    ///   - stop: signals that end a wait.
    init(
        input: Int32, output: Int32, to name: String,
        advice: String? = nil, stop: StopWatch
    ) {
        self.input = input
        self.output = output
        self.name = name
        self.advice = advice
        self.stop = stop
    }

    /// The descriptor to poll; nothing comes any more after the end.
    var rawValue: Int32 { isOpen ? input : -1 }

    /// Tells the other end something.
    ///
    /// - Throws: `DevmemError` of kind `system` if it is gone, or does not read.
    func tell(_ message: BenchMessage) throws(DevmemError) {
        try tell([message])
    }

    /// Tells the other end several things, which together take no longer than one.
    ///
    /// - Throws: `DevmemError` of kind `system` if it is gone, or does not read.
    func tell(_ messages: [BenchMessage]) throws(DevmemError) {
        guard isHeard else {
            throw DevmemError(.system, call: "talk to \(name)", message: "it reads nothing")
        }
        let deadline = Deadline.after(messageTime)
        do throws(DevmemError) {
            for message in messages {
                try writeJSONLine(message, to: output, until: deadline, stop: stop)
            }
        } catch {
            isHeard = false
            throw error
        }
    }

    /// What has been read and not yet taken; nil if there is none.
    ///
    /// - Throws: `DevmemError` of kind `malformed` for what is no message, and for one with values that
    ///   cannot be.
    func next() throws(DevmemError) -> BenchMessage? {
        while let line = reader.next() {
            if let message = LineReader.message(BenchMessage.self, in: line) {
                isGreeted = true
                do throws(DevmemError) {
                    try message.check()
                } catch {
                    throw DevmemError(
                        .malformed, call: "listen to \(name)",
                        message: "it tells of \(error.message ?? "what cannot be")",
                        advice: "run the same devmemtcp at both ends")
                }
                return message.printed
            }
            guard !isGreeted else {
                throw DevmemError(
                    .malformed, call: "listen to \(name)", message: "it says what is no message")
            }
        }
        return nil
    }

    /// Listens no more, as to one that says what it should not.
    func close() { isOpen = false }

    /// Reads once; nothing more comes if it returns false.
    func fill() throws(DevmemError) -> Bool {
        isOpen = false
        do throws(DevmemError) {
            isOpen = try reader.fill(from: input)
        } catch {
            // One that died with words of ours unread is as gone as one that closed.
            guard error.errno == .connectionReset else { throw error }
        }
        return isOpen
    }

    /// Waits for the next message.
    ///
    /// - Parameters:
    ///   - seconds: how long to wait, for all of it.
    ///   - wanted: what is waited for, in words.
    ///   - others: descriptors that may become readable meanwhile.
    ///   - meanwhile: called when one of them may be.
    /// - Returns: the message.
    /// - Throws: `DevmemError` if none comes, and with the other end's words if it failed.
    func receive(
        seconds: Int32, _ wanted: String, watching others: [Int32] = [],
        meanwhile: () throws(DevmemError) -> Void = {}
    ) throws(DevmemError) -> BenchMessage {
        let all = others.isEmpty ? nil : try Poller(reading: [input] + others)
        let watched: Int32 =
            switch all {
            case .some(let poller): poller.rawValue
            case .none: input
            }
        let call = "wait for \(name) to \(wanted)"
        let deadline = Deadline.after(.seconds(Int(seconds)))
        while true {
            if let message = try next() {
                if case .failure(let text) = message {
                    throw DevmemError(.system, call: "\(name) cannot \(wanted)", message: text)
                }
                return message
            }
            try stop.wait(for: watched, events: Int32(POLLIN), until: deadline, call)
            try meanwhile()
            guard try poll(input, for: .input, milliseconds: 0) else { continue }
            guard try fill() else {
                throw DevmemError(.system, call: call, message: "it is gone")
            }
        }
    }

    /// Exchanges the versions that both ends speak.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if they differ.
    func greet() throws(DevmemError) {
        try tell(.hello(version: BenchMessage.version))
        let message: BenchMessage
        do throws(DevmemError) {
            message = try receive(seconds: 25, "answer")
        } catch {
            throw advice.map { error.advising($0) } ?? error
        }
        guard case .hello(let version) = message else { throw unexpected(message) }
        guard version == BenchMessage.version else {
            throw DevmemError(
                .unsupported, call: "talk to \(name)",
                message: "it speaks version \(version), this program \(BenchMessage.version)",
                advice: "run the same devmemtcp at both ends")
        }
    }

    /// The error for what is said out of turn.
    func unexpected(_ message: BenchMessage) -> DevmemError {
        let word = Mirror(reflecting: message).children.first?.label ?? "\(message)"
        return DevmemError(
            .malformed, call: "listen to \(name)", message: "it says \"\(word)\" out of turn")
    }
}
