/// A parser for command lines as getopt(3) of the C library parses them: single-letter options that
/// can be grouped after one dash, values attached or in the next argument, options after operands,
/// and `--` before operands only. Pure.
struct GetoptParser {
    /// An option with its value.
    struct Given: Equatable {
        var letter: Character
        var value: String?
    }

    /// Why a command line cannot be parsed.
    enum Failure: Error, Equatable {
        /// There is no option with this name.
        case unknown(String)
        /// The last option lacks its value.
        case noValue(Character)
    }

    /// The option letters, and whether each takes a value.
    private let takesValue: [UInt8: Bool]

    /// - Parameter specification: the letters, each followed by a colon if it takes a value.
    init(_ specification: String) {
        var known: [UInt8: Bool] = [:]
        var last: UInt8?
        for byte in specification.utf8 {
            if byte == UInt8(ascii: ":") {
                if let last { known[last] = true }
            } else {
                known[byte] = false
                last = byte
            }
        }
        takesValue = known
    }

    /// All option letters.
    var letters: Set<Character> { Set(takesValue.keys.map { Character(UnicodeScalar($0)) }) }

    /// Parses a command line.
    ///
    /// - Parameter arguments: the arguments without the program's name.
    /// - Returns: the options and the operands, each in the order given.
    /// - Throws: `Failure` at the first unknown option, or if a value is missing.
    func parse(
        _ arguments: [String]
    ) throws(Failure) -> (options: [Given], operands: [String]) {
        var options: [Given] = []
        var operands: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                operands += rest
                break
            }
            guard argument.utf8.first == UInt8(ascii: "-"), argument.utf8.count > 1 else {
                operands.append(argument)
                continue
            }
            var letters = argument.utf8.dropFirst()
            while let byte = letters.popFirst() {
                let letter = Character(UnicodeScalar(byte))
                guard let needsValue = takesValue[byte] else {
                    throw .unknown(
                        byte < 0x80
                            ? "\(letter)" : String(decoding: [byte] + letters, as: UTF8.self))
                }
                guard needsValue else {
                    options.append(Given(letter: letter, value: nil))
                    continue
                }
                let attached = letters.isEmpty ? nil : String(decoding: letters, as: UTF8.self)
                guard let value = attached ?? rest.popFirst() else { throw .noValue(letter) }
                options.append(Given(letter: letter, value: value))
                break
            }
        }
        return (options, operands)
    }
}
