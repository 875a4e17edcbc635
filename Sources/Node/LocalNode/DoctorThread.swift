import Linux
import Synchronization

/// A thread of its own for what cannot be undone on a thread: new namespaces, a seccomp filter. Both end with it.
enum DoctorThread {
    /// Runs `body` on a new thread, in new namespaces if `flags` (CLONE_NEWNET …, unshare(2)) says so, and waits for it.
    static func run<Value: Sendable>(
        unsharing flags: Int32 = 0, _ body: @escaping @Sendable () throws -> Value
    ) -> Result<Value, any Error> {
        let outcome = Outcome<Value>()
        let work = Unmanaged.passRetained(
            Work {
                let result = Result {
                    if flags != 0 { try check(cl_unshare(flags), "unshare") }
                    return try body()
                }
                outcome.set(result)
            })
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, work.toOpaque())
        if failure != 0 {
            work.release()
            return .failure(SystemError("pthread_create", errno: failure))
        }
        pthread_join(thread, nil)
        return outcome.get()
    }

    private final class Work: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// The result, written by the thread and read after it has ended.
    private final class Outcome<Value: Sendable>: Sendable {
        private let result = Mutex<Result<Value, any Error>>(.failure(SystemError("pthread_join", errno: ESRCH)))
        func set(_ value: Result<Value, any Error>) { result.withLock { $0 = value } }
        func get() -> Result<Value, any Error> { result.withLock { $0 } }
    }
}
