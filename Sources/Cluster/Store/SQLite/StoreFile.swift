import GRDB
import Linux

/// A store's file, seen from outside: what can be asked of it without being its writer, while a server has it open or
/// none has.
public struct StoreFile: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// The sizes and bounds of a store.
    public struct Statistics: Sendable, Hashable {
        public var newest: Revision
        /// What can be asked for begins here.
        public var oldest: Revision
        /// Keys that are there now.
        public var keys: Int
        /// Changes in the log, those that hold present values included.
        public var changes: Int
        /// Bytes of the database file.
        public var bytes: Int
        /// Bytes of the file that are free for later use.
        public var freeBytes: Int
        /// Bytes of the write-ahead log's file.
        public var journalBytes: Int
        /// How many keys each prefix of two components (`/registry/pods/`) has.
        public var keysByPrefix: [String: Int]
    }

    /// Reads the statistics; looks at every key.
    public func statistics() throws(StoreError) -> Statistics {
        try read { database in
            let bounds = try Reader(database: database).bounds()
            let pageBytes = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0
            func count(_ sql: String) throws -> Int { try Int.fetchOne(database, sql: sql) ?? 0 }
            var prefixes: [String: Int] = [:]
            try Prepared(database, "SELECT key FROM current").forEach { row in
                prefixes[Self.prefix(of: row.key(0)), default: 0] += 1
                return true
            }
            return Statistics(
                newest: bounds.newest, oldest: bounds.oldest, keys: try count("SELECT count(*) FROM current"),
                changes: try count("SELECT count(*) FROM log"), bytes: try count("PRAGMA page_count") * pageBytes,
                freeBytes: try count("PRAGMA freelist_count") * pageBytes, journalBytes: fileBytes("\(path)-wal"),
                keysByPrefix: prefixes)
        }
    }

    /// Up to the third slash.
    private static func prefix(of key: StoreKey) -> String {
        var slashes = 0
        for (index, byte) in key.bytes.enumerated() where byte == UInt8(ascii: "/") {
            slashes += 1
            if slashes == 3 { return String(decoding: key.bytes[...index], as: UTF8.self) }
        }
        return key.description
    }

    /// Looks through the whole file: SQLite's structures, and whether keys, log and bounds agree.
    /// - Returns: What is wrong, a sentence each; nothing when all is well.
    public func check() throws(StoreError) -> [String] {
        try read { database in
            var problems = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)").filter { $0 != "ok" }
            func expectNone(_ sql: String, _ what: String) throws {
                let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM \(sql)") ?? 0
                if count > 0 { problems.append("\(count) \(what)") }
            }
            try expectNone(
                "current c LEFT JOIN log l ON l.place = c.place WHERE l.place IS NULL OR l.key <> c.key OR l.kind = 2",
                "keys without their value in the log")
            try expectNone(
                """
                log l JOIN meta WHERE l.previous <> 0 AND l.place >> 10 > meta.compacted
                AND NOT EXISTS (SELECT 1 FROM log p WHERE p.place = l.previous AND p.key = l.key)
                """, "changes that lack the change before them, which can still be asked for")
            try expectNone(
                """
                log l JOIN meta WHERE l.kind <> 2 AND l.place <= meta.cleaned
                AND l.place NOT IN (SELECT place FROM current) AND l.place NOT IN (SELECT previous FROM log)
                """, "values in the log that nothing refers to")
            return problems
        }
    }

    /// Copies the store as it is at one moment into a new file, which is complete when this returns, and durable. Writers
    /// do not wait, but until it is done the write-ahead log cannot begin anew.
    /// - Returns: The newest revision of the copy.
    public func backup(to destination: String) throws(StoreError) -> Revision {
        try storeErrors("backup to \(destination)") {
            if fileExists(destination) { throw StoreError.invalid("\(destination) exists already") }
            let part = "\(destination).part"
            for suffix in ["", "-journal", "-wal", "-shm"] { removeFile(part + suffix) }
            do {
                try createPrivateFile(part)
                try connect().backup(to: DatabaseQueue(path: part))
                // One file, not three: a copy of a store in WAL mode is in WAL mode.
                let copy = try DatabaseQueue(path: part)
                let revision = try copy.inDatabase { database in
                    try Layout.check(database)
                    try database.execute(sql: "PRAGMA journal_mode = DELETE")
                    return try Reader(database: database).bounds().newest
                }
                try copy.close()
                try settle(part, as: destination)
                return revision
            } catch {
                removeFile(part)
                throw error
            }
        }
    }

    // MARK: Parts

    private func read<Result>(_ body: (Database) throws -> Result) throws(StoreError) -> Result {
        try storeErrors(path) {
            try connect().read { database in
                try Layout.check(database)
                return try body(database)
            }
        }
    }

    private func connect() throws -> DatabaseQueue {
        guard fileExists(path) else { throw StoreError.failed("\(path): no such store") }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        return try DatabaseQueue(path: path, configuration: configuration)
    }
}
