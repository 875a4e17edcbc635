/// An entry of the store as a cache keeps it: made once for each change, shared by the cache, its history, every list
/// and every watcher.
public final class Cached<Object: Sendable>: Sendable {
    public let key: StoreKey
    public let revision: Revision
    public let createRevision: Revision
    /// What the cache's `decode` made of the value: for the API server the object's bytes with its resourceVersion in
    /// place, its labels and the fields that selectors ask for.
    public let object: Object
    /// The bytes that it counts for in the cache's limits.
    let bytes: Int

    init(_ entry: Entry, _ object: Object, bytes: Int) {
        (key, revision, createRevision) = (entry.key, entry.revision, entry.createRevision)
        (self.object, self.bytes) = (object, bytes)
    }
}

/// A change as watchers of a cache see it, with what was there before: a selector needs both to tell an object that
/// comes into its view from one that leaves it.
public struct CachedChange<Object: Sendable>: Sendable {
    public let key: StoreKey
    public let revision: Revision
    /// What is there from `revision` on; nil: it was deleted.
    public let new: Cached<Object>?
    /// What was there before; nil: it was created.
    public let old: Cached<Object>?
}

/// A part of a cache's content.
public struct CachedPage<Object: Sendable>: Sendable {
    /// In the order of their keys.
    public let objects: [Cached<Object>]
    /// The revision whose state this is.
    public let revision: Revision
    /// The first key of the next page; nil when this is the last one.
    public let continuation: StoreKey?
    /// How many objects the range has after this page.
    public let remaining: Int
}
