import Glibc
import Linux
import Store
import Synchronization

/// Measures a store and prints Markdown. Files go to a directory of its own, on the disk that is to be measured.
struct Bench {
    let directory: String
    private let value = (0..<1024).map { _ in UInt8.random(in: 0...255) }

    func run() async throws {
        try makeDirectories(directory)
        defer { for name in (try? listDirectory(directory)) ?? [] { unlink("\(directory)/\(name)") } }
        try syncs()
        say(
            "\n| work | writers | rate | p50 | p99 | longest | CPU a write |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        let store = try await SQLiteStore(path: "\(directory)/objects.sqlite")
        for (writers, total) in [(1, 4000), (16, 60_000), (64, 120_000)] {
            let key = keys(writers)
            try await measure("create 1 KB", writers, total) { _ = try await store.commit(.create(key($0), value)) }
            try await measure("update 1 KB", writers, total) {
                guard case .refused(let found) = try await store.commit(Transaction(if: [.missing(key($0))], [])),
                    let entry = found[0]
                else { return }
                _ = try await store.commit(.update(key($0), value, at: entry.revision))
            }
        }
        await store.close()
        try await cache()
    }

    /// Keys whose order is not that of their creation.
    private func keys(_ writers: Int) -> @Sendable (Int) -> StoreKey {
        { StoreKey("/registry/configmaps/\(writers)/\(UInt64($0) &* 0x9E37_79B9_7F4A_7C15)") }
    }

    /// What the disk takes for a commit, at the least.
    private func syncs() throws {
        let file = try OwnedDescriptor(opening: "\(directory)/sync", flags: O_RDWR | O_CREAT, mode: 0o600)
        var times: [Double] = []
        for _ in 0..<1000 {
            try file.writeAll([UInt8](repeating: 1, count: 4096))
            let begin = seconds()
            fdatasync(file.number)
            times.append(seconds() - begin)
        }
        times.sort()
        say("fdatasync of 4 KB: median \(micro(times[500])), p99 \(micro(times[990])).")
    }

    private func measure(
        _ name: String, _ writers: Int, _ total: Int, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let share = total / writers
        let (begin, cpu) = (seconds(), cpuSeconds())
        let times = try await withThrowingTaskGroup(of: [Double].self) { group in
            for writer in 0..<writers {
                group.addTask {
                    var times: [Double] = []
                    for number in 0..<share {
                        let begin = seconds()
                        try await body(writer * share + number)
                        times.append(seconds() - begin)
                    }
                    return times
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }.sorted()
        }
        let (wall, spent) = (seconds() - begin, cpuSeconds() - cpu)
        let row = [
            name, "\(writers)", "\(Int(Double(times.count) / wall)) per s", micro(times[times.count / 2]),
            micro(times[times.count * 99 / 100]), micro(times[times.count - 1]), micro(spent / Double(times.count)),
        ]
        say("| " + row.joined(separator: " | ") + " |")
    }

    /// 5,000 objects of 4 KB: memory, reads, and what 100 watchers are told.
    private func cache() async throws {
        let store = try await SQLiteStore(path: "\(directory)/cache.sqlite")
        let large = value + value + value + value
        let before = residentBytes()
        for number in 0..<5000 { _ = try await store.commit(.create(StoreKey("/registry/pods/\(number)"), large)) }
        let written = residentBytes()
        var begin = seconds()
        let cache = ResourceCache<[UInt8]>(prefix: "/registry/pods/", of: store) { ($0.value, $0.value.count) }
        try await cache.start()
        say("\n5,000 objects of 4 KB:\n\n| what | |\n| --- | --- |")
        say("| filling the cache from the file | \(micro(seconds() - begin)) |")
        say(
            "| resident before, after writing them, with the cache | \(mega(before)), \(mega(written)), \(mega(residentBytes())) |"
        )
        begin = seconds()
        for number in 0..<100_000 { _ = try cache.get(StoreKey("/registry/pods/\(number % 5000)")) }
        say("| GET from the cache | \(micro((seconds() - begin) / 100_000)) |")
        begin = seconds()
        for _ in 0..<100 { _ = try cache.list() }
        say("| LIST 5,000 from the cache | \(micro((seconds() - begin) / 100)) |")
        begin = seconds()
        for _ in 0..<10 { _ = try await store.range(.prefix("/registry/pods/")) }
        say("| LIST 5,000 from the file | \(micro((seconds() - begin) / 10)) |")
        try await watchers(store, cache, large)
        cache.stop()
        await store.close()
    }

    /// From the beginning of a commit to when each of 100 watchers has read it.
    private func watchers(_ store: SQLiteStore, _ cache: ResourceCache<[UInt8]>, _ value: [UInt8]) async throws {
        let updates = 200
        let start = cache.revision
        let sent = Moments(updates)
        let times = try await withThrowingTaskGroup(of: [Double].self) { group in
            for _ in 0..<100 {
                let watch = try cache.watch(after: start)
                group.addTask {
                    var times: [Double] = []
                    while times.count < updates, let changes = try await watch.next() {
                        let now = seconds()
                        for change in changes {
                            times.append(now - sent[Int(change.revision.number - start.number - 1)])
                        }
                    }
                    return times
                }
            }
            for number in 0..<updates {
                sent[number] = seconds()
                _ = try await store.commit(Transaction([.put(StoreKey("/registry/pods/\(number)"), value)]))
            }
            return try await group.reduce(into: []) { $0 += $1 }.sorted()
        }
        say(
            "| 100 watchers, 200 updates one after the other: delivery from the commit's begin, p50 | \(micro(times[times.count / 2])) |"
        )
        say("| the same, p99 | \(micro(times[times.count * 99 / 100])) |")
    }
}

/// When each of several things happened.
private final class Moments: Sendable {
    private let moments: Mutex<[Double]>
    init(_ count: Int) { moments = Mutex(Array(repeating: 0, count: count)) }
    subscript(number: Int) -> Double {
        get { moments.withLock { $0[number] } }
        set { moments.withLock { $0[number] = newValue } }
    }
}

private func seconds() -> Double { clock(CLOCK_MONOTONIC) }
private func cpuSeconds() -> Double { clock(CLOCK_PROCESS_CPUTIME_ID) }

private func clock(_ id: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(id, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

private func residentBytes() -> Int {
    let pages = (try? readText("/proc/self/statm"))?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return (pages ?? 0) * sysconf(Int32(_SC_PAGESIZE))
}

private func micro(_ seconds: Double) -> String {
    seconds < 0.001 ? "\(Double(Int(seconds * 1e7)) / 10) µs" : "\(Double(Int(seconds * 1e5)) / 100) ms"
}

private func mega(_ bytes: Int) -> String { "\(bytes >> 20) MB" }
