import GRDB
import Linux
import Synchronization

/// Owns the revision counter and the only connection that writes, on a thread of its own.
///
/// Transactions queue up while one batch is being committed and are the next batch: one commit, one fsync(2), however
/// many writers wait (group commit). After the commit the batch is told to the watches, in order, and then acknowledged.
actor Writer {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// The newest revision that every watch was told.
    nonisolated let published: Atomic<Int64>
    /// How often it committed, each time with one fsync(2).
    nonisolated let commits = Atomic<Int>(0)

    let pool: DatabasePool
    let settings: SQLiteStore.Settings
    /// nil after the store was closed.
    var statements: Statements?
    /// The newest revision that was given.
    var head: Revision
    /// Why nothing is written any more.
    var failure: StoreError?
    var cleaning: Cleaning
    var journal: Journal
    /// Why the WAL could not be copied, or the log not be cleaned, the last time; nil when it could.
    var checkpointFailure: String?
    var cleaningFailure: String?
    /// Whether the file may have pages to give back.
    var checksSpace = false
    private var queue: [Pending] = []
    private var isDrainScheduled = false
    private var lastBatch = 0
    private var looks = 0
    private var seen = 0
    private var watches: [Watch] = []

    /// nil after the store was closed.
    private var lock: FileLock?

    init(
        pool: DatabasePool, lock: consuming FileLock, settings: SQLiteStore.Settings
    ) throws(StoreError) {
        (self.pool, self.settings) = (pool, settings)
        self.lock = consume lock
        let found = try storeErrors(pool.path) {
            try pool.writeWithoutTransaction { database in
                (
                    statements: try Statements(database), head: try Reader(database: database).bounds().newest,
                    cleaning: try Cleaning(database)
                )
            }
        }
        (statements, head, cleaning) = (found.statements, found.head, found.cleaning)
        published = Atomic(found.head.number)
        journal = Journal(limit: settings.journalBytes)
        do { loop = try EventLoop(name: "store") } catch { throw .failed("\(error)") }
    }

    /// Nobody can have a job for the loop any more.
    deinit { loop.stop() }

    /// A transaction that waits for its batch.
    struct Pending {
        let transaction: Transaction
        let continuation: CheckedContinuation<Result<CommitOutcome, StoreError>, Never>
    }

    // MARK: Transactions

    func commit(_ transaction: Transaction) async throws(StoreError) -> CommitOutcome {
        try checkUsable()
        let result = await withCheckedContinuation { continuation in
            queue.append(Pending(transaction: transaction, continuation: continuation))
            scheduleDrain()
        }
        return try result.get()
    }

    func checkUsable() throws(StoreError) {
        if let failure { throw failure }
        if statements == nil { throw .closed }
    }

    /// Runs ``drain()`` after all that is in the loop's queue by now: writers that came meanwhile are in its batch.
    func scheduleDrain() {
        guard !isDrainScheduled else { return }
        isDrainScheduled = true
        Task { drain() }
    }

    private func drain() {
        isDrainScheduled = false
        guard !queue.isEmpty else { return clean() }
        if isWorthWaiting() { return scheduleDrain() }
        let batch = takeBatch()
        do {
            let (outcomes, changes) = try perform(batch.map(\.transaction))
            publish(changes)
            for (pending, outcome) in zip(batch, outcomes) { pending.continuation.resume(returning: .success(outcome)) }
        } catch {
            for pending in batch { pending.continuation.resume(returning: .failure(error)) }
        }
        checkpointIfDue()
        if !queue.isEmpty || cleaning.isPending(newest: head) { scheduleDrain() }
    }

    /// Whether more writers are likely to come within the time a pass over the loop's queue takes. Those of the last
    /// batch were resumed just now; taking the first of them alone would cost all the others a commit.
    private func isWorthWaiting() -> Bool {
        defer { seen = queue.count }
        if queue.count >= lastBatch || looks >= settings.patience {
            looks = 0
            return false
        }
        looks = queue.count > seen ? 0 : looks + 1
        return true
    }

    private func takeBatch() -> [Pending] {
        var bytes = 0
        var count = 0
        for pending in queue.prefix(settings.batchTransactions) {
            bytes += pending.transaction.bytes
            if count > 0, bytes > settings.batchBytes { break }
            count += 1
        }
        lastBatch = count
        seen = 0
        if count == queue.count {
            defer { queue = [] }
            return queue
        }
        defer { queue.removeFirst(count) }
        return Array(queue[..<count])
    }

    /// Does transactions, each wholly or not at all, and commits once. An error means that none was done.
    func perform(_ batch: [Transaction]) throws(StoreError) -> (outcomes: [CommitOutcome], changes: [Change]) {
        try checkUsable()
        guard let statements else { throw .closed }
        var outcomes: [CommitOutcome] = []
        var changes: [Change] = []
        outcomes.reserveCapacity(batch.count)
        try write(statements) { database in
            for transaction in batch {
                outcomes.append(try perform(transaction, statements, database, &changes))
            }
            // Compaction keeps up with what is written, and needs no commits of its own.
            if !changes.isEmpty { try cleaning.slice(database, rows: 64 + 2 * changes.count, newest: head) }
        }
        return (outcomes, changes)
    }

    /// Runs `body` in one SQLite transaction; after an error nothing of it was done, and nobody was told its revisions.
    func write(_ statements: Statements, _ body: (Database) throws -> Void) throws(StoreError) {
        let before = head
        do {
            try pool.writeWithoutTransaction { database in
                do {
                    try statements.begin.run()
                    try body(database)
                    try statements.commit.run()
                } catch {
                    // SQLite has rolled back by itself after some errors.
                    if database.isInsideTransaction {
                        do { try statements.rollback.run() } catch {
                            failure = StoreError(error, "\(pool.path): ROLLBACK")
                        }
                    }
                    throw error
                }
                journal.note(database)
            }
            commits.add(1, ordering: .relaxed)
            cleaning.didCommit()
        } catch {
            cleaning.didFail()
            head = before
            let reason = StoreError(error, pool.path)
            switch (error as? DatabaseError)?.resultCode {
            // A commit that failed so may be on the disk all the same, and what the kernel could not write it may have
            // dropped. Only opening the file anew tells.
            case .SQLITE_IOERR, .SQLITE_CORRUPT, .SQLITE_NOTADB:
                failure = .failed("\(reason)")
                throw .failed("\(reason)")
            default: throw reason
            }
        }
    }

    private func perform(
        _ transaction: Transaction, _ statements: Statements, _ database: Database, _ changes: inout [Change]
    ) throws -> CommitOutcome {
        var found: [(key: StoreKey, present: Statements.Present?)] = []
        func find(_ key: StoreKey) throws -> Statements.Present? {
            if let known = found.first(where: { $0.key == key }) { return known.present }
            let present = try statements.find(key)
            found.append((key, present))
            return present
        }
        for condition in transaction.conditions {
            guard try condition.holds(for: find(condition.key)?.place.revision) else {
                let reader = Reader(database: database)
                return .refused(try transaction.conditions.map { try reader.get($0.key) })
            }
        }
        let revision = head.next
        for (position, operation) in transaction.operations.enumerated() {
            let place = Place(revision, position: position)
            let present = try find(operation.key)
            switch operation {
            case .put(let key, let value, let expires):
                try statements.put(key, value, expires: expires, over: present, at: place)
                head = revision
                changes.append(
                    Change(
                        Entry(
                            key: key, value: value, revision: revision, createRevision: present?.created ?? revision)))
            case .delete(let key):
                guard let present else { continue }
                try statements.delete(key, present, at: place)
                head = revision
                changes.append(Change(deleted: key, at: revision))
            }
        }
        return .committed(head)
    }

    // MARK: Watches

    /// Tells every watch what was committed.
    func publish(_ changes: [Change]) {
        if !changes.isEmpty {
            for watch in watches where watch.isActive.load(ordering: .relaxed) {
                let matching = watch.range == .all ? changes : changes.filter { watch.range.contains($0.key) }
                watch.sink(.changes(matching, through: head))
            }
        }
        published.store(head.number, ordering: .releasing)
    }

    /// Tells `sink` the changes after `place`, and from here on every other: no commit can come between.
    func register(
        _ range: KeyRange, after place: Place, _ sink: @escaping WatchSink
    ) throws(StoreError) -> WatchRegistration {
        try checkUsable()
        let head = self.head
        let (changes, oldest) = try storeErrors(pool.path) {
            try pool.writeWithoutTransaction { database in
                let reader = Reader(database: database)
                return (try reader.changes(in: range, after: place, limit: .max).changes, try reader.bounds().oldest)
            }
        }
        if place.revision < oldest { throw .compacted(requested: place.revision, oldest: oldest) }
        sink(.changes(changes, through: head))
        let watch = Watch(range, sink)
        watches.append(watch)
        return WatchRegistration { [weak self] in
            watch.isActive.store(false, ordering: .relaxed)
            Task { await self?.forget(watch) }
        }
    }

    private func forget(_ watch: Watch) {
        watches.removeAll { $0 === watch }
    }

    /// A registered watch.
    private final class Watch: Sendable {
        let range: KeyRange
        let sink: WatchSink
        let isActive = Atomic(true)

        init(_ range: KeyRange, _ sink: @escaping WatchSink) {
            (self.range, self.sink) = (range, sink)
        }
    }

    // MARK: The end

    /// Commits what waits, ends the watches, closes the file and lets go of its lock.
    func close() {
        guard statements != nil else { return }
        while !queue.isEmpty { drain() }
        statements = nil
        for watch in watches where watch.isActive.load(ordering: .relaxed) { watch.sink(.ended(.closed)) }
        watches = []
        // What stays in the WAL is found by the next opener; an error here loses nothing.
        try? pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        try? pool.close()
        lock = nil
    }
}
