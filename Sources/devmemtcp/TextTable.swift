import DevmemCore
import DevmemTools

/// Rows of text in aligned columns; those that hold numbers are aligned to the right.
struct TextTable {
    private static let gap = "  "

    private let isNumeric: [Bool]
    private var rows: [[String]]

    /// Starts a table with its headings; those that end in `#` stand over numbers.
    init(_ headings: [String]) {
        isNumeric = headings.map { $0.hasSuffix("#") }
        rows = [headings.map { $0.hasSuffix("#") ? String($0.dropLast()) : $0 }]
    }

    /// Adds a row; what is nil is shown as a dash. Cells are as wide as what is shown of them.
    mutating func add(_ cells: [String?]) {
        rows.append(cells.map { $0.map { printable($0) } ?? "-" })
    }

    /// The lines, headings first, without blanks at their ends.
    var lines: [String] {
        let widths = isNumeric.indices.map { column in
            rows.map { $0[column].count }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return isNumeric[column] ? space + row[column] : row[column] + space
            }
            let line = cells.joined(separator: Self.gap)
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
