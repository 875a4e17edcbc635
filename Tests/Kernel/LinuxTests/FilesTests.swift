// Files, directories and locks, on the file system of /tmp and on a small one of the test's own.
import Glibc
import Linux
import Synchronization
import TestSupport
import Testing

@Suite struct FilesTests {
    @Test func `a file written atomically has the mode that was asked for, whatever the umask is`() async throws {
        try await withTemporaryDirectory { directory in
            let modes = try await inMountNamespace {
                umask(0o077)
                try writeFileAtomically("\(directory)/open", [1], mode: 0o664)
                try writeFileAtomically("\(directory)/closed", [1], mode: 0o600, durable: true)
                try writeFileAtomically("\(directory)/closed", [2], mode: 0o640)
                return [try mode(of: "\(directory)/open"), try mode(of: "\(directory)/closed")]
            }
            #expect(modes == [0o664, 0o640])
            #expect(try listDirectory(directory) == ["closed", "open"])
        }
    }

    @Test func `who reads while a file is replaced sees the old content or the new, never a part`() async throws {
        try await withTemporaryDirectory { directory in
            let path = "\(directory)/file"
            let short = [UInt8](repeating: 1, count: 70_000)
            let long = [UInt8](repeating: 2, count: 200_000)
            try writeFileAtomically(path, short)
            let isDone = Atomic(false)
            let done = Shared(isDone)
            async let writing: Void = blocking {
                defer { done.value.store(true, ordering: .relaxed) }
                for round in 0..<200 { try writeFileAtomically(path, round % 2 == 0 ? long : short) }
            }
            let torn = try await blocking {
                var torn = 0
                while !done.value.load(ordering: .relaxed) {
                    let content = try readFile(path)
                    if content != short && content != long { torn += 1 }
                }
                return torn
            }
            try await writing
            #expect(torn == 0)
            #expect(try listDirectory(directory) == ["file"])
        }
    }

    @Test func `a full disk leaves the old content and no file half written`() async throws {
        try await withTemporaryDirectory { directory in
            let (error, content, names) = try await inMountNamespace {
                try DetachedMount(type: "tmpfs", options: [("size", "65536")]).attach(at: directory)
                let path = "\(directory)/file"
                try writeFileAtomically(path, [7])
                let error = failure { () throws(SystemError) in
                    try writeFileAtomically(path, [UInt8](repeating: 8, count: 1 << 20))
                }
                return (error, try readFile(path), try listDirectory(directory))
            }
            #expect(error?.errno == ENOSPC)
            #expect(content == [7])
            #expect(names == ["file"])
        }
    }

    @Test func `what cannot be replaced leaves nothing beside it`() throws {
        try withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/taken/by")
            #expect(throws: SystemError.self) { try writeFileAtomically("\(directory)/taken", [1]) }
            #expect(try listDirectory(directory) == ["taken"])
        }
    }

    @Test func `reading stops at its bound: as many bytes are read, one more fails with EFBIG`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/file"
            try writeFileAtomically(path, [UInt8](repeating: 5, count: 40_000))
            #expect(try readFile(path, limit: 40_000).count == 40_000)
            expect(EFBIG) { () throws(SystemError) in _ = try readFile(path, limit: 39_999) }
            // A file without end is not read to its end.
            expect(EFBIG) { () throws(SystemError) in _ = try readFile("/dev/zero", limit: 1) }
        }
    }

    @Test func `directories are made with their parents, and what exists stays as it is`() throws {
        try withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/a", mode: 0o700)
            try makeDirectories("\(directory)/a/b/c/d/", mode: 0o711)
            #expect(try mode(of: "\(directory)/a") == 0o700)
            #expect(try mode(of: "\(directory)/a/b/c/d") == 0o711)
            try makeDirectories("\(directory)/a/b", mode: 0o777)
            #expect(try mode(of: "\(directory)/a/b") == 0o711)
            // Through a link, as for any path.
            symlink("a", "\(directory)/link")
            try makeDirectories("\(directory)/link/e")
            #expect(fileExists("\(directory)/a/e"))
            try makeDirectories("\(directory)/link")
        }
    }

    @Test func `a file where a directory is to be is an error, at the end of the path and in its middle`() throws {
        try withTemporaryDirectory { directory in
            try writeFileAtomically("\(directory)/file", [])
            let atEnd = failure { () throws(SystemError) in try makeDirectories("\(directory)/file") }
            #expect(atEnd == SystemError("mkdir", "\(directory)/file", errno: EEXIST))
            let inside = failure { () throws(SystemError) in try makeDirectories("\(directory)/file/a/b") }
            #expect(inside?.errno == ENOTDIR)
        }
    }

    @Test func `the parts of a path are those that the kernel takes it to have`() {
        #expect(parentDirectory(of: "/a/b") == "/a")
        #expect(parentDirectory(of: "/a") == "/")
        #expect(parentDirectory(of: "a") == ".")
        #expect(lastComponent(of: "/a/b") == "b")
        #expect(lastComponent(of: "a") == "a")
    }

    @Test func `names in a directory are sorted, without the directory itself; an absent one is ENOENT`() throws {
        try withTemporaryDirectory { directory in
            for name in ["b", ".a", "c"] { try writeFileAtomically("\(directory)/\(name)", []) }
            #expect(try listDirectory(directory) == [".a", "b", "c"])
            let error = failure { () throws(SystemError) in _ = try listDirectory("\(directory)/none") }
            #expect(error?.errno == ENOENT)
        }
    }

    @Test func `a lock is one owner's until the owner lets go, and readers share it`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/lock"
            func attempt(exclusive: Bool) -> Int32? {
                failure { () throws(SystemError) in _ = try FileLock(path, exclusive: exclusive, wait: false) }?.errno
            }
            do {
                let lock = try FileLock(path)
                #expect(attempt(exclusive: true) == EWOULDBLOCK)
                #expect(attempt(exclusive: false) == EWOULDBLOCK)
                try lock.write("a longer owner")
                try lock.write("owner")
                #expect(try readText(path) == "owner")
            }
            do {
                let reader = try FileLock(path, exclusive: false)
                #expect(attempt(exclusive: false) == nil)
                #expect(attempt(exclusive: true) == EWOULDBLOCK)
                _ = reader
            }
            #expect(attempt(exclusive: true) == nil)
        }
    }

    @Test func `who waits for a lock gets it when its owner lets go`() async throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/lock"
            let lock = try FileLock(path)
            // flock(1) waits in a process of its own, which can be ended should it wait for ever.
            let pid = try spawn(
                "/usr/bin/flock", arguments: ["flock", path, "true"], environment: [], descriptors: [-1, -1, -1])
            let waiter = try ProcessDescriptor(pid: pid)
            let endedEarly = waiter.waitForExit(milliseconds: 200)
            _ = consume lock
            let ended = waiter.waitForExit(milliseconds: 20_000)
            if !ended { try waiter.signal(SIGKILL) }
            var status: Int32 = 0
            try check(waitpid(pid, &status, 0), "waitpid")
            #expect(!endedEarly && ended && status == 0)
        }
    }
}
