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
        say("\n| work | writers | rate | p50 | p99 | longest | CPU a write | writes a commit |")
        say("| --- | --- | --- | --- | --- | --- | --- | --- |")
        let store = try await SQLiteStore(path: "\(directory)/objects.sqlite")
        for (writers, total) in [(1, 4000), (16, 48_000), (64, 96_000)] {
            let key = keys(writers)
            try await measure("create 1 KB", store, writers, total) {
                _ = try await store.commit(.create(key($0), value))
            }
            try await measure("update 1 KB", store, writers, total) {
                _ = try await store.commit(Transaction(if: [.exists(key($0))], [.put(key($0), value)]))
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
        _ name: String, _ store: SQLiteStore, _ writers: Int, _ total: Int,
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let share = total / writers
        let (begin, cpu, commits) = (seconds(), cpuSeconds(), store.commits)
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
            "\(Double(times.count * 10 / (store.commits - commits)) / 10)",
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
        say("\n5,000 objects of 4 KB:\n\n| what | time | CPU |\n| --- | --- | --- |")
        let cache = ResourceCache<[UInt8]>(prefix: "/registry/pods/", of: store) { ($0.value, $0.value.count) }
        try await time("filling the cache from the file") { try await cache.start() }
        try await time("GET from the cache", 100_000) {
            for number in 0..<100_000 { _ = try cache.get(StoreKey("/registry/pods/\(number % 5000)")) }
        }
        try await time("LIST 5,000 from the cache", 100) { for _ in 0..<100 { _ = try cache.list() } }
        try await time("LIST 5,000 from the file", 10) {
            for _ in 0..<10 { _ = try await store.range(.prefix("/registry/pods/")) }
        }
        let resident = [before, written, residentBytes()].map(mega).joined(separator: ", ")
        say("| resident before, after writing them, with the cache | \(resident) | |")
        try await watchers(store, cache, large)
        cache.stop()
        await store.close()
    }

    /// Says how long `body` took, divided by `count`.
    private func time(_ what: String, _ count: Double = 1, _ body: () async throws -> Void) async throws {
        let (begin, cpu) = (seconds(), cpuSeconds())
        try await body()
        say("| \(what) | \(micro((seconds() - begin) / count)) | \(micro((cpuSeconds() - cpu) / count)) |")
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
        let (median, late) = (micro(times[times.count / 2]), micro(times[times.count * 99 / 100]))
        say("| 100 watchers, 200 updates one by one: from the commit's begin to each watcher, p50 | \(median) | |")
        say("| the same, p99 | \(late) | |")
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
