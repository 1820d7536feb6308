import Glibc

@testable import DevmemCore
@testable import DevmemTools

/// A channel over a socket pair; what is written to `other` arrives in the channel.
func withChannel(
    _ body: (BenchChannel, Int32) throws -> Void
) throws {
    let (ours, theirs) = try makeChannel()
    let near = Descriptor(owning: ours)
    let far = Descriptor(owning: theirs)
    let channel = BenchChannel(
        input: near.rawValue, output: near.rawValue, to: "the peer",
        stop: SharedStopSignal(StopSignal()))
    try body(channel, far.rawValue)
    withExtendedLifetime(channel) {}
}

func say(_ text: String, to number: Int32) {
    let bytes = Array(text.utf8)
    _ = write(number, bytes, bytes.count)
}

/// Writes a value as a line of JSON to a descriptor.
func writeJSONLine(
    _ value: some Encodable, to number: Int32, until deadline: Deadline = .after(messageTimeout)
) throws(DevmemError) {
    try writeLine(try jsonLine(of: value), to: number, until: deadline)
}
