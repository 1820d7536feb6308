/// Parses and formats sizes with units that are powers of 1024.
package enum ByteCount {
    private static let units: [(letter: Character, factor: UInt64)] = [
        ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40),
        ("P", 1 << 50), ("E", 1 << 60),
    ]

    /// Why a text is not a size.
    package enum Problem: Error, Equatable {
        /// It does not begin with a number.
        case noNumber
        /// What follows the number is not a unit.
        case unknownUnit(String)
        /// It exceeds 64 bits.
        case tooLarge
    }

    /// Parses `4096`, `64K`, `64M` or `1G`; `B` or `iB` may follow the unit.
    ///
    /// - Throws: `Problem` for anything else.
    package static func read(_ text: String) throws(Problem) -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty else { throw .noNumber }
        let suffix = text.dropFirst(digits.count)
        let factor = try factor(of: suffix)
        guard let number = UInt64(digits) else { throw .tooLarge }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
        if overflow { throw .tooLarge }
        return bytes
    }

    private static func factor(of suffix: Substring) throws(Problem) -> UInt64 {
        let upper = suffix.uppercased()
        if upper.isEmpty { return 1 }
        guard let unit = units.first(where: { $0.letter == upper.first }),
            ["", "B", "IB"].contains(upper.dropFirst())
        else { throw .unknownUnit(String(suffix)) }
        return unit.factor
    }

    /// Formats a size so that it can be parsed: `2M`, `512`.
    package static func exact(_ bytes: UInt64) -> String {
        guard bytes > 0, let unit = units.last(where: { bytes % $0.factor == 0 }) else {
            return "\(bytes)"
        }
        return "\(bytes / unit.factor)\(unit.letter)"
    }

    /// Formats a size, with one decimal if it has a unit: `512 B`, `64.0 MiB`.
    package static func text(_ bytes: UInt64) -> String {
        guard let unit = units.last(where: { bytes >= $0.factor }) else { return "\(bytes) B" }
        let tenths = (Double(bytes) / Double(unit.factor) * 10).rounded() / 10
        return "\(tenths) \(unit.letter)iB"
    }
}
