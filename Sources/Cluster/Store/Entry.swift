/// A key with its value.
public struct Entry: Sendable, Hashable {
    public let key: StoreKey
    /// The bytes as they were put. Shared, never copied, between the store, its caches and its watches.
    public let value: [UInt8]
    /// Of the transaction that put this value.
    public let revision: Revision
    /// Of the transaction that put the key's first value since it was last absent.
    public let createRevision: Revision

    public init(key: StoreKey, value: [UInt8], revision: Revision, createRevision: Revision) {
        self.key = key
        self.value = value
        self.revision = revision
        self.createRevision = createRevision
    }
}

/// That a key was put or deleted.
public struct Change: Sendable, Hashable {
    public let key: StoreKey
    public let revision: Revision
    /// What is there from `revision` on; nil: nothing, the key was deleted.
    public let entry: Entry?

    /// The change that led to `entry`.
    public init(_ entry: Entry) {
        key = entry.key
        revision = entry.revision
        self.entry = entry
    }

    /// That `key` was deleted.
    public init(deleted key: StoreKey, at revision: Revision) {
        self.key = key
        self.revision = revision
        entry = nil
    }

    /// Whether the key was absent before.
    public var isCreation: Bool { entry.map { $0.createRevision == revision } ?? false }
}
