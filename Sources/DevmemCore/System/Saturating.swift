// Counts from the kernel or a peer may be any number, and an overflow would end the process while
// the NIC is steered. Therefore sums saturate.

extension FixedWidthInteger where Self: UnsignedInteger {
    /// Returns the sum, or the largest number on overflow.
    @inline(__always)
    package func saturatingAdding(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension Sequence where Element: FixedWidthInteger & UnsignedInteger {
    /// The sum, or the largest number on overflow.
    package var saturatingSum: Element { reduce(0) { $0.saturatingAdding($1) } }
}
