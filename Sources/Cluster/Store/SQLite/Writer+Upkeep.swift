import GRDB
import GRDBSQLite

/// How far the WAL has grown since it was last copied into the database file.
struct Journal {
    /// Bytes at which it is copied.
    let limit: Int
    private var counter: Int32 = 0
    private var pages = 0
    /// A WAL of this many bytes makes writers wait until readers let it begin anew.
    private var patience: Int

    init(limit: Int) {
        self.limit = limit
        patience = 4 * limit
    }

    /// Counts the pages that the last transaction wrote.
    mutating func note(_ database: Database) {
        guard let connection = database.sqliteConnection else { return }
        var now: Int32 = 0
        var highest: Int32 = 0
        sqlite3_db_status(connection, SQLITE_DBSTATUS_CACHE_WRITE, &now, &highest, 0)
        pages += Int(now &- counter)
        counter = now
    }

    var isDue: Bool { pages * Layout.pageBytes >= limit }

    /// Copies what it can into the database file. Where a reader keeps the WAL from beginning anew for too long, waits a
    /// moment for it (the connection's busy timeout), and twice as many bytes later again.
    mutating func checkpoint(_ database: Database) throws {
        // The next try is a quarter of the limit away if this one fails or has to leave pages behind.
        pages = (limit - limit / 4) / Layout.pageBytes
        let found = try database.checkpoint(.passive)
        if found.checkpointedFrameCount >= found.walFrameCount { pages = 0 }
        let bytes = found.walFrameCount * Layout.pageBytes
        if bytes < 4 * limit { patience = 4 * limit }
        guard bytes >= patience else { return }
        patience = 2 * bytes
        do {
            _ = try database.checkpoint(.restart)
            pages = 0
            patience = 4 * limit
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            // Readers were not done in time.
        }
    }
}

extension Writer {
    /// Copies the WAL into the database file when it has grown enough. Nobody waits for it but the next batch. What fails
    /// here (a full disk) is tried again later; the WAL has all that was acknowledged.
    func checkpointIfDue() {
        guard journal.isDue else { return }
        do {
            try pool.writeWithoutTransaction { try journal.checkpoint($0) }
            checkpointFailure = nil
        } catch {
            checkpointFailure = "\(error)"
        }
    }

    func compact(through revision: Revision) throws(StoreError) {
        try checkUsable()
        guard let statements else { throw .closed }
        if revision > head { throw .future(requested: revision, newest: head) }
        guard revision > cleaning.compacted else { return }
        try write(statements) { try cleaning.compact($0, through: revision) }
        cleaning.didCompact(through: revision)
        scheduleDrain()
    }

    /// One slice of work that can wait, while nobody waits for a commit.
    func clean() {
        guard failure == nil, let statements else { return }
        do {
            if cleaning.isPending(newest: head) {
                try write(statements) { try cleaning.slice($0, rows: 512, newest: head) }
                checksSpace = true
            } else if checksSpace {
                checksSpace = try giveBackSpace(statements)
            } else {
                return
            }
            cleaningFailure = nil
            checkpointIfDue()
            scheduleDrain()
        } catch {
            cleaningFailure = "\(error)"
            cleaning.pause(newest: head)
            checksSpace = false
        }
    }

    /// Cuts free pages off the file's end, at most 1 MB of them, when a good part of the file is free. Whether there are
    /// more.
    private func giveBackSpace(_ statements: Statements) throws(StoreError) -> Bool {
        let (free, pages) = try storeErrors(pool.path) {
            try pool.writeWithoutTransaction { database in
                (
                    try Int.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0,
                    try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
                )
            }
        }
        guard free * Layout.pageBytes > settings.freeBytes, free > pages / 4 else { return false }
        try write(statements) { try Prepared(cachedBy: $0, "PRAGMA incremental_vacuum(256)").run() }
        return true
    }

    /// What is wrong, a sentence each.
    func problems() -> [String] {
        var found: [String] = []
        if let failure { found.append("nothing is written any more: \(failure)") }
        if let checkpointFailure { found.append("the write-ahead log grows: \(checkpointFailure)") }
        if let cleaningFailure { found.append("compaction waits: \(cleaningFailure)") }
        return found
    }

    /// Deletes at most 256 keys whose time was over at `now`; how many it deleted.
    func expire(at now: Int64) throws(StoreError) -> Int {
        let keys = try storeErrors(pool.path) {
            try pool.writeWithoutTransaction { database in
                let statement = try Prepared(
                    cachedBy: database, "SELECT key FROM current WHERE expires <= ? ORDER BY expires LIMIT 256")
                statement.bind(now, at: 1)
                var keys: [StoreKey] = []
                try statement.forEach { row in
                    keys.append(row.key(0))
                    return true
                }
                return keys
            }
        }
        guard !keys.isEmpty else { return 0 }
        publish(try perform(keys.map { Transaction([.delete($0)]) }).changes)
        checkpointIfDue()
        return keys.count
    }
}
