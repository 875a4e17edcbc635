import Synchronization

extension ResourceCache {
    /// The changes in `range` after `revision`, as they come.
    ///
    /// - Parameter slack: A watcher that is more than this many changes of the cache behind is cut off, even if they are
    ///   remembered.
    /// - Throws: `compacted` when the cache does not remember that far back: the caller lists anew. `future`, `closed`.
    public func watch(
        _ range: KeyRange? = nil, after revision: Revision, slack: Int = .max
    ) throws(StoreError) -> CacheWatch<Object> {
        let number = try read { state throws(StoreError) in
            if revision > state.revision { throw .future(requested: revision, newest: state.revision) }
            guard let number = state.ring.number(after: revision) else {
                throw .compacted(requested: revision, oldest: state.ring.floor)
            }
            return number
        }
        return CacheWatch(self, range ?? self.range, at: number, revision, slack: slack)
    }
}

/// A watcher's position in a cache's changes. One task at a time reads it.
public final class CacheWatch<Object: Sendable>: Sendable {
    private let cache: ResourceCache<Object>
    private let range: KeyRange
    private let slack: UInt64
    private let position: Mutex<Position>

    private struct Position {
        /// The number of the next change to look at.
        var number: UInt64
        /// Everything up to here was given.
        var revision: Revision
        /// The number of its waiter; nothing came into its range while the cache has that.
        var waiter: UInt64?
    }

    init(_ cache: ResourceCache<Object>, _ range: KeyRange, at number: UInt64, _ revision: Revision, slack: Int) {
        (self.cache, self.range, self.slack) = (cache, range, UInt64(max(0, slack)))
        position = Mutex(Position(number: number, revision: revision))
    }

    /// Every change in the range up to this revision was given: what a bookmark may say.
    public var revision: Revision {
        let found = position.withLock { $0 }
        return cache.withState { state in
            if let waiter = found.waiter, state.waiters[waiter] != nil { return state.revision }
            var number = found.number
            while number < state.ring.next {
                guard let change = state.ring[number], !range.contains(change.key) else { return found.revision }
                number += 1
            }
            return max(found.revision, state.revision)
        }
    }

    /// The next changes, at least one, at most `limit` or, so as not to divide a transaction, a few more. Waits until
    /// there is one; nil when the task is cancelled.
    /// - Throws: `tooSlow` when the changes to be read are forgotten or more than the slack, `closed`, or why the cache
    ///   ended.
    public func next(limit: Int = 256) async throws(StoreError) -> [CachedChange<Object>]? {
        while !Task.isCancelled {
            let waiter = Waiter<Object>(range)
            switch look(limit: limit, waiter) {
            case .changes(let changes): return changes
            case .ended(let error): throw error
            case .nothing(let id):
                await waiter.wait { [cache] in
                    cache.withState { state in
                        if state.waiters.removeValue(forKey: id) != nil { waiter.wakesAt(state.ring.next) }
                    }
                }
                if let number = waiter.number { position.withLock { $0.number = number } }
            }
        }
        return nil
    }

    private enum Look {
        case changes([CachedChange<Object>])
        case ended(StoreError)
        /// The waiter was left with the cache, under this number.
        case nothing(UInt64)
    }

    private func look(limit: Int, _ waiter: Waiter<Object>) -> Look {
        let begin = position.withLock { $0 }
        return cache.withState { state in
            var number = begin.number
            if number < state.ring.first || state.ring.next - number > slack { return .ended(.tooSlow) }
            var found: [CachedChange<Object>] = []
            while let change = state.ring[number] {
                if found.count >= limit, change.revision != found.last?.revision { break }
                if range.contains(change.key) { found.append(change) }
                number += 1
            }
            let isAtEnd = number == state.ring.next
            let revision = isAtEnd ? state.revision : found.last?.revision ?? begin.revision
            position.withLock { $0 = Position(number: number, revision: revision) }
            if !found.isEmpty { return .changes(found) }
            if let ended = state.ended { return .ended(ended) }
            let id = state.nextWaiter
            state.nextWaiter += 1
            state.waiters[id] = waiter
            position.withLock { $0.waiter = id }
            return .nothing(id)
        }
    }
}

/// A watcher that has read everything and waits for the next change in its range.
final class Waiter<Object: Sendable>: Sendable {
    let range: KeyRange
    private let state = Mutex(State())

    private struct State {
        var isDone = false
        var number: UInt64?
        var continuation: CheckedContinuation<Void, Never>?
    }

    init(_ range: KeyRange) { self.range = range }

    /// The change that woke it, or the end of the changes when something else did: none before it is in its range.
    var number: UInt64? { state.withLock { $0.number } }

    func wakesAt(_ number: UInt64) { state.withLock { $0.number = number } }

    func resume() {
        let continuation = state.withLock { state in
            state.isDone = true
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume()
    }

    /// Returns when it is resumed, or when the task is cancelled, after `onCancel`.
    func wait(onCancel: @escaping @Sendable () -> Void) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    if !state.isDone { state.continuation = continuation }
                    return state.isDone
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            onCancel()
            resume()
        }
    }
}
