import GRDB

extension Reader {
    /// A page of the state at `revision`, which must be known.
    ///
    /// A key that is there now has its value at `revision`, or at the end of its chain of predecessors. A key that is
    /// missing now, and one that was deleted and made again, was deleted after `revision`: its first deletion since then
    /// begins such a chain. Both come in the order of keys and are merged. At most one of the two gives a value.
    func page(_ range: KeyRange, at revision: Revision, limit: Int?) throws -> RangePage {
        try check(revision)
        let end = Place.end(of: revision)
        let past = try Past(self)
        var entries: [Entry] = []
        var continuation: StoreKey?
        var deletions = try Deletions(self, in: range, after: end)

        /// False when the page was full already, and this key is where the next begins.
        func add(_ place: Place?) throws -> Bool {
            guard let place, let entry = try past.entry(at: place) else { return true }
            if entries.count == limit {
                continuation = entry.key
                return false
            }
            entries.append(entry)
            return true
        }
        /// Those that stand before `key`, or all.
        func addDeleted(before key: StoreKey?) throws -> Bool {
            while let next = try deletions.next(before: key) {
                if try !add(past.place(atOrBefore: end, from: next)) { return false }
            }
            return true
        }

        let statement = try Prepared(
            cachedBy: database,
            "SELECT key, place FROM current WHERE key >= ? AND key < ? ORDER BY key")
        bind(range, to: statement, at: 1)
        var more = true
        try statement.forEach { row in
            let key = row.key(0)
            more = try addDeleted(before: key) && add(past.place(atOrBefore: end, from: row.place(1)))
            return more
        }
        if more { _ = try addDeleted(before: nil) }
        return RangePage(entries: entries, revision: revision, continuation: continuation)
    }
}

/// Follows the log back.
private struct Past {
    private let previous: Prepared
    private let entry: Prepared

    init(_ reader: Reader) throws {
        previous = try Prepared(cachedBy: reader.database, "SELECT previous FROM log WHERE place = ?")
        entry = try Prepared(cachedBy: reader.database, "SELECT kind, created, key, value FROM log WHERE place = ?")
    }

    /// The newest place at or before `end` in the chain of predecessors that begins at `start`, `start` included.
    func place(atOrBefore end: Place, from start: Place) throws -> Place? {
        var place = start
        while place > end {
            previous.bind(place.number, at: 1)
            guard let before = try previous.first({ $0.place(0) }) else {
                throw Damage("the log lacks place \(place.number)")
            }
            place = before
        }
        return place == .none ? nil : place
    }

    /// The entry that was put at `place`; nil where a deletion stands.
    func entry(at place: Place) throws -> Entry? {
        entry.bind(place.number, at: 1)
        let found = try entry.first { row in
            row.integer(0) == Layout.deleted
                ? Entry?.none
                : Entry(
                    key: row.key(2), value: row.bytes(3), revision: place.revision,
                    createRevision: Revision(row.integer(1)))
        }
        guard let found else { throw Damage("the log lacks place \(place.number)") }
        return found
    }
}

/// The keys of a range that were deleted after a place, in their order, each with its first deletion since.
private struct Deletions {
    private let reader: Reader
    private let range: KeyRange
    private let end: Place
    private var ahead: (key: StoreKey, place: Place)?

    init(_ reader: Reader, in range: KeyRange, after end: Place) throws {
        (self.reader, self.range, self.end) = (reader, range, end)
        ahead = try first(from: range.start)
    }

    /// The next one's place, if it stands before `key`; nil for `key`: any.
    mutating func next(before key: StoreKey?) throws -> Place? {
        guard let found = ahead else { return nil }
        if let key, found.key > key { return nil }
        ahead = try first(from: found.key.successor)
        return found.place
    }

    private func first(from start: StoreKey) throws -> (key: StoreKey, place: Place)? {
        let statement = try Prepared(
            cachedBy: reader.database,
            """
            SELECT key, place FROM log INDEXED BY log_deletions
            WHERE kind = 2 AND key >= ? AND key < ? AND place > ? ORDER BY key, place LIMIT 1
            """)
        reader.bind(range.from(start), to: statement, at: 1)
        statement.bind(end.number, at: 3)
        return try statement.first { ($0.key(0), $0.place(1)) }
    }
}
