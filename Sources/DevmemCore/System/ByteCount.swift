/// Sizes as people write and read them: powers of 1024.
package enum ByteCount {
    private static let units: [(letter: Character, factor: UInt64)] = [
        ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40),
        ("P", 1 << 50), ("E", 1 << 60),
    ]

    /// Why a text is no size.
    package enum Problem: Error, Equatable {
        /// It does not begin with a number.
        case noNumber
        /// What stands behind the number is no unit.
        case unknownUnit(String)
        /// It does not fit 64 bits.
        case tooLarge
    }

    /// Reads `4096`, `64K`, `64M`, `1G`, with `B` or `iB` after the unit or not.
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

    /// Writes a size with one decimal where it has a unit: `512 B`, `64.0 MiB`.
    package static func text(_ bytes: UInt64) -> String {
        guard let unit = units.last(where: { bytes >= $0.factor }) else { return "\(bytes) B" }
        let tenths = (Double(bytes) / Double(unit.factor) * 10).rounded() / 10
        return "\(tenths) \(unit.letter)iB"
    }
}
