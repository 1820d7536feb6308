/// Sizes as people write and read them: powers of 1024.
public enum ByteCount {
    private static let units: [(letter: Character, factor: UInt64)] = [
        ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40),
    ]

    /// Reads `4096`, `64K`, `64M`, `1G`, with `B` or `iB` after the unit or not; nil for anything
    /// else and for what does not fit 64 bits.
    public static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let suffix = text.dropFirst(digits.count).uppercased()
        if suffix.isEmpty { return number }
        guard let unit = units.first(where: { $0.letter == suffix.first }),
            ["", "B", "IB"].contains(suffix.dropFirst())
        else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit.factor)
        return overflow ? nil : bytes
    }

    /// Writes a size with one decimal where it has a unit: `512 B`, `64.0 MiB`.
    public static func text(_ bytes: UInt64) -> String {
        guard let unit = units.last(where: { bytes >= $0.factor }) else { return "\(bytes) B" }
        let tenths = (Double(bytes) / Double(unit.factor) * 10).rounded() / 10
        return "\(tenths) \(unit.letter)iB"
    }
}
