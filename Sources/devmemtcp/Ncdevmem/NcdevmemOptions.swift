import DevmemCore
import DevmemTools

/// The options of the kernel's ncdevmem as parsed from a command line. Pure.
struct NcdevmemOptions: Equatable {
    /// The option letters for getopt(3).
    static let specification = "Lls:c:p:v:q:t:f:z:nb:"

    /// -L: treat payload outside device memory as a failure.
    var isDeviceOnly = false
    /// -l: receive.
    var listens = false
    /// -s: the address to listen on or to connect to.
    var server: String?
    /// -c: the peer's address when receiving, the local address when sending.
    var client: String?
    /// -p: the port.
    var port: UInt16?
    /// -v: the period of the pattern to compare payload with; zero for none.
    var period = 0
    /// -q: the number of queues.
    var queueCount: UInt32?
    /// -t: the first queue.
    var firstQueue: UInt32?
    /// -f: the NIC.
    var interface: String?
    /// -z: the maximum length of an iovec in a send call; zero for no limit.
    var entrySize: UInt64 = 0
    /// -n: keep the NIC's settings.
    var keepsSettings = false
    /// -b: the size of the receive buffers; zero for the kernel's default.
    var pageSize: UInt32 = 0

    /// More queues than any NIC has; a typo does not build a list of millions.
    private static let queueLimit: UInt64 = 65536

    /// Parses a command line. If an option is given twice, the last one counts.
    ///
    /// - Parameter arguments: the arguments without the program's name.
    /// - Throws: `DevmemError` of kind `invalid` for an unknown option, an invalid value or an
    ///   operand.
    init(_ arguments: [String]) throws(DevmemError) {
        let parsed = try Self.parse(arguments)
        for option in parsed.options { try take(option.letter, option.value ?? "") }
        if let operand = parsed.operands.first {
            throw Self.refusal(
                "argument \(operand.debugDescription)", "only options are accepted")
        }
    }

    private static func parse(
        _ arguments: [String]
    ) throws(DevmemError) -> (options: [GetoptParser.Given], operands: [String]) {
        do throws(GetoptParser.Failure) {
            return try GetoptParser(specification).parse(arguments)
        } catch {
            switch error {
            case .unknown(let name):
                throw refusal(
                    "option \("-" + name.debugDescription.dropFirst().dropLast())",
                    "there is no such option")
            case .noValue(let letter): throw refusal("option -\(letter)", "it needs a value")
            }
        }
    }

    private mutating func take(_ letter: Character, _ value: String) throws(DevmemError) {
        func number(_ range: ClosedRange<UInt64>) throws(DevmemError) -> UInt64 {
            guard let number = Self.decimal(value), range.contains(number) else {
                throw Self.refusal(
                    "-\(letter) \(value.debugDescription)",
                    "it takes a number from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        switch letter {
        case "L": isDeviceOnly = true
        case "l": listens = true
        case "n": keepsSettings = true
        case "s": server = value
        case "c": client = value
        case "f": interface = value
        case "p": port = UInt16(try number(1...65535))
        case "v": period = Int(min(try number(0...UInt64(Int32.max)), 65536))
        case "q": queueCount = UInt32(try number(1...Self.queueLimit))
        case "t": firstQueue = UInt32(try number(0...Self.queueLimit - 1))
        case "z": entrySize = try number(0...UInt64(Int32.max))
        case "b": pageSize = try Self.pageSize(value)
        default: throw Self.refusal("option -\(letter)", "there is no such option")
        }
    }

    /// Parses decimal digits; no sign or space is allowed.
    private static func decimal(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(text)
    }

    /// Parses a decimal, 0x-prefixed hexadecimal or 0-prefixed octal number, as strtoul(3) does.
    private static func pageSize(_ text: String) throws(DevmemError) -> UInt32 {
        let digits = text.lowercased()
        let number: UInt32? =
            if digits.hasPrefix("0x"), !digits.dropFirst(2).hasPrefix("+") {
                UInt32(digits.dropFirst(2), radix: 16)
            } else if decimal(digits) == nil {
                nil
            } else {
                UInt32(digits, radix: digits.hasPrefix("0") ? 8 : 10)
            }
        guard let number else {
            throw refusal(
                "-b \(text.debugDescription)", "it takes a number from 0 to \(UInt32.max)")
        }
        return number
    }

    private static func refusal(_ what: String, _ why: String) -> DevmemError {
        DevmemError(.invalid, call: what, message: why, advice: "see ncdevmem(8)")
    }
}
