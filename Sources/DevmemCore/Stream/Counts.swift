/// Counters that are added and subtracted one by one.
package protocol Counts {
    /// All counters at zero.
    init()
    /// The counters.
    static var fields: [WritableKeyPath<Self, UInt64>] { get }
}

extension Counts {
    package static func + (a: Self, b: Self) -> Self {
        a.combined(with: b) { $0.saturatingAdding($1) }
    }

    package static func - (a: Self, b: Self) -> Self { a.combined(with: b, &-) }

    private func combined(with other: Self, _ combine: (UInt64, UInt64) -> UInt64) -> Self {
        var result = Self()
        for field in Self.fields {
            result[keyPath: field] = combine(self[keyPath: field], other[keyPath: field])
        }
        return result
    }
}
