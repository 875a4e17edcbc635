// TestSupport: what tests of the kernel stand on: a host of their own made of namespaces, commands run inside it with
// time limits, counts of what is there before and after, and small images.
import CLinux
import Glibc
import Linux
import Synchronization

/// A thread that lives in namespaces of its own and runs what it is given, one thing after the other.
///
/// It touches nothing of Swift's concurrency: resuming a task may start a worker thread of the pool, and a thread
/// inherits the namespaces of the one that starts it. That is why ``perform(_:)`` blocks its caller instead.
final class NamespaceThread: Sendable {
    private final class Work: Sendable {
        private let done = Semaphore()
        private let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        func run() {
            body()
            done.signal()
        }
        func wait() { done.wait() }
    }

    private let queue = Mutex<[Work?]>([])
    private let available = Semaphore()

    /// Starts the thread and moves it into new namespaces, as unshare(2) with `flags` (CLONE_NEWNET …).
    init(unsharing flags: Int32) throws {
        try startThread { [self] in serve() }
        // A mount namespace can only be left by a thread that shares no working directory with others (setns(2)).
        _ = try perform { try check(cl_unshare(CLONE_FS | flags), "unshare") }
    }

    /// Starts the thread and moves it into the network, mount, IPC and UTS namespaces of `process`, and its future children
    /// into the PID namespace too.
    init(enteringNamespacesOf process: pid_t) throws {
        let target = try ProcessDescriptor(pid: process)
        let copy = try target.descriptor.duplicate().release()
        defer { close(copy) }
        try startThread { [self] in serve() }
        _ = try perform {
            try check(cl_unshare(CLONE_FS), "unshare")
            let kinds = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID
            try check(cl_setns(copy, kinds), "setns", "process \(process)")
        }
    }

    /// Runs `body` on the thread and returns what it returned; the caller is blocked meanwhile.
    func perform<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
        let box = Box(outcome)
        let work = Work { box.value.withLock { $0 = Swift.Result { try body() } } }
        queue.withLock { $0.append(work) }
        available.signal()
        work.wait()
        guard let result = box.value.withLock({ $0 }) else { throw TestFailure("the namespace thread has stopped") }
        return try result.get()
    }

    /// Ends the thread, and with it its hold on the namespaces.
    func stop() {
        queue.withLock { $0.append(nil) }
        available.signal()
    }

    private func serve() {
        while true {
            available.wait()
            guard let work = queue.withLock({ $0.removeFirst() }) else { return }
            work.run()
        }
    }
}

/// A value that cannot be copied, shared.
final class Box<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}

/// sem_init(3) and friends.
final class Semaphore: @unchecked Sendable {  // POSIX semaphores are made for several threads.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
    func signal() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) < 0 && errno == EINTR {} }
}

/// Runs `body` on a thread of its own, which may block as long as it likes.
func startThread(_ body: @escaping @Sendable () -> Void) throws {
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    var id = pthread_t()
    let failure = pthread_create(
        &id, nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Box<@Sendable () -> Void>>.fromOpaque(context).takeRetainedValue().value()
            return nil
        }, context)
    if failure != 0 {
        Unmanaged<Box<@Sendable () -> Void>>.fromOpaque(context).release()
        throw SystemError("pthread_create", errno: failure)
    }
    pthread_detach(id)
}

/// Waits for `body`, which blocks, without holding up a thread of Swift's pool.
public func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        do {
            try startThread { continuation.resume(with: Swift.Result { try body() }) }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// Runs `body` on a thread in a mount namespace of its own, whose mounts reach nobody else and go with it, and with a
/// umask of its own. What is to be expected of the outcome is said outside: the thread belongs to no test.
public func inMountNamespace<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await blocking {
        let thread = try NamespaceThread(unsharing: CLONE_NEWNS)
        defer { thread.stop() }
        return try thread.perform {
            try check(mount(nil, "/", nil, UInt(CLinux.MS_REC | CLinux.MS_PRIVATE), nil), "mount", "/")
            return try body()
        }
    }
}

/// Runs `body` on a thread that is a host as far as the network goes: network and mount namespaces of its own, `lo` up,
/// and an empty `/run`. Unlike on a ``TestHost``, this process' own code can run there: it stays in its PID namespace.
/// What is to be expected of the outcome is said outside: the thread belongs to no test.
public func inHostNamespaces<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await blocking {
        let thread = try NamespaceThread(unsharing: CLONE_NEWNET | CLONE_NEWNS)
        defer { thread.stop() }
        return try thread.perform {
            try check(mount(nil, "/", nil, UInt(CLinux.MS_REC | CLinux.MS_PRIVATE), nil), "mount", "/")
            try check(mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), "mount", "/run")
            try TestNamespace.current().output(of: ["ip", "link", "set", "lo", "up"])
            return try body()
        }
    }
}

/// What a test could not do or did not see, in a sentence.
public struct TestFailure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
