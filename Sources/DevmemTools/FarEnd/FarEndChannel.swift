import DevmemCore
import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// How long a message may take to be written or read as a whole, so that a peer that moves a byte now
/// and then holds nobody up.
let messageTime = Duration.seconds(25)

/// How long each part of a message may take once a signal has come.
private let timeAfterSignal = Duration.seconds(2)

/// Writes a line of JSON to a descriptor.
///
/// - Parameters:
///   - value: what the line tells.
///   - number: the descriptor.
///   - deadline: when the other end must have taken it.
///   - stop: signals, after which the other end has little time; nil for none.
/// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if it is not taken by the deadline, `invalid`
///   if the line is longer than the other end reads.
func writeJSONLine(
    _ value: some Encodable, to number: Int32, until deadline: Deadline = .after(messageTime),
    stop: StopWatch? = nil
) throws(DevmemError) {
    let call = "talk to the other end"
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
    _ number: Int32, _ deadline: Deadline, _ stop: StopWatch?, _ call: String
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

/// Lines read from a descriptor, as far as they have come.
struct LineReader {
    /// Bytes of a line. No message of ours is longer: what grows with the NIC's queues is told queue by
    /// queue. A peer that goes on and on is no far end.
    static let limit = 1 << 18

    private var pending: [UInt8] = []

    /// Takes the next line out of what was read before; nil if there is none.
    mutating func next() -> [UInt8]? {
        guard let end = pending.firstIndex(of: 0x0a) else { return nil }
        let line = Array(pending[..<end])
        pending.removeFirst(end + 1)
        return line
    }

    /// Reads once; returns false at the end.
    mutating func fill(from number: Int32) throws(DevmemError) -> Bool {
        let call = "listen to the other end"
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = try retrying(call) { read(number, &chunk, chunk.count) }
        pending += chunk[..<count]
        guard pending.count <= Self.limit else {
            throw DevmemError(
                .malformed, call: call,
                message: "it sends a line of more than \(Self.limit) bytes",
                advice: "run the same devmemtcp at both ends")
        }
        return count > 0
    }

    /// A line as a message; nil if it is none, such as a greeting of a host one logs in to.
    static func message<Message: Decodable>(_ type: Message.Type, in line: [UInt8]) -> Message? {
        try? JSONDecoder().decode(type, from: Data(line))
    }
}

/// Two connected sockets, to talk to a program over.
func makeChannel() throws(DevmemError) -> (ours: Int32, theirs: Int32) {
    var pair: [Int32] = [-1, -1]
    try retrying("make a channel") {
        socketpair(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0, &pair)
    }
    return (pair[0], pair[1])
}
