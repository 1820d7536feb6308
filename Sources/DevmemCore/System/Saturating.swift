// What a kernel or a peer counts may be any number, and an overflow would end the process with the NIC
// steered: sums of such numbers end at the largest one instead.

extension FixedWidthInteger where Self: UnsignedInteger {
    /// The sum, or the largest number if that is less.
    @inline(__always)
    package func saturatingAdding(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension Sequence where Element: FixedWidthInteger & UnsignedInteger {
    /// The sum, or the largest number if that is less.
    package var saturatingSum: Element { reduce(0) { $0.saturatingAdding($1) } }
}
