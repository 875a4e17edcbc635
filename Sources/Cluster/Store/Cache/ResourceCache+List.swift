extension ResourceCache {
    /// At most `limit` (at least 1; nil for all) objects of `range` in the order of their keys, as they are now or were
    /// at `revision`.
    /// - Throws: `compacted` when the cache does not remember that far back (``Store/range(_:at:limit:)`` may), `future`,
    ///   `closed`, or why the cache ended.
    public func list(
        _ range: KeyRange? = nil, at revision: Revision? = nil, limit: Int? = nil
    ) throws(StoreError) -> CachedPage<Object> {
        let range = range ?? self.range
        if let limit, limit < 1 { throw .invalid("a limit of \(limit)") }
        let (objects, before, at) = try read { state throws(StoreError) in
            let at = revision ?? state.revision
            return (state.objects, try replaced(since: at, in: range, &state), at)
        }
        if before.isEmpty { return page(of: objects, range, at, limit) }
        var past = objects
        for (key, old) in before {
            if let old { _ = past.put(old) } else { _ = past.remove(key) }
        }
        return page(of: past, range, at, limit)
    }

    /// What the keys of `range` that changed after `revision` had then.
    private func replaced(
        since revision: Revision, in range: KeyRange, _ state: inout State
    ) throws(StoreError) -> [StoreKey: Cached<Object>?] {
        if revision > state.revision { throw .future(requested: revision, newest: state.revision) }
        guard let first = state.ring.number(after: revision) else {
            throw .compacted(requested: revision, oldest: state.ring.floor)
        }
        var before: [StoreKey: Cached<Object>?] = [:]
        for number in first..<state.ring.next {
            guard let change = state.ring[number], range.contains(change.key) else { continue }
            // The first change since then tells.
            if before[change.key] == nil { before.updateValue(change.old, forKey: change.key) }
        }
        return before
    }

    private func page(
        of objects: SortedObjects<Object>, _ range: KeyRange, _ revision: Revision, _ limit: Int?
    ) -> CachedPage<Object> {
        let total = objects.count(in: range)
        let size = min(total, limit ?? total)
        // One more, if there is one, is where the next page begins.
        var found = objects.objects(from: range.start, limit: min(total, size + 1))
        let continuation = found.count > size ? found.removeLast().key : nil
        return CachedPage(
            objects: found, revision: revision, continuation: continuation, remaining: total - found.count)
    }
}
