import Store
import TestSupport
import Testing

/// A cache that keeps texts.
typealias TextCache = ResourceCache<String>

func textCache(
    _ prefix: StoreKey, of store: any Store, _ change: (inout TextCache.Settings) -> Void = { _ in }
) async throws -> TextCache {
    var settings = TextCache.Settings()
    change(&settings)
    let cache = TextCache(prefix: prefix, of: store, settings: settings) { ($0.text, $0.value.count) }
    try await cache.start()
    return cache
}

extension CachedPage<String> {
    var words: [String] { objects.map { "\($0.key)=\($0.object)" } }
}

extension CachedChange<String> {
    /// `3 a x->y`, with `-` for nothing.
    var words: String { "\(revision) \(key) \(old?.object ?? "-")->\(new?.object ?? "-")" }
}

@Suite struct CacheTests {
    @Test func `a cache shows every acknowledged write at once`() async throws {
        try await withStore { store in
            try await store.put("/pods/a", "1")
            try await store.put("/nodes/a", "1")
            let cache = try await textCache("/pods/", of: store)
            #expect(try cache.list().words == ["/pods/a=1"])
            for number in 2...50 {
                let revision = try await store.put("/pods/a", "\(number)")
                #expect(try cache.get("/pods/a")?.object == "\(number)")
                #expect(cache.revision == revision)
            }
            try await store.put("/nodes/b", "1")
            #expect(cache.revision == store.published, "also after writes that are not its own")
            try await store.delete("/pods/a")
            #expect(try cache.get("/pods/a") == nil && cache.count == 0)
        }
    }

    @Test(arguments: [1, 2, 3])
    func `lists are what the store says, now and in the remembered past, whole and in pages`(seed: UInt64) async throws
    {
        var random = Seeded(seed)
        try await withStore { store in
            func write(_ count: Int) async throws {
                for _ in 0..<count {
                    // More keys than a chunk holds, so that chunks are divided and emptied.
                    let operations = (0..<40).map { _ -> Transaction.Operation in
                        let key = StoreKey("/x/\(Int.random(in: 0..<3000, using: &random))")
                        return Bool.random(using: &random) ? .put(key, [UInt8(random.next() % 256)]) : .delete(key)
                    }
                    let unique = Dictionary(operations.map { ($0.key, $0) }) { $1 }
                    _ = try await store.commit(Transaction(Array(unique.values)))
                }
            }
            try await write(100)
            let cache = ResourceCache<[UInt8]>(prefix: "/x/", of: store) { ($0.value, $0.value.count) }
            try await cache.start()
            try await write(200)
            let ranges: [KeyRange] = [
                .prefix("/x/"), .prefix("/x/1"), KeyRange(from: "/x/25", to: "/x/7"), .key("/x/9"), .key("/y"),
            ]
            for back in [Int64(0), 1, 7, 50, 120] {
                let at = Revision(store.published.number - back)
                for range in ranges {
                    let expected = try await store.range(range, at: at, limit: nil).entries
                    var rest: KeyRange? = range
                    var left = expected[...]
                    while let part = rest {
                        let page = try cache.list(part, at: at, limit: 100)
                        let these = left.prefix(page.objects.count)
                        #expect(page.objects.map(\.key) == these.map(\.key))
                        #expect(page.objects.map(\.object) == these.map(\.value))
                        #expect(page.objects.map(\.revision) == these.map(\.revision))
                        left = left.dropFirst(page.objects.count)
                        #expect(page.remaining == left.count && page.revision == at)
                        #expect(page.continuation == left.first?.key)
                        rest = page.continuation.map { part.from($0) }
                    }
                    #expect(left.isEmpty)
                }
            }
        }
    }

    @Test func `a list is of one moment, whatever changes while it is read`() async throws {
        try await withStore { store in
            for number in 0..<1000 { try await store.put(StoreKey("/x/\(number)"), "old") }
            let cache = try await textCache("/x/", of: store)
            let list = try cache.list()
            for number in 0..<1000 { try await store.put(StoreKey("/x/\(number)"), "new") }
            #expect(list.objects.allSatisfy { $0.object == "old" })
            #expect(try cache.list(at: list.revision).words == list.words)
            #expect(try cache.list().objects.allSatisfy { $0.object == "new" })
        }
    }

    @Test func `a watch has old and new, from any remembered revision, also from before the cache began`() async throws
    {
        try await withStore { store in
            try await store.put("/x/a", "1")
            try await store.put("/x/a", "2")
            let cache = try await textCache("/x/", of: store)
            let early = try cache.watch(after: 0)
            let late = try cache.watch(.key("/x/b"), after: store.published)
            try await store.put("/x/b", "1")
            try await store.delete("/x/a")
            #expect(try await early.next(limit: 3)?.map(\.words) == ["1 /x/a -->1", "2 /x/a 1->2", "3 /x/b -->1"])
            #expect(early.revision == 3)
            #expect(try await early.next()?.map(\.words) == ["4 /x/a 2->-"])
            #expect(try await late.next()?.map(\.words) == ["3 /x/b -->1"])
            #expect(late.revision == 4, "a bookmark may say so: what came after was not in its range")
            try await store.put("/nodes/a", "")
            #expect(late.revision == 5 && early.revision == 5)
        }
    }

