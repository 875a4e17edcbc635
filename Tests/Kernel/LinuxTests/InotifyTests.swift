// Changes in directories as the kernel reports them.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct InotifyTests {
    @Test func `events say what happened, to which name, under which watch`() throws {
        try withTemporaryDirectory { directory in
            for name in ["one", "two"] { try makeDirectories("\(directory)/\(name)") }
            let inotify = try Inotify()
            let mask = UInt32(IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)
            let one = try inotify.watch("\(directory)/one", mask: mask)
            let two = try inotify.watch("\(directory)/two", mask: mask)
            #expect(try inotify.events().isEmpty)
            try makeDirectories("\(directory)/one/grüße")
            rename("\(directory)/one/grüße", "\(directory)/two/b")
            rmdir("\(directory)/two/b")
            let events = try inotify.events()
            #expect(events.map(\.watch) == [one, one, two, two])
            #expect(events.map(\.name) == ["grüße", "grüße", "b", "b"])
            let happened = [IN_CREATE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE].map { UInt32($0) | UInt32(IN_ISDIR) }
            #expect(events.map(\.mask) == happened)
            #expect(try inotify.events().isEmpty)
        }
    }

    @Test func `more events than one read takes all come, in order`() throws {
        try withTemporaryDirectory { directory in
            let inotify = try Inotify()
            _ = try inotify.watch(directory, mask: UInt32(IN_CREATE))
            let names = (0..<2000).map { "a-file-with-a-longer-name-\($0)" }
            for name in names { mkdir("\(directory)/\(name)", 0o755) }
            #expect(try inotify.events().map(\.name) == names)
        }
    }

    @Test func `a watched directory that goes is said to have gone`() throws {
        try withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/watched")
            let inotify = try Inotify()
            _ = try inotify.watch("\(directory)/watched", mask: UInt32(IN_DELETE_SELF))
            rmdir("\(directory)/watched")
            #expect(try inotify.events().map(\.mask) == [UInt32(IN_DELETE_SELF), UInt32(IN_IGNORED)])
        }
    }

    @Test func `what is not there cannot be watched`() throws {
        let inotify = try Inotify()
        let error = failure { () throws(SystemError) in
            _ = try inotify.watch("/nonexistent", mask: UInt32(IN_CREATE))
        }
        #expect(error == SystemError("inotify_add_watch", "/nonexistent", errno: ENOENT))
    }

    @Test func `lost events are said to be lost`() throws {
        let limit = Int(try readText("/proc/sys/fs/inotify/max_queued_events").prefix { $0.isNumber }) ?? 0
        try withTemporaryDirectory { directory in
            let inotify = try Inotify()
            _ = try inotify.watch(directory, mask: UInt32(IN_CREATE | IN_DELETE))
            for _ in 0...min(limit, 100_000) / 2 {
                mkdir("\(directory)/a", 0o755)
                rmdir("\(directory)/a")
            }
            let events = try inotify.events()
            #expect(events.count > limit || limit > 100_000)
            #expect(events.last?.isOverflow == (limit <= 100_000))
            #expect(events.first?.isOverflow == false)
        }
    }
}
