import DevmemCore
import Glibc
import SystemPackage

/// The far end of a wire: this same program, started there and told what to do.
final class FarEnd {
    private let stop: StopWatch
    private let process: FarEndProcess
    private var reader = LineReader()
    private var replies = FarEndReplies()
    private var lastID = 0

    /// Starts it and waits until it is ready.
    ///
    /// - Parameters:
    ///   - place: where.
    ///   - stop: signals that end the wait.
    /// - Throws: `DevmemError` if it cannot be started or does not answer.
    init(at place: FarEndPlace, stop: StopWatch) throws(DevmemError) {
        process = try FarEndProcess(at: place, stop: stop)
        self.stop = stop
        do throws(DevmemError) {
            _ = try reply { $0 == .greeting }
        } catch {
            process.removeFile()
            throw error
        }
    }

    /// Asks for something; `result(of:)` tells what came of it.
    func ask(_ request: FarEndRequest) throws(DevmemError) -> Int {
        lastID += 1
        var numbered = request
        numbered.id = lastID
        try writeJSONLine(numbered, to: process.channel.rawValue, stop: stop)
        return lastID
    }

    /// The port that it listens on for a request to receive.
    func port(of id: Int) throws(DevmemError) -> UInt16 {
        let reply = try reply { $0.id == id }
        guard let port = reply.listening else {
            throw DevmemError(.system, call: "listen at \(process.place)", message: reply.failure)
        }
        return port
    }

    /// What came of a request, once it is done.
    func result(of id: Int) throws(DevmemError) -> FarEndReply {
        try reply { $0.id == id && $0.listening == nil && $0.source == nil }
    }

    /// Where the connection of a request to send comes from, which must have asked for that; or why
    /// there is none.
    func source(of id: Int, until deadline: Deadline) throws(DevmemError) -> FarEndReply {
        try reply(until: deadline) { $0.id == id }
    }

    private func reply(
        until deadline: Deadline = .after(messageTime), where isWanted: (FarEndReply) -> Bool
    ) throws(DevmemError) -> FarEndReply {
        let call = "hear from the far end, \(process.place)"
        while true {
            while let line = reader.next() { try replies.add(line) }
            if let reply = replies.remove(where: isWanted) { return reply }
            try stop.wait(
                for: process.channel.rawValue, events: Int32(POLLIN), until: deadline, call)
            guard try reader.fill(from: process.channel.rawValue) else {
                throw DevmemError(
                    .system, call: call, message: "it ended",
                    advice: "what it said is above, if it said anything")
            }
        }
    }
}
