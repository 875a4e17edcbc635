// Columns for a person, as kubectl prints them: upper-case headings, three spaces between, no lines.

/// A table of text.
public struct TextTable: Sendable {
    private let headings: [String]
    private var rows: [[String]] = []

    public init(_ headings: [String]) { self.headings = headings }

    /// Adds a row with as many cells as there are headings; an empty cell is shown as `<none>`.
    public mutating func add(_ cells: [String]) { rows.append(cells.map { $0.isEmpty ? "<none>" : $0 }) }

    public var isEmpty: Bool { rows.isEmpty }

    /// All lines, each with its newline. Control characters in cells are replaced: a name from outside cannot move the
    /// cursor.
    public func text(withHeadings: Bool = true) -> String {
        let clean = ((withHeadings ? [headings] : []) + rows).map { $0.map(Self.printable) }
        var widths = [Int](repeating: 0, count: headings.count)
        for row in clean {
            for (column, cell) in row.enumerated() where column < widths.count {
                widths[column] = max(widths[column], cell.count)
            }
        }
        return clean.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 3) }
            }
            return line + "\n"
        }.joined()
    }

    private static func printable(_ cell: String) -> String {
        String(String.UnicodeScalarView(cell.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
    }
}
