import Store
import TestSupport
import Testing

@Suite struct TransactionTests {
    @Test func `every transaction has the next revision, and its keys have it too`() async throws {
        try await withStore { store in
            #expect(try await store.revision() == 0)
            #expect(try await store.put("a", "1") == 1)
            let outcome = try await store.commit(Transaction([.put("b", [50]), .put("c", [51])]))
            #expect(outcome == .committed(2))
            #expect(try await store.put("a", "2") == 3)
            let entries = try await store.range(.all).entries
            #expect(entries.map(\.revision) == [3, 2, 2])
            #expect(entries.map(\.createRevision) == [1, 2, 2])
            #expect(try await store.revision() == 3)
        }
    }

    @Test func `a condition that does not hold refuses all, and tells what is there`() async throws {
        try await withStore { store in
            try await store.put("a", "1")
            let refused = try await store.commit(
                Transaction(if: [.missing("b"), .revision("a", 7)], [.put("b", [1]), .delete("a")]))
            let entry = Entry(key: "a", value: [49], revision: 1, createRevision: 1)
            #expect(refused == .refused([nil, entry]))
            #expect(try await store.texts() == ["a=1"])
            #expect(try await store.revision() == 1)
            #expect(try await store.commit(.create("a", [])) == .refused([entry]))
            #expect(try await store.commit(Transaction(if: [.exists("b")], [])) == .refused([nil]))
            #expect(try await store.commit(.update("a", [50], at: 1)) == .committed(2))
            #expect(try await store.commit(.delete("a", at: 2)) == .committed(3))
        }
    }

    @Test func `a key made again has a new creation revision`() async throws {
        try await withStore { store in
            try await store.put("a", "1")
            try await store.delete("a")
            try await store.put("a", "2")
            #expect(try await store.get("a").value?.createRevision == 3)
        }
    }

    @Test func `what changes nothing takes no revision`() async throws {
        try await withStore { store in
            try await store.put("a", "1")
            #expect(try await store.delete("missing") == 1)
            #expect(try await store.commit(Transaction([])) == .committed(1))
            #expect(try await store.put("b", "1") == 2)
        }
    }

    @Test func `what no store takes is refused before anything is done`() async throws {
        try await withStore { store in
            let tooMany = (0...Transaction.maximumOperations).map { Transaction.Operation.delete(StoreKey("\($0)")) }
            for transaction in [
                Transaction([.put("", [])]), Transaction([.put(StoreKey([UInt8](repeating: 97, count: 1025)), [])]),
                Transaction([.put("a", []), .delete("a")]), Transaction(tooMany),
                Transaction([.put("a", [UInt8](repeating: 0, count: Transaction.maximumBytes + 1))]),
            ] {
                do throws(StoreError) {
                    _ = try await store.commit(transaction)
                    Issue.record("was done")
                } catch {
                    guard case .invalid = error else { throw error }
                }
            }
            #expect(try await store.revision() == 0)
        }
    }

    @Test func `keys and values may be any bytes, and the largest allowed`() async throws {
        try await withStore { store in
            let keys: [[UInt8]] = [
                [0], [0, 0], [1, 0xFF], [0xFF], [0xFF, 0xFF], [UInt8](repeating: 98, count: 1024),
            ]
            for (number, key) in keys.enumerated() {
                let value = [UInt8](repeating: UInt8(number), count: number * 1_000_000)
                _ = try await store.commit(.create(StoreKey(key), value))
            }
            let found = try await store.range(.all).entries
            #expect(found.map(\.key.bytes) == keys.sorted { $0.lexicographicallyPrecedes($1) })
            #expect(found.map(\.value.count).reduce(0, +) == 15_000_000)
            #expect(try await store.range(.prefix(StoreKey([0xFF]))).entries.count == 2)
            #expect(try await store.range(.prefix(StoreKey([1, 0xFF]))).entries.count == 1)
        }
    }

    @Test func `of many writers that race for one revision, one wins each time and no write is lost`() async throws {
        try await withStore { store in
            try await store.put("counter", "0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        for _ in 0..<20 { try await increment(store) }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.texts() == ["counter=320"])
            #expect(try await store.revision() == 321)
        }
    }

    @Test func `writers that wait together share a commit`() async throws {
        try await withStore { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<64 {
                    group.addTask {
                        for number in 0..<20 { try await store.put(StoreKey("\(writer)"), "\(number)") }
                    }
                }
                try await group.waitForAll()
            }
            #expect(store.published == 1280)
            #expect(store.commits < 640)
            #expect(await store.problems() == [])
        }
    }

    @Test func `a store that was opened again goes on with the next revision`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/deep/down/objects.sqlite"
            for round in 1...3 {
                let store = try await SQLiteStore(path: path)
                #expect(try await store.put("a", "\(round)").number == Int64(2 * round - 1))
                // The newest change being a deletion, and all compacted: the counter still is what it was.
                #expect(try await store.delete("a").number == Int64(2 * round))
                try await store.compact(through: store.published)
                await store.close()
                #expect(try StoreFile(path).check() == [])
            }
        }
    }
}

private func increment(_ store: SQLiteStore) async throws {
    var now = try await store.get("counter").value
    while let entry = now, let number = Int(entry.text) {
        switch try await store.commit(.update("counter", Array("\(number + 1)".utf8), at: entry.revision)) {
        case .committed: return
        case .refused(let found): now = found[0]
        }
    }
}
