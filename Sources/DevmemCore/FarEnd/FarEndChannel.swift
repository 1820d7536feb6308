import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// Lines of JSON, written to a descriptor.
func writeJSONLine(_ value: some Encodable, to number: Int32) throws(DevmemError) {
    let call = "talk to the other end"
    var line: [UInt8]
    do {
        line = [UInt8](try JSONEncoder().encode(value))
    } catch {
        throw DevmemError(.invalid, call: call, message: "\(error)")
    }
    line.append(0x0a)
    var rest = line[...]
    while !rest.isEmpty {
        let count = try retrying(call) {
            rest.withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
        }
        rest = rest.dropFirst(count)
    }
}

/// Lines read from a descriptor, as far as they have come.
struct LineReader {
    /// No message of ours is longer; a peer that goes on and on is no far end.
    private static let limit = 1 << 16

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
            throw DevmemError(.malformed, call: call, message: "it sends no lines")
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
