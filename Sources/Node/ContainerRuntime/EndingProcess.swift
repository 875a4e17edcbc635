import CLinux
import Glibc
import Linux
import Synchronization

/// Waits for the end of a process without a thread of its own, and reaps it if it is our child.
final class EndingProcess: Sendable {
    private struct State: Sendable {
        var ended = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var watch: EventLoop.Watch?
    }

    private let process: ProcessDescriptor
    private let state = Mutex(State())

    var pid: pid_t { process.pid }

    /// nil if there is no such process (any more).
    init?(_ pid: pid_t) throws(SystemError) {
        do {
            process = try ProcessDescriptor(pid: pid)
        } catch {
            if error.errno == ESRCH { return nil }
            throw error
        }
        // The loop keeps this value until the process has ended, so that it is reaped whoever lets go of it.
        let loop = try PodinitConnection.loop.get()
        let number = process.descriptor.number
        let watch = try loop.watch(number) { _ in self.end(loop) }
        // It may have ended before the watch was known.
        let late = state.withLock { state in
            state.watch = watch
            return state.ended
        }
        if late { loop.unwatch(watch, number) }
    }

    private func end(_ loop: EventLoop) {
        // Fails with ECHILD for a podinit that an earlier agent started: its new parent reaps it.
        waitpid(process.pid, nil, WNOHANG)
        let (watch, waiters) = state.withLock { state in
            state.ended = true
            defer { state.waiters = [] }
            return (state.watch, state.waiters)
        }
        if let watch { loop.unwatch(watch, process.descriptor.number) }
        for waiter in waiters { waiter.resume() }
    }

    func kill() { try? process.signal(SIGKILL) }

    func ended() async {
        await withCheckedContinuation { waiter in
            let ended = state.withLock { state in
                if !state.ended { state.waiters.append(waiter) }
                return state.ended
            }
            if ended { waiter.resume() }
        }
    }
}
