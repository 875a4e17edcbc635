import Store
import TestSupport
import Testing

@Suite struct WatchTests {
    @Test func `a watch is told the past and then the present, before the writer is acknowledged`() async throws {
        try await withStore { store in
            try await store.put("/a/1", "x")
            try await store.put("/b/1", "x")
            try await store.put("/a/1", "y")
            let told = Told()
            let watch = try await store.watch(.prefix("/a/"), after: 1, told.sink)
            #expect(told.words == ["3 /a/1=y"])
            try await store.delete("/a/1")
            #expect(told.words == ["3 /a/1=y", "4 /a/1"])
            try await store.put("/b/1", "z")
            #expect(told.words.count == 2 && told.through == 5, "and how far all is told")
            watch.cancel()
            try await store.put("/a/2", "z")
            #expect(told.words.count == 2)
        }
    }

    @Test func `a transaction is told at once`() async throws {
        try await withStore { store in
            let told = Told()
            let watch = try await store.watch(.all, after: 0, told.sink)
            let operations = ["c", "a", "b"].map { Transaction.Operation.put(StoreKey($0), []) }
            _ = try await store.commit(Transaction(operations))
            #expect(told.words == ["1 c=", "1 a=", "1 b="], "in the order of its operations")
            withExtendedLifetime(watch) {}
        }
    }

    @Test func `watches that begin at any moment see each change once and in one order, while writers race`()
        async throws
    {
        try await withStore { store in
            let watches = try await withThrowingTaskGroup(of: (Told, WatchRegistration, Revision)?.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for number in 0..<100 { try await store.put(StoreKey("\(writer)/\(number % 7)"), "\(number)") }
                        return nil
                    }
                }
                for number in 0..<20 {
                    group.addTask {
                        // Each begins at another moment of the race.
                        for _ in 0..<number { _ = try await store.get("0/0") }
                        let told = Told()
                        let after = Revision(store.published.number / 2)
                        return (told, try await store.watch(.all, after: after, told.sink), after)
                    }
                }
                var watches: [(Told, WatchRegistration, Revision)] = []
                for try await watch in group { if let watch { watches.append(watch) } }
                return watches
            }
            let all = Told()
            _ = try await store.watch(.all, after: 0, all.sink)
            #expect(all.changes.map(\.revision.number) == Array(1...800))
            for (told, _, after) in watches {
                #expect(told.changes == Array(all.changes.dropFirst(Int(after.number))))
            }
        }
    }

    @Test func `the end of the store ends its watches, and every later request is told so`() async throws {
        try await withTemporaryDirectory { directory in
            let store = try await SQLiteStore(path: "\(directory)/objects.sqlite")
            let told = Told()
            let watch = try await store.watch(.all, after: 0, told.sink)
            await store.close()
            #expect(told.ended == .closed)
            await #expect(throws: StoreError.closed) { try await store.put("a", "") }
            await #expect(throws: StoreError.closed) { try await store.range(.all) }
            await #expect(throws: StoreError.closed) { try await store.watch(.all, after: 0, told.sink) }
            await #expect(throws: StoreError.closed) { try await store.compact(through: 0) }
            watch.cancel()
            await store.close()
        }
    }

    @Test func `what has expired is deleted as anybody would, and what was put again is not`() async throws {
        try await withStore { store in
            for number in 0..<300 { try await store.put(StoreKey("event \(number)"), "", expires: 100) }
            try await store.put("kept", "", expires: 100)
            try await store.put("kept", "", expires: 200)
            try await store.put("for ever", "")
            try await store.put("for ever too", "", expires: 50)
            try await store.put("for ever too", "")
            let told = Told()
            let watch = try await store.watch(.all, after: store.published, told.sink)
            #expect(try await store.expire(at: 99) == 0)
            #expect(try await store.expire(at: 100) == 300)
            #expect(told.changes.count == 300 && told.changes.allSatisfy { $0.entry == nil })
            #expect(try await store.texts() == ["for ever=", "for ever too=", "kept="])
            watch.cancel()
        }
    }

    @Test func `retention compacts through what was the newest when its time was over`() {
        var retention = Retention(seconds: 300)
        #expect(retention.note(10, at: 0) == nil)
        #expect(retention.note(20, at: 100) == nil)
        #expect(retention.note(20, at: 200) == nil)
        #expect(retention.note(30, at: 299) == nil)
        #expect(retention.note(30, at: 300) == 10)
        #expect(retention.note(30, at: 450) == 20)
        #expect(retention.note(30, at: 700) == 30)
    }
}
