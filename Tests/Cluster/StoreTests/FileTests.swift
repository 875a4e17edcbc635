import GRDB
import Glibc
import Linux
import Store
import TestSupport
import Testing

@Suite struct FileTests {
    @Test func `a second opener is told who has the store`() async throws {
        try await withStore { store in
            let error = StoreError.inUse(path: store.path, process: getpid())
            await #expect(throws: error) { try await SQLiteStore(path: store.path) }
            #expect("\(error)".contains("in use by another process (pid \(getpid()))"))
            #expect(throws: error) { try StoreFile(store.path).restore(from: store.path, replacing: true) }
        }
    }

    @Test func `a lock of a foreign program is told, and writes work when it is gone`() async throws {
        try await withStore { store in
            try await store.put("a", "1")
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let foreign = try DatabaseQueue(path: store.path, configuration: configuration)
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            do throws(StoreError) {
                _ = try await store.commit(Transaction([.put("a", [50])]))
                Issue.record("was done")
            } catch {
                guard case .busy = error else { throw error }
            }
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            #expect(try await store.put("a", "2") == 2)
            try foreign.close()
        }
    }

    @Test func `objects and events are two stores, kept tidy until the task ends`() async throws {
        try await withTemporaryDirectory { directory in
            let stores = try await StoreDirectory(directory)
            try await stores.objects.put("pod", "1")
            try await stores.events.put("event", "over", expires: 1)
            try await stores.events.put("event 2", "to come", expires: .max)
            #expect(try await stores.objects.revision() == 1)
            let told = Told()
            let watch = try await stores.events.watch(.all, after: 2, told.sink)
            let tidy = Task { await stores.keepTidy() }
            try await eventually("the event has expired") { told.words == ["3 event"] }
            tidy.cancel()
            await tidy.value
            watch.cancel()
            #expect(await stores.problems() == [])
            await #expect(throws: StoreError.self) { try await StoreDirectory(directory) }
            await stores.close()
            let files = StoreDirectory.files(in: directory)
            #expect(try files.objects.statistics().keys == 1 && files.events.statistics().keys == 1)
        }
    }

    @Test func `nobody but its owner can read a store or a backup`() async throws {
        try await withStore { store in
            try await store.put("secret", "x")
            let copy = "\(parentDirectory(of: store.path))/copy"
            _ = try StoreFile(store.path).backup(to: copy)
            for path in [store.path, "\(store.path)-wal", "\(store.path)-shm", copy] {
                var status = stat()
                try check(stat(path, &status), "stat", path)
                #expect(status.st_mode & 0o777 == 0o600, "\(path)")
            }
        }
    }

    @Test func `a file that is no store, or a newer one, is refused and left alone`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/objects.sqlite"
            let text = Array("This is a text that somebody put here. ".utf8) + [UInt8](repeating: 65, count: 5000)
            try writeFileAtomically(path, text)
            do throws(StoreError) {
                _ = try await SQLiteStore(path: path)
                Issue.record("was opened")
            } catch {
                guard case .damaged(let detail) = error else { throw error }
                #expect(detail.contains(path))
            }
            #expect(try readFile(path) == text)
            #expect(throws: StoreError.self) { try StoreFile(path).statistics() }
            #expect(throws: StoreError.self) { try StoreFile("\(directory)/missing").check() }
        }
    }

    @Test func `a backup is the store of one moment, made while others write`() async throws {
        try await withTemporaryDirectory { directory in
            let copy = "\(directory)/copy"
            try await withStore { store in
                for number in 0..<200 { try await store.put(StoreKey("\(number)"), "x") }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for number in 0..<400 { try await store.put(StoreKey("\(number)"), "y") } }
                    group.addTask {
                        let revision = try await blocking { try StoreFile(store.path).backup(to: copy) }
                        #expect(revision >= 200)
                    }
                    try await group.waitForAll()
                }
                #expect(throws: StoreError.invalid("\(copy) exists already")) {
                    try StoreFile(store.path).backup(to: copy)
                }
            }
            #expect(try listDirectory(directory) == ["copy"])
            #expect(try StoreFile(copy).check() == [])
            let newest = try StoreFile(copy).statistics().newest.number
            let opened = try await SQLiteStore(path: copy)
            let entries = try await opened.range(.all).entries
            #expect(entries.filter { $0.text == "y" }.count == Int(newest) - 200)
            await opened.close()
        }
    }

    @Test func `a restored store goes on far above every revision that anybody saw`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/objects.sqlite"
            let store = try await SQLiteStore(path: path)
            try await store.put("a", "1")
            _ = try StoreFile(path).backup(to: "\(directory)/copy")
            for number in 0..<10 { try await store.put("a", "later \(number)") }
            await store.close()

            #expect(throws: StoreError.invalid("\(path) exists already")) {
                try StoreFile(path).restore(from: "\(directory)/copy")
            }
            try StoreFile(path).restore(from: "\(directory)/copy", replacing: true)
            let restored = try await SQLiteStore(path: path)
            let first = Revision(11 + StoreFile.restoreAdvance)
            #expect(try await restored.texts() == ["a=1"])
            #expect(try await restored.revision() == first)
            await #expect(throws: StoreError.compacted(requested: 11, oldest: first)) {
                try await restored.watch(.all, after: 11, Told().sink)
            }
            #expect(try await restored.put("a", "2") == first.next)
            #expect(try await restored.texts(at: first) == ["a=1"])
            await restored.close()
            #expect(try StoreFile(path).check() == [])
            let replaced = try await SQLiteStore(path: "\(path).replaced")
            #expect(try await replaced.texts() == ["a=later 9"])
            await replaced.close()
        }
    }

    @Test func `a check finds what does not fit`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/objects.sqlite"
            let store = try await SQLiteStore(path: path)
            for number in 0..<500 { try await store.put(StoreKey("key \(number)"), "some value \(number)") }
            await store.close()
            #expect(try StoreFile(path).check() == [])
            // A page of the log, overwritten as a bad disk would.
            var bytes = try readFile(path)
            let place = try #require(
                bytes.indices.dropFirst(8192).first { bytes[$0...].starts(with: "some value".utf8) })
            for index in place / 4096 * 4096..<place / 4096 * 4096 + 4096 { bytes[index] = 0xA5 }
            try writeFileAtomically(path, bytes)
            var isFound = false
            do throws(StoreError) {
                isFound = try !StoreFile(path).check().isEmpty
            } catch {
                if case .damaged = error { isFound = true }
            }
            #expect(isFound)
        }
    }

    @Test func `statistics tell sizes, bounds and keys by prefix`() async throws {
        try await withStore { store in
            for number in 0..<3 { try await store.put(StoreKey("/registry/pods/default/\(number)"), "") }
            try await store.put("/registry/nodes/a", "")
            try await store.compact(through: 2)
            let found = try StoreFile(store.path).statistics()
            #expect(found.keysByPrefix == ["/registry/pods/": 3, "/registry/nodes/": 1])
            #expect(found.newest == 4 && found.oldest == 2 && found.keys == 4 && found.changes == 4)
            #expect(found.bytes > 0 && found.journalBytes > 0)
        }
    }

    @Test func `a full disk refuses writes, keeps all that was acknowledged, and works again when there is space`()
        async throws
    {
        let program = try loadProgram()
        try await TestHost.with { host in
            let disk = "\(host.directory)/disk"
            let script = "mkdir \(disk) && mount -t tmpfs -o size=6m tmpfs \(disk) && exec \(program) fill \(disk)"
            let outcome = try await host.shell(script).orFail()
            #expect(outcome.lines == ["full", "readable", "refusing", "recovered", "sound"])
        }
    }
}
