/// The names and punctuation of Swift source, without comments and the text of string literals.
///
/// Enough of the language to tell what a file declares and uses; no parser.
struct SourceTokens {
    /// One name, or one character of punctuation.
    struct Token: Equatable {
        let text: String
        /// Its line, from 1.
        let line: Int

        var isName: Bool { text.utf8.first.map(SourceTokens.startsName) ?? false }
    }

    private(set) var tokens: [Token] = []
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    /// - Parameter text: the source of one file.
    init(_ text: String) {
        bytes = Array(text.utf8)
        read(untilParenthesisCloses: false)
    }

    private static func startsName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_")
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
    }

    private static func continuesName(_ byte: UInt8) -> Bool {
        startsName(byte) || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }

    private func has(_ text: StaticString, at offset: Int = 0) -> Bool {
        let start = position + offset
        guard start + text.utf8CodeUnitCount <= bytes.count else { return false }
        return text.withUTF8Buffer { bytes[start..<start + $0.count].elementsEqual($0) }
    }

    private mutating func advance() {
        if bytes[position] == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func read(untilParenthesisCloses interpolated: Bool) {
        var depth = 0
        while position < bytes.count {
            if has("//") {
                while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
                    position += 1
                }
            } else if has("/*") {
                skipBlockComment()
            } else if has("\"\"\"") {
                readString(closedBy: "\"\"\"")
            } else if has("\"") {
                readString(closedBy: "\"")
            } else if Self.startsName(bytes[position]) {
                let start = position
                while position < bytes.count, Self.continuesName(bytes[position]) { position += 1 }
                tokens.append(
                    Token(
                        text: String(decoding: bytes[start..<position], as: UTF8.self), line: line))
            } else if Self.continuesName(bytes[position]) {
                while position < bytes.count, Self.continuesName(bytes[position]) { position += 1 }
            } else {
                if has("(") { depth += 1 }
                if has(")") { depth -= 1 }
                if interpolated, depth < 0 { return }
                if bytes[position] > UInt8(ascii: " "), bytes[position] != UInt8(ascii: "`") {
                    tokens.append(Token(text: String(UnicodeScalar(bytes[position])), line: line))
                }
                advance()
            }
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        while position < bytes.count {
            if has("/*") { depth += 1 }
            if has("*/") { depth -= 1 }
            advance()
            if depth == 0 { break }
        }
        if position < bytes.count { advance() }
    }

    /// An interpolation is source; the rest of the literal is not.
    private mutating func readString(closedBy end: StaticString) {
        position += end.utf8CodeUnitCount
        while position < bytes.count, !has(end) {
            if has("\\(") {
                position += 2
                read(untilParenthesisCloses: true)
            } else if has("\\"), position + 1 < bytes.count {
                advance()
            }
            advance()
        }
        position += end.utf8CodeUnitCount
    }
}
