/// Text from elsewhere, such as a process's name or a peer's message, made fit for a terminal: control
/// characters, with which it could move the cursor or begin a line that looks like this program's,
/// are written as `\x1b`.
///
/// - Parameters:
///   - text: any text.
///   - keepsLines: whether it is of this program's own lines, which tabs and line ends belong to.
/// - Returns: the text, on one line unless it keeps them.
package func printable(_ text: String, keepsLines: Bool = false) -> String {
    func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        !isControl(scalar) || keepsLines && (scalar == "\n" || scalar == "\t")
    }
    guard !text.unicodeScalars.allSatisfy(isPlain) else { return text }
    return text.unicodeScalars.reduce(into: "") { result, scalar in
        if isPlain(scalar) {
            result.unicodeScalars.append(scalar)
        } else {
            let number = String(scalar.value, radix: 16)
            result +=
                scalar.value < 0x100
                ? "\\x" + (number.count < 2 ? "0" : "") + number : "\\u{\(number)}"
        }
    }
}

/// JSON whose texts may be from elsewhere, made fit for a terminal: what JSON lets stand of control
/// characters is written as `\u009b`, which readers of JSON take for the same.
///
/// - Parameter json: a JSON value, on lines that end as they may.
/// - Returns: the same value.
package func printableJSON(_ json: String) -> String {
    // Outside of texts only line ends and tabs are there, and within them JSON allows none of C0.
    func isPlain(_ scalar: Unicode.Scalar) -> Bool { scalar.value < 0x20 || !isControl(scalar) }
    guard !json.unicodeScalars.allSatisfy(isPlain) else { return json }
    return json.unicodeScalars.reduce(into: "") { result, scalar in
        if isPlain(scalar) {
            result.unicodeScalars.append(scalar)
        } else {
            let number = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - number.count) + number
        }
    }
}

/// Of C0, C1, and those that end a line or change the direction of writing; all below 0x10000.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
}
