// The thread that waits for descriptors and runs actors.
import Glibc
import Linux
import Synchronization
import TestSupport
import Testing

/// An actor that lives on a loop.
private actor Resident {
    private let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private(set) var count = 0
    init(_ loop: EventLoop) { self.loop = loop }

    var isOnLoop: Bool { loop.isOnLoop }
    func add() { count += 1 }
    func run<Result: Sendable>(_ body: @Sendable () throws -> Result) rethrows -> Result { try body() }

    /// Queues `jobs` jobs behind the one that runs, then stops the loop.
    func stop(after jobs: Int, _ job: @escaping @Sendable () -> Void) -> [Task<Void, Never>] {
        let tasks = (0..<jobs).map { _ in Task { runJob(job) } }
        loop.stop()
        return tasks
    }
    private func runJob(_ job: @Sendable () -> Void) { job() }
}

@Suite struct EventLoopTests {
    /// Runs `body` with a loop whose thread ends afterwards.
    private func withLoop<Result>(_ body: (EventLoop, Resident) async throws -> Result) async throws -> Result {
        let loop = try EventLoop(name: "test")
        defer { loop.stop() }
        return try await body(loop, Resident(loop))
    }

    @Test func `an actor's jobs run on the loop's thread, and nothing else does`() async throws {
        try await withLoop { loop, actor in
            #expect(await actor.isOnLoop)
            #expect(!loop.isOnLoop)
            // From a handler, the actor can be entered without waiting.
            let pipe = try Pipe()
            let number = pipe.reading.number
            let entered = Shared(Atomic(false))
            let watch = try loop.watch(number) { _ in
                actor.assumeIsolated { _ in entered.value.store(true, ordering: .relaxed) }
                var byte: UInt8 = 0
                _ = read(number, &byte, 1)
            }
            try pipe.write(1)
            try await eventually("the handler ran") { entered.value.load(ordering: .relaxed) }
            loop.unwatch(watch, number)
        }
    }

    @Test func `ten thousand jobs from many tasks all run, one at a time`() async throws {
        try await withLoop { _, actor in
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask { for _ in 0..<100 { await actor.add() } }
                }
            }
            #expect(await actor.count == 10_000)
        }
    }

    @Test func `a handler is called as long as there is something to read, and not after its watch has ended`()
        async throws
    {
        try await withLoop { loop, actor in
            let pipe = try Pipe(nonBlocking: true)
            let number = pipe.reading.number
            let watch = Shared(Mutex<EventLoop.Watch?>(nil))
            let calls = Shared(Atomic(0))
            try await actor.run {
                let made = try loop.watch(number) { events in
                    #expect(events & EPOLLIN.rawValue != 0)
                    // The byte stays where it is twice: level-triggered.
                    if calls.value.add(1, ordering: .relaxed).newValue == 3, let watch = watch.value.withLock({ $0 }) {
                        loop.unwatch(watch, number)
                    }
                }
                watch.value.withLock { $0 = made }
            }
            try pipe.write(1)
            try await eventually("three calls") { calls.value.load(ordering: .relaxed) >= 3 }
            try pipe.write(2)
            for _ in 0..<5 { await actor.add() }
            #expect(calls.value.load(ordering: .relaxed) == 3)
        }
    }

    @Test func `a handler that ends another's watch in the same round is the only one called`() async throws {
        try await withLoop { loop, actor in
            let pipes = [try Pipe(), try Pipe()]
            let numbers = pipes.map { $0.reading.number }
            let watches = Shared(Mutex<[EventLoop.Watch]>([]))
            let calls = Shared(Atomic(0))
            try await actor.run {
                // Made on the loop's thread: no event comes between.
                for number in numbers {
                    let watch = try loop.watch(number) { _ in
                        calls.value.add(1, ordering: .relaxed)
                        for (watch, number) in zip(watches.value.withLock { $0 }, numbers) {
                            loop.unwatch(watch, number)
                        }
                    }
                    watches.value.withLock { $0.append(watch) }
                }
            }
            try await actor.run { for pipe in pipes { try pipe.write(1) } }
            try await eventually("a call") { calls.value.load(ordering: .relaxed) > 0 }
            for _ in 0..<5 { await actor.add() }
            #expect(calls.value.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `a watch waits for what it was last told to`() async throws {
        try await withLoop { loop, actor in
            let pipe = try Pipe()
            let number = pipe.reading.number
            let calls = Shared(Atomic(0))
            let watch = try loop.watch(number, events: 0) { _ in
                calls.value.add(1, ordering: .relaxed)
                var byte: UInt8 = 0
                _ = read(number, &byte, 1)
            }
            try pipe.write(1)
            for _ in 0..<5 { await actor.add() }
            #expect(calls.value.load(ordering: .relaxed) == 0)
            try loop.rearm(watch, number, events: EPOLLIN.rawValue)
            try await eventually("a call") { calls.value.load(ordering: .relaxed) == 1 }
            loop.unwatch(watch, number)
        }
    }

    @Test func `what cannot be watched is an error that names it`() async throws {
        try await withLoop { loop, _ in
            let file = try sealedMemoryFile(named: "test", [])
            let error = failure { () throws(SystemError) in _ = try loop.watch(file.number) { _ in } }
            #expect(error == SystemError("epoll_ctl", "EPOLL_CTL_ADD", errno: EPERM))
        }
    }

    @Test func `a loop that is stopped runs what is queued, then its thread ends`() async throws {
        let loop = try EventLoop(name: "test-to-stop")
        func isThere() throws -> Bool {
            try listDirectory("/proc/self/task").contains {
                (try? readText("/proc/self/task/\($0)/comm")) == "test-to-stop\n"
            }
        }
        #expect(try isThere())
        let done = Shared(Atomic(0))
        for task in await Resident(loop).stop(after: 100, { done.value.add(1, ordering: .relaxed) }) {
            await task.value
        }
        #expect(done.value.load(ordering: .relaxed) == 100)
        try await eventually("the thread ends") { try !isThere() }
    }
}
