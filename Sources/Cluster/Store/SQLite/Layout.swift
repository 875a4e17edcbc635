import GRDB

/// What lies in the database file.
///
/// The log holds every value once, in the order of revisions, so that a write is at the file's end whatever the key is.
/// `current` says where a key's present value stands; being without values, it is small and stays in memory. Each change
/// names its predecessor of the same key: that is how the state at an older revision is found, and how compaction
/// knows which values nobody can ask for any more. (Values in `current`, WITHOUT ROWID, cost two to three times as many
/// page writes: rows over a quarter of a page spill to pages of their own. docs/store.md has the numbers.)
enum Layout {
    /// "SWLT" in PRAGMA application_id.
    static let applicationID: Int32 = 0x5357_4C54
    /// PRAGMA user_version; a store of a higher one is refused.
    static let format: Int32 = 1
    /// Three objects of 1 KB. With 8192 as many writes a second were measured; what is larger writes more for each change.
    static let pageBytes = 4096

    /// A change's kind in the log.
    static let created: Int64 = 0
    static let updated: Int64 = 1
    static let deleted: Int64 = 2

    static let tables = """
        CREATE TABLE log (
            place INTEGER PRIMARY KEY,    -- revision << 10 | position in the transaction
            kind INTEGER NOT NULL,        -- 0 created, 1 updated, 2 deleted
            previous INTEGER NOT NULL,    -- the place of the key's change before this one; 0 for a creation
            created INTEGER NOT NULL,     -- the revision of the key's creation
            key BLOB NOT NULL,
            value BLOB                    -- NULL where it was deleted
        );
        CREATE INDEX log_deletions ON log (key, place, previous) WHERE kind = 2;
        CREATE TABLE current (
            key BLOB PRIMARY KEY,
            place INTEGER NOT NULL,       -- of its value in the log
            created INTEGER NOT NULL,
            expires INTEGER               -- seconds since 1970
        ) WITHOUT ROWID;
        CREATE INDEX current_expires ON current (expires) WHERE expires IS NOT NULL;
        CREATE TABLE meta (
            compacted INTEGER NOT NULL,   -- nothing before this revision can be asked for
            cleaned INTEGER NOT NULL      -- up to this place of the log, what `compacted` allows to go is gone
        );
        INSERT INTO meta VALUES (0, 0);
        """

    /// Makes the tables of a new file, or checks that an old one is ours. `database` has no transaction open.
    static func prepare(_ database: Database) throws {
        let objects = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
        if objects > 0 { return try check(database) }
        try database.inTransaction(.immediate) {
            try database.execute(sql: tables)
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = \(format)")
            return .commit
        }
    }

    /// Refuses a file that is no store, or one of a newer format.
    static func check(_ database: Database) throws {
        guard try Int32.fetchOne(database, sql: "PRAGMA application_id") == applicationID else {
            throw Damage("a database, but no store of Swiftlet's")
        }
        let found = try Int32.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard found <= format else {
            throw Damage("has format \(found), written by a newer swiftlet; this one knows \(format)")
        }
    }
}
