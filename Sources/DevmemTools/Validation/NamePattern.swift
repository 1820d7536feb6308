import DevmemCore
/// A shell pattern: `*` matches any text, `?` matches one character.
package struct NamePattern: Equatable, Sendable {
    private let pattern: [Character]

    /// Creates a pattern; every text is valid.
    package init(_ text: String) {
        pattern = Array(text)
    }

    /// Tells whether a name matches. The worst-case time is proportional to the product of both
    /// lengths.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var position = 0
        var place = 0
        // The position of the last star, and where in the name its match ends.
        var star: (place: Int, position: Int)?
        while position < name.count {
            if place < pattern.count, pattern[place] == "*" {
                star = (place, position)
                place += 1
            } else if place < pattern.count,
                pattern[place] == "?" || pattern[place] == name[position]
            {
                place += 1
                position += 1
            } else if let last = star {
                star = (last.place, last.position + 1)
                place = last.place + 1
                position = last.position + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == "*" }
    }
}
