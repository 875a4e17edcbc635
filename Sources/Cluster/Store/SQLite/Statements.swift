import GRDB

/// The writer's statements, prepared once.
struct Statements {
    let begin: Prepared
    let commit: Prepared
    let rollback: Prepared
    private let find: Prepared
    private let log: Prepared
    private let insertCurrent: Prepared
    private let updateCurrent: Prepared
    private let deleteCurrent: Prepared

    init(_ database: Database) throws {
        begin = try Prepared(database, "BEGIN IMMEDIATE")
        commit = try Prepared(database, "COMMIT")
        rollback = try Prepared(database, "ROLLBACK")
        find = try Prepared(database, "SELECT place, created FROM current WHERE key = ?")
        log = try Prepared(
            database, "INSERT INTO log (place, kind, previous, created, key, value) VALUES (?, ?, ?, ?, ?, ?)")
        insertCurrent = try Prepared(
            database, "INSERT INTO current (key, place, created, expires) VALUES (?, ?, ?, ?)")
        updateCurrent = try Prepared(database, "UPDATE current SET place = ?, expires = ? WHERE key = ?")
        deleteCurrent = try Prepared(database, "DELETE FROM current WHERE key = ?")
    }

    /// Where the present value of a key stands, and since when the key exists.
    struct Present {
        let place: Place
        let created: Revision
    }

    func find(_ key: StoreKey) throws -> Present? {
        find.bind(key.bytes, at: 1)
        return try find.first { Present(place: $0.place(0), created: Revision($0.integer(1))) }
    }

    /// Puts `value` where `present` is.
    func put(_ key: StoreKey, _ value: [UInt8], expires: Int64?, over present: Present?, at place: Place) throws {
        let created = present?.created ?? place.revision
        log.bind(place.number, at: 1)
        log.bind(present == nil ? Layout.created : Layout.updated, at: 2)
        log.bind((present?.place ?? .none).number, at: 3)
        log.bind(created.number, at: 4)
        log.bind(key.bytes, at: 5)
        log.bind(value, at: 6)
        try log.run()
        if present == nil {
            insertCurrent.bind(key.bytes, at: 1)
            insertCurrent.bind(place.number, at: 2)
            insertCurrent.bind(created.number, at: 3)
            insertCurrent.bind(expires, at: 4)
            try insertCurrent.run()
        } else {
            updateCurrent.bind(place.number, at: 1)
            updateCurrent.bind(expires, at: 2)
            updateCurrent.bind(key.bytes, at: 3)
            try updateCurrent.run()
        }
    }

    /// Deletes a key that is present.
    func delete(_ key: StoreKey, _ present: Present, at place: Place) throws {
        log.bind(place.number, at: 1)
        log.bind(Layout.deleted, at: 2)
        log.bind(present.place.number, at: 3)
        log.bind(present.created.number, at: 4)
        log.bind(key.bytes, at: 5)
        log.bindNull(at: 6)
        try log.run()
        deleteCurrent.bind(key.bytes, at: 1)
        try deleteCurrent.run()
    }
}
