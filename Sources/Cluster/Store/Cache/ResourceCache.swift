import Synchronization

/// The keys of one prefix in memory, always as new as the last acknowledged commit; serves reads and watches without
/// touching the store.
///
/// It holds each object once, and the latest changes with what they replaced. A watcher is no more than a position in
/// those changes: what it has not read yet costs nothing of its own, and when the changes it stands at are dropped it is
/// cut off (``StoreError/tooSlow``). A list takes a reference to the sorted chunks and reads them without a lock.
/// Label and field indexes belong into what follows ``apply(_:_:)`` and are the API server's.
public final class ResourceCache<Object: Sendable>: Sendable {
    public let range: KeyRange
    private let store: any Store
    private let settings: Settings
    private let decode: @Sendable (Entry) -> (object: Object, bytes: Int)
    private let state: Mutex<State>

    /// The bounds of its memory besides the objects themselves.
    public struct Settings: Sendable {
        /// The most changes it remembers; rounded up to a power of two.
        public var changes = 4096
        /// The most bytes of replaced and deleted objects it remembers.
        public var changeBytes = 16 << 20
        /// How many of the store's latest revisions it reads when it starts, so that watchers from before a restart can
        /// go on.
        public var history = 2048
        /// The entries of one read of the store at the start.
        public var pageEntries = 500

        public init() {}
    }

    struct State: ~Copyable {
        var objects = SortedObjects<Object>()
        var ring: ChangeRing<Object>
        /// The state's revision.
        var revision: Revision
        var isReady = false
        /// Why it does not follow the store any more.
        var ended: StoreError?
        var waiters: [UInt64: Waiter<Object>] = [:]
        var nextWaiter: UInt64 = 0
        var registration: WatchRegistration?
    }

    /// A cache that is empty until ``start()``.
    ///
    /// - Parameter decode: Makes of an entry what is kept of it, and tells how many bytes that is. Called once for each
    ///   change, before its writer is acknowledged.
    public init(
        prefix: StoreKey, of store: any Store, settings: Settings = Settings(),
        decode: @escaping @Sendable (Entry) -> (object: Object, bytes: Int)
    ) {
        range = .prefix(prefix)
        (self.store, self.settings, self.decode) = (store, settings, decode)
        let ring = ChangeRing<Object>(count: settings.changes, bytes: settings.changeBytes, after: .zero)
        state = Mutex(State(ring: ring, revision: .zero))
    }

    /// Fills the cache and follows the store until ``stop()``. Called once.
    public func start() async throws(StoreError) {
        let newest = try await store.revision()
        do {
            try await start(at: Revision(max(0, newest.number - Int64(settings.history))))
        } catch .compacted(_, let oldest) {
            do {
                try await start(at: oldest)
            } catch .compacted {
                // Compaction came by again: without a history, then.
                try await start(at: nil)
            }
        }
    }

    /// Reads the state at `revision` (nil: now), and then the changes since.
    private func start(at revision: Revision?) async throws(StoreError) {
        var objects: [Cached<Object>] = []
        var at = revision
        var rest: KeyRange? = range
        while let part = rest {
            let page = try await store.range(part, at: at, limit: settings.pageEntries)
            at = page.revision
            objects += page.entries.map { cached($0) }
            rest = page.continuation.map { part.from($0) }
        }
        let begin = at ?? .zero
        state.withLock { state in
            state.objects = SortedObjects(sorted: objects)
            state.ring = ChangeRing(count: settings.changes, bytes: settings.changeBytes, after: begin)
            state.revision = begin
        }
        let registration = try await store.watch(range, after: begin) { [weak self] in self?.receive($0) }
        state.withLock { state in
            state.registration = registration
            state.isReady = true
        }
    }

    /// Ends the cache: every watch of it ends with `closed`.
    public func stop() {
        end(.closed)
    }

    private func cached(_ entry: Entry) -> Cached<Object> {
        let decoded = decode(entry)
        return Cached(entry, decoded.object, bytes: decoded.bytes)
    }

    // MARK: Following the store

    private func receive(_ event: WatchEvent) {
        switch event {
        case .ended(let error): end(error)
        case .changes(let changes, let revision):
            // Decoded before the lock is taken: readers do not wait for it.
            let news = changes.map { $0.entry.map(cached) }
            let awake = state.withLock { state in
                apply(zip(changes, news), through: revision, to: &state)
            }
            for waiter in awake { waiter.resume() }
        }
    }

    /// Those that have something to read now.
    private func apply(
        _ changes: Zip2Sequence<[Change], [Cached<Object>?]>, through revision: Revision, to state: inout State
    ) -> [Waiter<Object>] {
        var awake: [Waiter<Object>] = []
        for (change, new) in changes {
            let old = new.map { state.objects.put($0) } ?? state.objects.remove(change.key)
            let number = state.ring.next
            state.ring.append(CachedChange(key: change.key, revision: change.revision, new: new, old: old))
            for id in state.waiters.filter({ $0.value.range.contains(change.key) }).keys {
                guard let waiter = state.waiters.removeValue(forKey: id) else { continue }
                waiter.wakesAt(number)
                awake.append(waiter)
            }
        }
        state.revision = max(state.revision, revision)
        return awake
    }

    private func end(_ error: StoreError) {
        let (waiters, registration) = state.withLock { state in
            state.ended = state.ended ?? error
            for waiter in state.waiters.values { waiter.wakesAt(state.ring.next) }
            defer {
                state.waiters = [:]
                state.registration = nil
            }
            return (state.waiters.values, state.registration)
        }
        registration?.cancel()
        for waiter in waiters { waiter.resume() }
    }

    // MARK: Reading

    /// The revision of what it shows: every commit acknowledged so far is in it.
    public var revision: Revision { state.withLock { $0.revision } }

    /// How many objects there are.
    public var count: Int { state.withLock { $0.objects.count } }

    /// What `key` has now.
    /// - Throws: `closed` before ``start()`` and after ``stop()``, or why the cache ended.
    public func get(_ key: StoreKey) throws(StoreError) -> Cached<Object>? {
        try read { state throws(StoreError) in state.objects[key] }
    }

    func read<Result>(_ body: (inout State) throws(StoreError) -> Result) throws(StoreError) -> Result {
        let result = state.withLock { state in
            do throws(StoreError) {
                if let ended = state.ended { throw ended }
                guard state.isReady else { throw .closed }
                return Swift.Result<Result, StoreError>.success(try body(&state))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// For ``CacheWatch``, which may go on reading what there is when the cache has ended.
    func withState<Result>(_ body: (inout State) -> Result) -> Result {
        state.withLock { body(&$0) }
    }
}
