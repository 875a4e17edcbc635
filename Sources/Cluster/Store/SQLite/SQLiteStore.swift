import GRDB
import Glibc
import Linux
import Synchronization

/// A store in one SQLite file.
///
/// One writer commits whatever waits in one SQLite transaction with synchronous=FULL, so an acknowledged change survives
/// a power loss; readers have connections of their own and never wait for it. One process has the file open for writing
/// (`<path>.lock`); others may read it (``StoreFile``).
public final class SQLiteStore: Store {
    let writer: Writer
    let pool: DatabasePool
    private let isClosed = Atomic(false)

    /// The file.
    public var path: String { pool.path }

    /// Opens the store at `path`; makes it where it is missing, its directory (mode 0700) too.
    /// - Throws: `inUse` when another process has it open, `damaged`, `full`, `failed`.
    public init(path: String, settings: Settings = Settings()) async throws(StoreError) {
        let lock = try Self.lock(path)
        pool = try storeErrors(path) {
            try createPrivateFile(path)
            let pool = try DatabasePool(path: path, configuration: Self.configuration(settings))
            try pool.writeWithoutTransaction { database in
                try Layout.prepare(database)
                // GRDB sets NORMAL, which loses the last commits when the power fails.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                // In milliseconds. Longer than this the writer waits for nobody: readers (Journal), or other programs.
                try database.execute(sql: "PRAGMA busy_timeout = 50")
                try database.execute(sql: "PRAGMA journal_size_limit = \(settings.journalBytes)")
            }
            return pool
        }
        writer = try Writer(pool: pool, lock: lock, settings: settings)
    }

    /// What can be set, chiefly by tests and benchmarks.
    public struct Settings: Sendable {
        /// Connections that read at the same time, each with up to 2 MB of cache.
        public var readers = 3
        /// Bytes of the writer's page cache.
        public var cacheBytes = 8 << 20
        /// The write-ahead log is copied into the database file whenever it has grown by this many bytes.
        public var journalBytes = 8 << 20
        /// The most transactions, and bytes of values, of one commit.
        public var batchTransactions = 512
        public var batchBytes = 8 << 20
        /// How many looks at an unchanged queue the writer takes for the writers of the last batch to come back.
        public var patience = 20
        /// Free space in the file that is kept for later use rather than given back to the file system.
        public var freeBytes = 16 << 20

        public init() {}
    }

    static func lock(_ path: String) throws(StoreError) -> FileLock {
        let file = "\(path).lock"
        do {
            try makeDirectories(parentDirectory(of: path), mode: 0o700)
            let lock = try FileLock(file, wait: false)
            try lock.write("\(getpid())\n")
            return lock
        } catch {
            switch error.errno {
            case EWOULDBLOCK:
                let holder = try? readText(file, limit: 64).split(whereSeparator: \.isWhitespace).first
                throw .inUse(path: path, process: holder.flatMap { Int32(String($0)) })
            case ENOSPC, EDQUOT: throw .full("\(error)")
            default: throw .failed("\(error)")
            }
        }
    }

    private static func configuration(_ settings: Settings) -> Configuration {
        var configuration = Configuration()
        configuration.maximumReaderCount = settings.readers
        configuration.foreignKeysEnabled = false
        // A transaction that could not be rolled back is an error that the writer reports, not a reason to crash.
        configuration.allowsUnsafeTransactions = true
        configuration.busyMode = .timeout(5)
        configuration.label = "store"
        configuration.prepareDatabase { database in
            if !database.configuration.readonly {
                // Both count only for a new file, and before anything else.
                try database.execute(sql: "PRAGMA page_size = \(Layout.pageBytes)")
                try database.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 0")
                try database.execute(sql: "PRAGMA cache_size = \(-settings.cacheBytes / 1024)")
            }
        }
        return configuration
    }

    // MARK: Store

    public func revision() async throws(StoreError) -> Revision { published }

    /// The newest revision that every watch was told, without waiting.
    public var published: Revision { Revision(writer.published.load(ordering: .acquiring)) }

    /// How many commits, each with one fsync(2), it took for all transactions since the store was opened.
    public var commits: Int { writer.commits.load(ordering: .relaxed) }

    public func commit(_ transaction: Transaction) async throws(StoreError) -> CommitOutcome {
        try transaction.validate()
        return try await writer.commit(transaction)
    }

    public func get(_ key: StoreKey) async throws(StoreError) -> Reading<Entry?> {
        try await read { reader in Reading(try reader.get(key), at: try reader.bounds().newest) }
    }

    public func range(
        _ range: KeyRange, at revision: Revision?, limit: Int?
    ) async throws(StoreError) -> RangePage {
        if let limit, limit < 1 { throw .invalid("a limit of \(limit)") }
        return try await read { reader in
            if let revision { return try reader.page(range, at: revision, limit: limit) }
            return try reader.page(range, limit: limit)
        }
    }

    public func compact(through revision: Revision) async throws(StoreError) {
        try await writer.compact(through: revision)
    }

    /// Runs `body` on a connection of the readers', in one transaction.
    func read<Result: Sendable>(
        _ body: @escaping @Sendable (Reader) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await pool.read { try body(Reader(database: $0)) }
        } catch {
            if isClosed.load(ordering: .relaxed) { throw .closed }
            throw StoreError(error, path)
        }
    }

    /// Reads the past in slices beside the writer, then has it tell the rest and everything from there on.
    public func watch(
        _ range: KeyRange, after revision: Revision, _ sink: @escaping WatchSink
    ) async throws(StoreError) -> WatchRegistration {
        var place = Place.end(of: revision)
        var hasMore = true
        while hasMore {
            let from = place
            let page = try await read { reader in
                // Compaction may have come by since the last slice.
                try reader.check(from.revision)
                return try reader.changes(in: range, after: from, limit: 1000)
            }
            if !page.changes.isEmpty { sink(.changes(page.changes, through: page.reached.revision)) }
            (place, hasMore) = (page.reached, page.hasMore)
        }
        return try await writer.register(range, after: place, sink)
    }

    // MARK: Upkeep

    /// Deletes all keys whose time was over at `now`, in seconds since 1970.
    /// - Returns: How many they were.
    @discardableResult
    public func expire(at now: Int64) async throws(StoreError) -> Int {
        var sum = 0
        while true {
            let count = try await writer.expire(at: now)
            if count == 0 { return sum }
            sum += count
        }
    }

    /// What is wrong with the store, a sentence each, for a health check; nothing when all is well. A full disk that
    /// only refuses writes is told to those who write.
    public func problems() async -> [String] { await writer.problems() }

    /// Acknowledges what waits, ends all watches and closes the file. Anything asked of the store later fails with
    /// `closed`.
    public func close() async {
        isClosed.store(true, ordering: .relaxed)
        await writer.close()
    }
}
