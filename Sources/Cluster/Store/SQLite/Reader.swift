import GRDB

/// Reads the tables inside of one transaction, so that all it finds is of one state. Also on the writer's connection.
struct Reader {
    let database: Database

    /// The newest revision, and the oldest that can be asked for.
    func bounds() throws -> (newest: Revision, oldest: Revision) {
        let oldest =
            try Prepared(cachedBy: database, "SELECT compacted FROM meta").first { Revision($0.integer(0)) } ?? .zero
        let last =
            try Prepared(cachedBy: database, "SELECT max(place) FROM log").first { $0.place(0).revision } ?? .zero
        return (max(last, oldest), oldest)
    }

    /// Refuses a revision that is not known.
    func check(_ revision: Revision) throws {
        let (newest, oldest) = try bounds()
        if revision < oldest { throw StoreError.compacted(requested: revision, oldest: oldest) }
        if revision > newest { throw StoreError.future(requested: revision, newest: newest) }
    }

    func get(_ key: StoreKey) throws -> Entry? {
        let statement = try Prepared(
            cachedBy: database,
            "SELECT l.place, l.created, l.value FROM current c JOIN log l ON l.place = c.place WHERE c.key = ?")
        statement.bind(key.bytes, at: 1)
        return try statement.first { row in
            Entry(
                key: key, value: row.bytes(2), revision: row.place(0).revision,
                createRevision: Revision(row.integer(1)))
        }
    }

    /// A page of the state now.
    func page(_ range: KeyRange, limit: Int?) throws -> RangePage {
        let newest = try bounds().newest
        let statement = try Prepared(
            cachedBy: database,
            """
            SELECT c.key, l.place, l.created, l.value FROM current c CROSS JOIN log l ON l.place = c.place
            WHERE c.key >= ? AND c.key < ? ORDER BY c.key
            """)
        bind(range, to: statement, at: 1)
        var entries: [Entry] = []
        var continuation: StoreKey?
        try statement.forEach { row in
            if entries.count == limit {
                continuation = row.key(0)
                return false
            }
            entries.append(
                Entry(
                    key: row.key(0), value: row.bytes(3), revision: row.place(1).revision,
                    createRevision: Revision(row.integer(2))))
            return true
        }
        return RangePage(entries: entries, revision: newest, continuation: continuation)
    }

    /// Looks at `limit` or, so as not to divide a transaction, a few more changes after `place`, in order. Those in
    /// `range`, the last place it looked at, and whether there are more.
    func changes(
        in range: KeyRange, after place: Place, limit: Int
    ) throws -> (changes: [Change], reached: Place, hasMore: Bool) {
        let statement = try Prepared(
            cachedBy: database, "SELECT place, kind, created, key, value FROM log WHERE place > ? ORDER BY place")
        statement.bind(place.number, at: 1)
        var changes: [Change] = []
        var seen = 0
        var reached = place
        var hasMore = false
        try statement.forEach { row in
            let here = row.place(0)
            if seen >= limit, here.revision != reached.revision {
                hasMore = true
                return false
            }
            seen += 1
            reached = here
            let key = row.key(3)
            if range.contains(key) { changes.append(change(row, key)) }
            return true
        }
        return (changes, reached, hasMore)
    }

    private func change(_ row: borrowing PreparedRow, _ key: StoreKey) -> Change {
        let revision = row.place(0).revision
        guard row.integer(1) != Layout.deleted else { return Change(deleted: key, at: revision) }
        return Change(
            Entry(key: key, value: row.bytes(4), revision: revision, createRevision: Revision(row.integer(2))))
    }

    /// Binds two parameters, the start and the end. (A condition such as `? OR key < ?` would keep SQLite from ending
    /// its way through the index there.)
    func bind(_ range: KeyRange, to statement: Prepared, at index: Int32) {
        statement.bind(range.start.bytes, at: index)
        statement.bind(range.end?.bytes ?? Self.afterAllKeys, at: index + 1)
    }

    /// Greater than any key that a store takes.
    private static let afterAllKeys = [UInt8](repeating: 0xFF, count: StoreKey.maximumBytes + 1)
}
