/// Quotes a word of a command line that is shown to be run, if it has characters that mean something to a
/// shell: the name of an interface may be one that a container chose.
///
/// - Parameter text: the word.
/// - Returns: what sh(1) reads as that word.
package func shellWord(_ text: String) -> String {
    func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-_.:@%+,/".utf8.contains(byte)
        }
    }
    guard text.isEmpty || !text.utf8.allSatisfy(isPlain) else { return text }
    // Not by character, as a mark may combine with the quote.
    let inside = text.unicodeScalars.map { $0 == "'" ? "'\\''" : String($0) }.joined()
    return "'\(inside)'"
}
