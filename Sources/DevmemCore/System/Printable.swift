/// Makes text from elsewhere, such as a process name or a peer's message, safe to print: control
/// characters are written as `\x1b`. They could move the cursor or fake a line of this program.
///
/// - Parameters:
///   - text: any text.
///   - keepsLines: whether the text is this program's own, in which newlines and tabs are
///     legitimate.
/// - Returns: the text, on one line unless `keepsLines` is set.
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

/// Makes JSON with strings from elsewhere safe to print: control characters that JSON permits are
/// written as `\u009b`, which is equivalent.
///
/// - Parameter json: a JSON value, on any number of lines.
/// - Returns: the same value.
package func printableJSON(_ json: String) -> String {
    // Outside of strings only newlines and tabs occur, and in strings JSON permits no C0 controls.
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

/// Returns whether a scalar is a C0 or C1 control, a line separator or a control of writing
/// direction; all are below 0x10000.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x61c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
}
