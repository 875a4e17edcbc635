// Store: what the control plane remembers. A map from keys to bytes in which every change has a revision, so that a
// reader can ask for the state at a revision and a watcher for everything after one. This file: the seam. `SQLiteStore`
// stands behind it; etcd can, since nothing here promises more than etcd keeps (revision = mod_revision, transactions
// that compare it, ranges at a revision, watches, compaction). docs/store.md tells how it works and why.

/// A store of keys and values with one counter for all changes.
///
/// - Every transaction that changes something gets the next revision. All its changes have that revision.
/// - What ``commit(_:)`` acknowledged survives the process and the machine. No revision is ever given twice.
/// - A read shows every transaction that was acknowledged before the read began.
/// - All watches see all changes in one order, each change once, without a gap.
public protocol Store: Sendable {
    /// The newest revision: every transaction acknowledged so far has this one or a lower one.
    func revision() async throws(StoreError) -> Revision

    /// Does all of a transaction or nothing. Returns when it is durable and every watch of this store was told.
    ///
    /// Cancelling the caller's task does not take a transaction back.
    /// - Throws: `invalid` for what no store would take, `full` (nothing was changed; works again once there is space),
    ///   `failed` (whether it was done is unknown), `closed`.
    func commit(_ transaction: Transaction) async throws(StoreError) -> CommitOutcome

    /// What `key` has now.
    func get(_ key: StoreKey) async throws(StoreError) -> Reading<Entry?>

    /// The entries of `range` in the order of their keys, at most `limit` (at least 1; nil for all) of them, as they are
    /// now or were at `revision`.
    ///
    /// A page that ends early tells where the next begins (``RangePage/continuation``); asked with this page's revision,
    /// the pages together are one consistent reading, as long as that revision is not compacted.
    /// - Throws: `compacted`, `future`, `failed`, `closed`, `cancelled`.
    func range(_ range: KeyRange, at revision: Revision?, limit: Int?) async throws(StoreError) -> RangePage

    /// Tells `sink` every change in `range` after `revision`, first those of the past, then the others as they happen,
    /// until the registration ends. See ``WatchEvent`` for what is promised.
    /// - Throws: `compacted` when changes after `revision` are no longer all known, `future`, `failed`, `closed`.
    func watch(
        _ range: KeyRange, after revision: Revision, _ sink: @escaping WatchSink
    ) async throws(StoreError) -> WatchRegistration

    /// Forgets what was before `revision`: reads and watches from before it fail with `compacted` from now on. The space
    /// is freed afterwards, little by little. A revision that was compacted already changes nothing.
    /// - Throws: `future`, `full`, `failed`, `closed`.
    func compact(through revision: Revision) async throws(StoreError)
}

extension Store {
    /// The entries of `range` as they are now.
    public func range(_ range: KeyRange, limit: Int? = nil) async throws(StoreError) -> RangePage {
        try await self.range(range, at: nil, limit: limit)
    }
}

/// A result and the revision of the state it was read from.
public struct Reading<Value: Sendable>: Sendable {
    public let value: Value
    /// The newest revision when it was read.
    public let revision: Revision

    public init(_ value: Value, at revision: Revision) {
        self.value = value
        self.revision = revision
    }
}

/// A part of a range.
public struct RangePage: Sendable {
    /// In the order of their keys.
    public let entries: [Entry]
    /// The revision whose state this is. The next page is asked for with it.
    public let revision: Revision
    /// The first key of the next page; nil when this is the last one.
    public let continuation: StoreKey?

    public init(entries: [Entry], revision: Revision, continuation: StoreKey?) {
        self.entries = entries
        self.revision = revision
        self.continuation = continuation
    }
}
