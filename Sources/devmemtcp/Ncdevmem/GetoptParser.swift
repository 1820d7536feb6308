/// Takes a command line apart as getopt(3) of the C library does: options of one letter, several
/// behind one dash, values attached or as the next argument, options also behind operands, and `--`
/// before what is no option. Pure.
struct GetoptParser {
    /// One option as given.
    struct Given: Equatable {
        var letter: Character
        var value: String?
    }

    /// Why a command line cannot be taken apart.
    enum Failure: Error, Equatable {
        /// No option has this name.
        case unknown(String)
        /// The option stands last and needs a value.
        case noValue(Character)
    }

    /// The letters that options have, and whether a value follows.
    private let takesValue: [UInt8: Bool]

    /// - Parameter specification: letters, each with a colon behind it if it takes a value.
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

    /// The letters of all options.
    var letters: Set<Character> { Set(takesValue.keys.map { Character(UnicodeScalar($0)) }) }

    /// - Parameter arguments: without the program's name.
    /// - Returns: the options in their order, and the operands in theirs.
    /// - Throws: `Failure` at the first argument that is neither.
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
