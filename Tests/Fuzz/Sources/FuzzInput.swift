/// The bytes of one input, which a target takes apart. What is not there reads as zero.
struct FuzzInput: Sendable {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    var isEmpty: Bool { rest.isEmpty }

    /// All that is left.
    var bytes: [UInt8] { Array(rest) }

    /// All that is left, as text.
    var text: String { String(decoding: rest, as: UTF8.self) }

    mutating func number<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value {
        var value: Value = 0
        withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: rest.prefix($0.count)) }
        rest = rest.dropFirst(MemoryLayout<Value>.size)
        return value
    }

    mutating func take(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// Takes a byte that tells how many follow, and those.
    mutating func piece() -> [UInt8] { take(Int(number(UInt8.self))) }

    /// Splits what is left at each zero byte.
    var words: [String] {
        rest.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// Splits what is left at each newline, as files of sysfs and procfs are read.
    var lines: [Substring] { text.split(separator: "\n") }
}
