import DevmemCore
import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// The timeout for reading or writing a whole message. A peer that moves a byte now and then does
/// not extend it.
let messageTimeout = Duration.seconds(25)

/// The timeout for the rest of a message after a signal.
private let timeoutAfterSignal = Duration.seconds(2)

/// Advice for a peer that does not follow the protocol.
let sameProgram: Advice = "run the same devmemtcp at both ends"

private let writeCall = "talk to the peer"

/// Encodes a value as a line of JSON.
///
/// - Throws: `DevmemError` of kind `invalid` if the line exceeds the length that the peer accepts.
func jsonLine(of value: some Encodable) throws(DevmemError) -> [UInt8] {
    let line: [UInt8]
    do {
        line = [UInt8](try JSONEncoder().encode(value))
    } catch {
        throw DevmemError(.invalid, call: writeCall, message: "\(error)")
    }
    guard line.count < LineReader.limit else {
        throw DevmemError(
            .invalid, call: writeCall,
            message: "a message of \(line.count) bytes is longer than the \(LineReader.limit) "
                + "that it reads")
    }
    return line + [0x0a]
}

/// Writes a line to a descriptor.
///
/// - Parameters:
///   - line: the line.
///   - number: the descriptor.
///   - deadline: when the peer must have read the line.
///   - stop: signals that shorten the deadline; nil for none.
/// - Throws: `DevmemError` of kind `system` with ETIMEDOUT if the peer does not read the line by
///   the deadline.
func writeLine(
    _ line: [UInt8], to number: Int32, until deadline: Deadline, stop: SharedStopSignal? = nil
) throws(DevmemError) {
    var rest = line[...]
    while !rest.isEmpty {
        try awaitWritable(number, deadline, stop)
        // If poll(2) reports room, a write of this size does not block (PIPE_BUF of pipe(7)).
        let count = try retrying(writeCall) {
            rest.prefix(4096).withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
        }
        rest = rest.dropFirst(count)
    }
}

private func awaitWritable(
    _ number: Int32, _ deadline: Deadline, _ stop: SharedStopSignal?
) throws(DevmemError) {
    var deadline = deadline
    if let stop {
        do throws(DevmemError) {
            return try stop.wait(
                for: number, events: Int32(POLLOUT), until: deadline, writeCall)
        } catch {
            guard error.errno == .timedOut || error.errno == .interrupted else { throw error }
        }
        // After a signal, a peer that reads still gets the rest, but the user must not wait long.
        if stop.pending() != nil { deadline = min(deadline, .after(timeoutAfterSignal)) }
    }
    guard try poll(number, for: .output, milliseconds: deadline.milliseconds) else {
        throw DevmemError(.system, call: writeCall, errno: .timedOut, message: "it does not read")
    }
}

/// A line reader for a descriptor, which buffers incomplete lines.
struct LineReader {
    /// The maximum length of a line in bytes. Messages stay below it: data that grows with the
    /// NIC's queues is sent one queue at a time.
    static let limit = 1 << 18

    private var pending: [UInt8] = []

    /// Removes and returns the next buffered line; nil if there is none.
    mutating func next() -> [UInt8]? {
        guard let end = pending.firstIndex(of: 0x0a) else { return nil }
        let line = Array(pending[..<end])
        pending.removeFirst(end + 1)
        return line
    }

    /// Reads once into the buffer.
    ///
    /// - Returns: false at end of file.
    /// - Throws: `DevmemError` of kind `malformed` if a line is too long, `system` with the `errno`
    ///   of read(2).
    mutating func fill(from number: Int32) throws(DevmemError) -> Bool {
        let call = "read from the peer"
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

    /// Decodes the message in a line; nil if the line is something else, such as a login banner.
    static func message<Message: Decodable>(_ type: Message.Type, in line: [UInt8]) -> Message? {
        try? JSONDecoder().decode(type, from: Data(line))
    }
}

/// Creates a pair of connected sockets to talk to a child process.
func makeChannel() throws(DevmemError) -> (ours: Int32, theirs: Int32) {
    var pair: [Int32] = [-1, -1]
    try retrying("make a channel") {
        socketpair(AF_UNIX, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0, &pair)
    }
    return (pair[0], pair[1])
}
