import GRDB

/// Frees what compaction allows to go, a slice of the log at a time. How far it came is written in the same SQLite
/// transaction as the slice, so it goes on where it was after a crash, and no slice is ever done again.
struct Cleaning {
    /// What can be asked for begins here.
    private(set) var compacted: Revision
    /// As the file says.
    private var cleaned: Place
    /// As the file will say when the transaction under way is committed.
    private var next: Place
    /// After an error: nothing to do until there is a newer revision than this.
    private var pausedAt: Revision?

    init(_ database: Database) throws {
        let statement = try Prepared(database, "SELECT compacted, cleaned FROM meta")
        guard let found = try statement.first({ (Revision($0.integer(0)), $0.place(1)) }) else {
            throw Damage("the table meta is empty")
        }
        (compacted, cleaned) = found
        next = cleaned
    }

    /// Whether a slice would do something, the newest revision being `newest`.
    func isPending(newest: Revision) -> Bool {
        cleaned < .end(of: compacted) && pausedAt.map { $0 < newest } ?? true
    }

    /// Nothing before `revision` can be asked for from here on.
    mutating func compact(_ database: Database, through revision: Revision) throws {
        let statement = try Prepared(cachedBy: database, "UPDATE meta SET compacted = ?")
        statement.bind(revision.number, at: 1)
        try statement.run()
    }

    mutating func didCompact(through revision: Revision) {
        compacted = revision
        pausedAt = nil
    }

    /// Looks at the next `rows` changes. The value before each can go: it was replaced at a revision that is compacted.
    /// So can a deletion itself. (If that was the log's end, `compacted` still says where the counter stands.)
    mutating func slice(_ database: Database, rows: Int, newest: Revision) throws {
        let end = Place.end(of: compacted)
        guard isPending(newest: newest) else { return }
        let select = try Prepared(
            cachedBy: database,
            "SELECT place, kind, previous FROM log WHERE place > ? AND place <= ? ORDER BY place LIMIT ?")
        select.bind(cleaned.number, at: 1)
        select.bind(end.number, at: 2)
        select.bind(Int64(rows), at: 3)
        var seen = 0
        var at = cleaned
        var gone: [Place] = []
        try select.forEach { row in
            let place = row.place(0)
            seen += 1
            at = place
            if row.place(2) != .none { gone.append(row.place(2)) }
            if row.integer(1) == Layout.deleted { gone.append(place) }
            return true
        }
        let delete = try Prepared(cachedBy: database, "DELETE FROM log WHERE place = ?")
        for place in gone {
            delete.bind(place.number, at: 1)
            try delete.run()
        }
        next = seen < rows ? end : at
        let update = try Prepared(cachedBy: database, "UPDATE meta SET cleaned = ?")
        update.bind(next.number, at: 1)
        try update.run()
    }

    mutating func didCommit() { cleaned = next }
    mutating func didFail() { next = cleaned }

    /// Stops for now, after an error; goes on with the next change.
    mutating func pause(newest: Revision) { pausedAt = newest }
}
