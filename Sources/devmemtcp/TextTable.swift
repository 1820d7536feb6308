import DevmemCore
import DevmemTools

/// Rows of text in aligned columns; numeric columns are aligned to the right.
struct TextTable {
    private static let gap = "  "

    private let isNumeric: [Bool]
    private var rows: [[String]]

    /// Creates a table with headings; a heading that ends in `#` marks a numeric column.
    init(_ headings: [String]) {
        isNumeric = headings.map { $0.hasSuffix("#") }
        rows = [headings.map { $0.hasSuffix("#") ? String($0.dropLast()) : $0 }]
    }

    /// Adds a row. A nil cell is shown as a dash; unprintable characters are escaped before widths
    /// are computed.
    mutating func add(_ cells: [String?]) {
        rows.append(cells.map { $0.map { printable($0) } ?? "-" })
    }

    /// The lines, headings first, without trailing spaces.
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
