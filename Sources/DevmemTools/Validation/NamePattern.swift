import DevmemCore
/// A pattern of names as shells have it: `*` stands for any text, `?` for one character.
package struct NamePattern: Equatable, Sendable {
    private let pattern: [Character]

    /// Takes a pattern; every text is one.
    package init(_ text: String) {
        pattern = Array(text)
    }

    /// Whether a name is one of those it stands for. Takes time in proportion to the product of
    /// both lengths at worst, whatever the pattern.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var position = 0
        var place = 0
        // Where the last star stands, and how much of the name it has taken.
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
