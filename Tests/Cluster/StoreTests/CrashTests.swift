import Glibc
import Linux
import Store
import Synchronization
import TestSupport
import Testing

@Suite struct CrashTests {
    /// A child process writes from eight tasks, and is killed at some instant; a hundred times on one store. The moments
    /// are a few milliseconds apart, some of them while the child opens the store, recovers or compacts.
    @Test func `SIGKILL loses nothing that was acknowledged, and no revision is given twice`() async throws {
        try await withTemporaryDirectory { directory in
            var random = Seeded(UInt64(time(nil)))
            var history: [Int64: [String: String]] = [:]
            var newest: Int64 = 0
            for round in 0..<100 {
                let lines = try await hammerAndKill(
                    directory, milliseconds: Int32.random(in: 0...40, using: &random), fromStart: round % 5 == 4)
                for line in lines { try note(line, in: &history, newest: &newest) }
                try await compare(directory, &history, &newest, thorough: round % 20 == 19)
            }
            #expect(newest > 1000, "the child came to write something")
        }
    }
}

/// What the child said, until it was killed `milliseconds` after it was ready, or after its start.
private func hammerAndKill(_ directory: String, milliseconds: Int32, fromStart: Bool) async throws -> [Substring] {
    let program = try loadProgram()
    return try await blocking {
        var ends: [Int32] = [0, 0]
        try check(pipe(&ends), "pipe")
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let output = OwnedDescriptor(owning: ends[0])
        let input = OwnedDescriptor(owning: ends[1])
        let pid = try spawn(
            program, arguments: ["StoreLoad", "hammer", directory], environment: [],
            descriptors: [-1, input.number, STDERR_FILENO])
        _ = consume input
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        var deadline = fromStart ? milliseconds : nil
        let begin = ContinuousClock.now
        var readyAt = begin
        while true {
            let spent = Int32((ContinuousClock.now - readyAt) / .milliseconds(1))
            let left = deadline.map { $0 - spent } ?? 20_000
            if left <= 0 { break }
            var poller = pollfd(fd: output.number, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, left) > 0 else { break }
            let count = read(output.number, &buffer, buffer.count)
            if count <= 0 { throw TestFailure("the child ended by itself: \(String(decoding: text, as: UTF8.self))") }
            text += buffer[..<count]
            if deadline == nil {
                deadline = milliseconds
                readyAt = ContinuousClock.now
            }
        }
        kill(pid, SIGKILL)
        text += try output.readAll()
        var status: Int32 = 0
        try check(waitpid(pid, &status, 0), "waitpid", "\(pid)")
        // Lines are written at once, but a kill may cut the last.
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        return text.last == 10 ? lines : lines.dropLast()
    }
}

/// Notes what somebody was told of a revision; it must be what everybody was told of it before.
private func note(_ line: Substring, in history: inout [Int64: [String: String]], newest: inout Int64) throws {
    let words = line.split(separator: " ").map(String.init)
    guard words.count == 4, let revision = Int64(words[1]) else { return }
    try note(revision, words[2], words[3], in: &history)
    newest = max(newest, revision)
}

private func note(
    _ revision: Int64, _ key: String, _ tag: String, in history: inout [Int64: [String: String]]
) throws {
    let before = history[revision, default: [:]].updateValue(tag, forKey: key)
    guard before == nil || before == tag else {
        throw TestFailure("revision \(revision) of \(key) was \(before ?? "") and is \(tag)")
    }
}

/// Opens the store as a server would and compares it with all that was ever told.
private func compare(
    _ directory: String, _ history: inout [Int64: [String: String]], _ newest: inout Int64, thorough: Bool
) async throws {
    let path = "\(directory)/objects.sqlite"
    if !fileExists(path) { return }
    let store = try await SQLiteStore(path: path)
    let oldest = try StoreFile(path).statistics().oldest
    let told = Told()
    let watch = try await store.watch(.all, after: oldest, told.sink)
    watch.cancel()
    // What the log has is what was told, and nothing that was told is missing in it.
    var found: [Int64: [String: String]] = [:]
    for change in told.changes {
        let tag = change.entry.map { String($0.text.prefix { $0 != " " }) } ?? "-"
        try note(change.revision.number, change.key.description, tag, in: &history)
        found[change.revision.number, default: [:]][change.key.description] = tag
    }
    for (revision, changes) in history where revision > oldest.number {
        guard let there = found[revision], changes.allSatisfy({ there[$0.key] == $0.value }) else {
            throw TestFailure("revision \(revision) was \(changes) and is \(found[revision] as Any)")
        }
    }
    #expect(store.published.number >= newest)
    newest = max(newest, store.published.number)
    // What is there now is the newest that was told of each key.
    var last: [String: (Int64, String)] = [:]
    for (revision, changes) in history {
        for (key, tag) in changes where last[key].map({ $0.0 < revision }) ?? true { last[key] = (revision, tag) }
    }
    let now = try await store.range(.all).entries
    let expected = last.filter { $0.value.1 != "-" }.mapValues { "\($0.0) \($0.1)" }
    let present = now.map { ("\($0.key)", "\($0.revision) \($0.text.prefix { $0 != " " })") }
    #expect(Dictionary(uniqueKeysWithValues: present) == expected)
    await store.close()
    if thorough { #expect(try StoreFile(path).check() == []) }
}
