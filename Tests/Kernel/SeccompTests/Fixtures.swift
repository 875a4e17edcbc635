import Linux
import Seccomp
import Synchronization

/// Runs `body` on a thread of its own under a filter: a filter stays with its thread and is gone with it. The errno of each
/// system call that `body` makes comes back, nothing is shared with the test but the result.
func underFilter<Value: Sendable>(
    _ program: SeccompProgram, _ body: @escaping @Sendable () throws -> Value
) throws -> Value {
    let result = Shared<Result<Value, any Error>?>(nil)
    let work = Work {
        let outcome = Result {
            try program.loadIntoCallingThread()
            return try body()
        }
        result.withLock { $0 = outcome }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(work)
    let failure = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
            return nil
        }, box.toOpaque())
    if failure != 0 {
        box.release()
        throw SystemError("pthread_create", errno: failure)
    }
    pthread_join(thread, nil)
    guard let outcome = result.withLock({ $0 }) else { throw SystemError("pthread_join", errno: ESRCH) }
    return try outcome.get()
}

/// A Mutex that a closure can keep.
private final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        mutex.withLock { value in
            var copy = value
            let result = body(&copy)
            value = copy
            return result
        }
    }
}

private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A system call by number. 0 if it worked (its result is not looked at), else the errno.
func errnoOf(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0) -> Int32 {
    cl_syscall(number, a, b, c, d, e, 0) < 0 ? errno : 0
}

/// Starts a shell command from the calling thread, under its filter, and returns its exit code and output.
func shell(_ script: String, _ program: String = "/bin/sh") throws -> (code: Int32, output: String) {
    var ends: [Int32] = [-1, -1]
    try check(pipe(&ends), "pipe")
    let output = OwnedDescriptor(owning: ends[0])
    let child: pid_t
    do {
        let input = OwnedDescriptor(owning: ends[1])
        child = try spawn(
            program, arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"],
            descriptors: [-1, input.number, input.number])
    }
    let text = String(decoding: try output.readAll(), as: UTF8.self)
    var status: Int32 = 0
    try check(waitpid(child, &status, 0), "waitpid")
    return (cl_wifexited(status) ? cl_wexitstatus(status) : -cl_wtermsig(status), text)
}
