import CLinux
import Glibc
import Synchronization

/// A thread that waits for descriptors with epoll(7) and runs the jobs of the actors that name it as their executor.
///
/// Blocking system calls that take microseconds (mounts, netlink, small files) may run here: the thread is our own, not
/// one of the cooperative pool. Handlers run on the loop's thread, so an actor on this executor may enter itself with
/// `assumeIsolated`.
public final class EventLoop: SerialExecutor, Sendable {
    /// Called on the loop's thread with the events of epoll_wait(2) (EPOLLIN, EPOLLHUP …).
    public typealias Handler = @Sendable (UInt32) -> Void

    private struct State: Sendable {
        var jobs: [UnownedJob] = []
        var handlers: [UInt64: Handler] = [:]
        var nextToken: UInt64 = 1
        var stopped = false
    }

    private let epoll: OwnedDescriptor
    private let wakeup: OwnedDescriptor
    private let state = Mutex(State())
    private let thread = Atomic<UInt>(0)

    /// Starts the thread, named `name` (at most 15 bytes).
    public init(name: String) throws(SystemError) {
        epoll = OwnedDescriptor(owning: try check(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1"))
        let flags = Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)
        wakeup = OwnedDescriptor(owning: try check(eventfd(0, flags), "eventfd"))
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: 0))
        try check(epoll_ctl(epoll.number, EPOLL_CTL_ADD, wakeup.number, &event), "epoll_ctl")
        var id = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let failure = pthread_create(
            &id, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        if failure != 0 {
            Unmanaged<EventLoop>.fromOpaque(context).release()
            throw SystemError("pthread_create", name, errno: failure)
        }
        cl_set_thread_name(id, String(name.prefix(15)))
        pthread_detach(id)
    }

    /// What ``watch(_:events:handler:)`` gave; ends with ``unwatch(_:_:)``.
    public struct Watch: Sendable, Hashable { let token: UInt64 }

    /// Calls `handler` whenever `descriptor` has one of `events` (level-triggered). The caller keeps the descriptor open
    /// until ``unwatch(_:_:)``.
    public func watch(
        _ descriptor: Int32, events: UInt32 = EPOLLIN.rawValue, handler: @escaping Handler
    ) throws(SystemError) -> Watch {
        let token = state.withLock { state in
            defer { state.nextToken += 1 }
            state.handlers[state.nextToken] = handler
            return state.nextToken
        }
        var event = epoll_event(events: events, data: epoll_data_t(u64: token))
        if epoll_ctl(epoll.number, EPOLL_CTL_ADD, descriptor, &event) < 0 {
            let error = SystemError("epoll_ctl", "EPOLL_CTL_ADD")
            state.withLock { _ = $0.handlers.removeValue(forKey: token) }
            throw error
        }
        return Watch(token: token)
    }

    /// Changes the events that a watch waits for.
    public func rearm(_ watch: Watch, _ descriptor: Int32, events: UInt32) throws(SystemError) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: watch.token))
        try check(epoll_ctl(epoll.number, EPOLL_CTL_MOD, descriptor, &event), "epoll_ctl", "EPOLL_CTL_MOD")
    }

    /// Ends a watch; on the loop's thread its handler is not called any more from here on.
    public func unwatch(_ watch: Watch, _ descriptor: Int32) {
        _ = epoll_ctl(epoll.number, EPOLL_CTL_DEL, descriptor, nil)
        state.withLock { _ = $0.handlers.removeValue(forKey: watch.token) }
    }

    /// Lets the thread end after the jobs that are queued.
    public func stop() {
        state.withLock { $0.stopped = true }
        wake()
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let first = state.withLock { state in
            state.jobs.append(unowned)
            return state.jobs.count == 1
        }
        if first { wake() }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() {
        precondition(isOnLoop, "not on the event loop's thread")
    }

    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    /// Whether the caller runs on the loop's thread.
    public var isOnLoop: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeup.number, &one, 8)
    }

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll.number, &events, Int32(events.count), -1)
            if count > 0 {
                for event in events[..<Int(count)] { dispatch(event) }
            }
            let (jobs, stopped) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.stopped)
            }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            if stopped && jobs.isEmpty { return }
            if stopped { wake() }
        }
    }

    private func dispatch(_ event: epoll_event) {
        if event.data.u64 == 0 {
            var value: UInt64 = 0
            _ = read(wakeup.number, &value, 8)
            return
        }
        let handler = state.withLock { $0.handlers[event.data.u64] }
        handler?(event.events)
    }
}