    @Test func `an object is decoded once for all who watch, list and get it`() async throws {
        try await withStore { store in
            let counter = Counter()
            let cache = ResourceCache<String>(prefix: "/x/", of: store) { entry in
                counter.add(1)
                return (entry.text, entry.value.count)
            }
            try await cache.start()
            let watches = try (0..<20).map { _ in try cache.watch(after: 0) }
            try await store.put("/x/a", "1")
            let object = try #require(try cache.get("/x/a"))
            for watch in watches { #expect(try await watch.next()?.first?.new === object) }
            #expect(try cache.list().objects.first === object)
            #expect(counter.value == 1)
        }
    }

    @Test func `a watcher that does not read is cut off, and the cache remembers no more than its bounds`() async throws
    {
        try await withStore { store in
            let cache = try await textCache("/x/", of: store) {
                $0.changes = 64
                $0.changeBytes = 10_000
            }
            let slow = try cache.watch(after: 0)
            let patient = try cache.watch(.key("/x/rare"), after: 0)
            let waiting = Task { try await patient.next()?.map(\.words) }
            for number in 0..<100 { try await store.put("/x/a", "\(number)") }
            await #expect(throws: StoreError.tooSlow) { try await slow.next() }
            #expect(throws: StoreError.compacted(requested: 0, oldest: 36)) { try cache.watch(after: 0) }
            #expect(throws: StoreError.compacted(requested: 0, oldest: 36)) { try cache.list(at: 0) }
            // Few, but large.
            for _ in 0..<5 { try await store.put("/x/a", String(repeating: "x", count: 4000)) }
            #expect(throws: StoreError.compacted(requested: 102, oldest: 103)) { try cache.watch(after: 102) }
            _ = try cache.watch(after: 103)
            // One that has read all there was for it is never cut off, however much passes by.
            try await store.put("/x/rare", "1")
            #expect(try await waiting.value == ["106 /x/rare -->1"])
        }
    }

    @Test func `a watcher may be closer to the end than the cache remembers`() async throws {
        try await withStore { store in
            let cache = try await textCache("/x/", of: store)
            let watch = try cache.watch(after: 0, slack: 10)
            for number in 0..<10 { try await store.put("/x/a", "\(number)") }
            #expect(try await watch.next()?.count == 10)
            for number in 0..<11 { try await store.put("/x/a", "\(number)") }
            await #expect(throws: StoreError.tooSlow) { try await watch.next() }
        }
    }

    @Test func `a cancelled wait ends, and the watch can be read again afterwards`() async throws {
        try await withStore { store in
            let cache = try await textCache("/x/", of: store) { $0.changes = 8 }
            let watch = try cache.watch(.key("/x/b"), after: 0)
            for round in 0..<20 {
                let wait = Task { try await watch.next() }
                for number in 0..<10 { try await store.put("/x/a", "\(round) \(number)") }
                wait.cancel()
                #expect(try await wait.value == nil)
                #expect(watch.revision == store.published)
            }
            try await store.put("/x/b", "1")
            #expect(try await watch.next()?.map(\.words) == ["201 /x/b -->1"])
        }
    }

    @Test func `watchers who begin and end at any moment miss nothing while writers race`() async throws {
        try await withStore { store in
            let cache = try await textCache("/x/", of: store)
            try await withThrowingTaskGroup(of: [Int64].self) { group in
                for _ in 0..<30 {
                    group.addTask {
                        let watch = try cache.watch(after: 0)
                        var seen: [Int64] = []
                        while seen.count < 600, let changes = try await watch.next(limit: 7) {
                            seen += changes.map(\.revision.number)
                        }
                        return seen
                    }
                }
                for writer in 0..<6 {
                    group.addTask {
                        for number in 0..<100 { try await store.put(StoreKey("/x/\(writer)"), "\(number)") }
                        return Array(1...600)
                    }
                }
                for try await seen in group { #expect(seen == Array(1...600)) }
            }
        }
    }

    @Test func `the end of the store or the cache ends its watchers`() async throws {
        try await withTemporaryDirectory { directory in
            let store = try await SQLiteStore(path: "\(directory)/objects.sqlite")
            let stopped = try await textCache("/x/", of: store)
            let cache = try await textCache("/x/", of: store)
            let waits = try [stopped, cache].map { cache in
                let watch = try cache.watch(after: 0)
                return Task { try await watch.next() }
            }
            try await store.put("/y", "")
            stopped.stop()
            await #expect(throws: StoreError.closed) { try await waits[0].value }
            await store.close()
            await #expect(throws: StoreError.closed) { try await waits[1].value }
            #expect(throws: StoreError.closed) { try cache.list() }
        }
    }

    @Test func `a cache of a store whose past is compacted begins at what there is`() async throws {
        try await withStore { store in
            for number in 1...9 { try await store.put("/x/a", "\(number)") }
            try await store.compact(through: 7)
            let cache = try await textCache("/x/", of: store)
            #expect(try cache.list().words == ["/x/a=9"])
            #expect(try cache.list(at: 7).words == ["/x/a=7"])
            #expect(try await cache.watch(after: 7).next()?.map(\.words) == ["8 /x/a 7->8", "9 /x/a 8->9"])
            #expect(throws: StoreError.compacted(requested: 6, oldest: 7)) { try cache.watch(after: 6) }
            #expect(throws: StoreError.future(requested: 10, newest: 9)) { try cache.watch(after: 10) }
        }
    }
}
