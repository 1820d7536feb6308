import DevmemCore
import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// The timeout for a whole message, written or read, so that a peer that moves a byte now and then holds
/// nobody up.
let messageTime = Duration.seconds(25)

/// The timeout for the rest of a message once a signal has come.
private let timeAfterSignal = Duration.seconds(2)

/// What to do about a peer that does not speak as this program does.
let sameProgram: Advice = "run the same devmemtcp at both ends"

/// Writes a line of JSON to a descriptor.
///
/// - Parameters:
///   - value: the content of the line.
///   - number: the descriptor.
///   - deadline: when the peer must have read it.
///   - stop: signals, after which the peer has little time; nil for none.
/// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if the peer does not read it by the deadline,
///   `invalid` if the line is longer than the peer reads.
func writeJSONLine(
    _ value: some Encodable, to number: Int32, until deadline: Deadline = .after(messageTime),
    stop: SharedStopSignal? = nil
) throws(DevmemError) {
    let call = "talk to the peer"
    var line: [UInt8]
    do {
        line = [UInt8](try JSONEncoder().encode(value))
    } catch {
        throw DevmemError(.invalid, call: call, message: "\(error)")
    }
    guard line.count < LineReader.limit else {
        throw DevmemError(
            .invalid, call: call,
            message: "a message of \(line.count) bytes is longer than the \(LineReader.limit) "
                + "that it reads")
    }
    line.append(0x0a)
    var rest = line[...]
    while !rest.isEmpty {
        try awaitWritable(number, deadline, stop, call)
        // Where poll(2) says that there is room, this much fits without blocking (PIPE_BUF of pipe(7)).
        let count = try retrying(call) {
            rest.prefix(4096).withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
        }
        rest = rest.dropFirst(count)
    }
}

private func awaitWritable(
    _ number: Int32, _ deadline: Deadline, _ stop: SharedStopSignal?, _ call: String
) throws(DevmemError) {
    var deadline = deadline
    if let stop {
        do throws(DevmemError) {
            return try stop.wait(
                for: number, events: Int32(POLLOUT), until: deadline, call)
        } catch {
            guard error.errno == .timedOut || error.errno == .interrupted else { throw error }
        }
        // Whoever ends this program waits; one that reads is still told what is left to say.
        if stop.pending() != nil { deadline = min(deadline, .after(timeAfterSignal)) }
    }
    guard try poll(number, for: .output, milliseconds: deadline.milliseconds) else {
        throw DevmemError(.system, call: call, errno: .timedOut, message: "it reads nothing")
    }
}

/// Reads lines from a descriptor, as far as they have come.
struct LineReader {
    /// The longest line, in bytes. No message of ours is longer: what grows with the NIC's queues is sent
    /// queue by queue. A peer that sends more is not this program.
    static let limit = 1 << 18

    private var pending: [UInt8] = []

    /// Removes and returns the next line of what was read before; nil if there is none.
    mutating func next() -> [UInt8]? {
        guard let end = pending.firstIndex(of: 0x0a) else { return nil }
        let line = Array(pending[..<end])
        pending.removeFirst(end + 1)
        return line
    }

    /// Reads once; returns false at the end.
    mutating func fill(from number: Int32) throws(DevmemError) -> Bool {
        let call = "listen to the peer"
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = try retrying(call) { read(number, &chunk, chunk.count) }
        pending += chunk[..<count]
        guard pending.count <= Self.limit else {
            throw DevmemError(
                .malformed, call: call,
                message: "it sends a line of more than \(Self.limit) bytes",
                advice: sameProgram)
        }
        return count > 0
    }

    /// The message in a line; nil if it holds none, as the greeting of a login.
    static func message<Message: Decodable>(_ type: Message.Type, in line: [UInt8]) -> Message? {
        try? JSONDecoder().decode(type, from: Data(line))
    }
}

/// Makes two connected sockets, to talk to a program over.
func makeChannel() throws(DevmemError) -> (ours: Int32, theirs: Int32) {
    var pair: [Int32] = [-1, -1]
    try retrying("make a channel") {
        socketpair(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0, &pair)
    }
    return (pair[0], pair[1])
}
