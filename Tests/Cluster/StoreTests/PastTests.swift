import Store
import TestSupport
import Testing

/// What a store must say, the simple way: every state there ever was.
private struct Model {
    var states: [[StoreKey: Entry]] = [[:]]
    var changes: [Change] = []
    var newest: Int64 { Int64(states.count - 1) }

    mutating func apply(_ operations: [Transaction.Operation]) {
        guard var state = states.last else { return }
        let revision = Revision(newest + 1)
        var isChanged = false
        for operation in operations {
            switch operation {
            case .put(let key, let value, _):
                let created = state[key]?.createRevision ?? revision
                let entry = Entry(key: key, value: value, revision: revision, createRevision: created)
                state[key] = entry
                changes.append(Change(entry))
            case .delete(let key):
                guard state.removeValue(forKey: key) != nil else { continue }
                changes.append(Change(deleted: key, at: revision))
            }
            isChanged = true
        }
        if isChanged { states.append(state) }
    }

    func entries(_ range: KeyRange, at revision: Int64) -> [Entry] {
        states[Int(revision)].values.filter { range.contains($0.key) }.sorted { $0.key < $1.key }
    }
}

private func someOperations(_ random: inout Seeded) -> [Transaction.Operation] {
    var keys: Set<StoreKey> = []
    return (0..<Int.random(in: 1...3, using: &random)).compactMap { _ in
        let key = StoreKey("/\("ab".randomElement(using: &random) ?? "a")/\(Int.random(in: 0..<12, using: &random))")
        guard keys.insert(key).inserted else { return nil }
        if Int.random(in: 0..<3, using: &random) == 0 { return .delete(key) }
        return .put(key, Array("\(random.next() % 1000)".utf8))
    }
}

private let ranges: [KeyRange] = [
    .all, .prefix("/a/"), .key("/b/3"), KeyRange(from: "/a/11", to: "/b/4"), KeyRange(from: "/b/5", to: nil),
    KeyRange(from: "/b/5", to: "/b/5"),
]

@Suite struct PastTests {
    @Test(arguments: [1, 2, 3, 4])
    func `any state that is not compacted can be read, in pages too, and watched from`(seed: Int) async throws {
        var random = Seeded(UInt64(seed))
        var model = Model()
        try await withStore { store in
            var oldest: Int64 = 0
            for _ in 0..<12 {
                for _ in 0..<30 {
                    let operations = someOperations(&random)
                    model.apply(operations)
                    let outcome = try await store.commit(Transaction(operations))
                    #expect(outcome == .committed(Revision(model.newest)))
                }
                if Bool.random(using: &random) {
                    oldest = Int64.random(in: oldest...model.newest, using: &random)
                    try await store.compact(through: Revision(oldest))
                }
                for _ in 0..<6 {
                    let revision = Int64.random(in: oldest...model.newest, using: &random)
                    try await compare(store, model, at: revision, limit: Int.random(in: 1...9, using: &random))
                }
                try await compare(store, model, at: oldest, limit: 3)
            }
            #expect(try StoreFile(store.path).check() == [])
        }
    }

    private func compare(_ store: SQLiteStore, _ model: Model, at revision: Int64, limit: Int) async throws {
        for range in ranges {
            let expected = model.entries(range, at: revision)
            let at = Revision(revision)
            #expect(try await store.range(range, at: at, limit: nil).entries == expected)
            var pages: [Entry] = []
            var rest: KeyRange? = range
            while let part = rest {
                let page = try await store.range(part, at: at, limit: limit)
                pages += page.entries
                rest = page.continuation.map { part.from($0) }
                #expect(page.revision == at && (rest == nil || page.entries.count == limit))
            }
            #expect(pages == expected)
            let told = Told()
            let watch = try await store.watch(range, after: at, told.sink)
            #expect(told.changes == model.changes.filter { $0.revision > at && range.contains($0.key) })
            #expect(told.through == Revision(model.newest))
            watch.cancel()
        }
        #expect(try await store.range(.all).entries == model.entries(.all, at: model.newest))
    }

    @Test func `what is compacted, and what is not yet, is told so`() async throws {
        try await withStore { store in
            for number in 1...10 { try await store.put("a", "\(number)") }
            try await store.compact(through: 6)
            let gone = StoreError.compacted(requested: 5, oldest: 6)
            let future = StoreError.future(requested: 11, newest: 10)
            await #expect(throws: gone) { try await store.range(.all, at: 5, limit: nil) }
            await #expect(throws: gone) { try await store.watch(.all, after: 5, Told().sink) }
            await #expect(throws: future) { try await store.range(.all, at: 11, limit: nil) }
            await #expect(throws: future) { try await store.watch(.all, after: 11, Told().sink) }
            await #expect(throws: future) { try await store.compact(through: 11) }
            #expect(try await store.texts(at: 6) == ["a=6"])
            try await store.compact(through: 3)
            #expect(try await store.texts(at: 6) == ["a=6"])
        }
    }

    @Test func `compaction frees what nobody can ask for, also while writers never pause`() async throws {
        try await withStore { store in
            let value = String(repeating: "x", count: 1000)
            // Each round compacts all before it; its successor's writes carry the cleaning along.
            for _ in 0..<30 {
                for number in 0..<20 { try await store.put(StoreKey("key \(number)"), value) }
                try await store.compact(through: store.published)
            }
            for number in 0..<20 { try await store.put(StoreKey("key \(number)"), value) }
            let found = try StoreFile(store.path).statistics()
            #expect(found.keys == 20)
            #expect(found.changes <= 60, "of 620")
            #expect(try StoreFile(store.path).check() == [])
        }
    }

    @Test func `a large compaction goes on by itself, and gives space back`() async throws {
        var settings = SQLiteStore.Settings()
        settings.freeBytes = 1 << 20
        try await withStore(settings) { store in
            for _ in 0..<40 {
                _ = try await store.commit(
                    Transaction((0..<50).map { .put(StoreKey("\($0)"), [UInt8](repeating: 1, count: 4000)) }))
            }
            let before = try StoreFile(store.path).statistics()
            #expect(before.changes == 2000)
            try await store.compact(through: store.published)
            try await eventually("the log has only present values, and the file is small") {
                let now = try StoreFile(store.path).statistics()
                return now.changes == 50 && now.bytes - now.freeBytes < 1 << 20 && now.bytes < 4 << 20
            }
            #expect(try StoreFile(store.path).check() == [])
        }
    }

    @Test func `the write-ahead log does not grow beyond its bounds, also beside readers`() async throws {
        var settings = SQLiteStore.Settings()
        settings.journalBytes = 256 << 10
        try await withStore(settings) { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        for number in 0..<500 {
                            _ = try await store.put(
                                StoreKey("\(writer) \(number % 50)"), String(repeating: "x", count: 2000))
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<100 { _ = try await store.range(.all) }
                }
                try await group.waitForAll()
            }
            let statistics = try StoreFile(store.path).statistics()
            #expect(statistics.journalBytes < 3 << 20, "of 12 MB that were written")
        }
    }
}
