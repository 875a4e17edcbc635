import Glibc
import Linux

/// Lets one thread at a time work on a container, different containers at the same time, and nobody while one works on all
/// of them. Blocks the caller, which has a thread of its own.
final class Exclusion: @unchecked Sendable {  // `busy` and `alone` are touched with `mutex` locked only.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var busy: Set<String> = []
    private var alone = false
    /// Those who want to be alone go before whoever comes after them.
    private var waitingAlone = 0

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    func enter(_ name: String) {
        pthread_mutex_lock(mutex)
        while alone || waitingAlone > 0 || busy.contains(name) { pthread_cond_wait(changed, mutex) }
        busy.insert(name)
        pthread_mutex_unlock(mutex)
    }

    func leave(_ name: String) {
        pthread_mutex_lock(mutex)
        busy.remove(name)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    func enterAlone() {
        pthread_mutex_lock(mutex)
        waitingAlone += 1
        while alone || !busy.isEmpty { pthread_cond_wait(changed, mutex) }
        waitingAlone -= 1
        alone = true
        pthread_mutex_unlock(mutex)
    }

    func leaveAlone() {
        pthread_mutex_lock(mutex)
        alone = false
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }
}

/// Runs `body`, which blocks, on a thread that ends with it.
func onThread<Success: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () throws(Failure) -> Success
) async throws(Failure) -> Success {
    let result: Result<Success, Failure> = await withCheckedContinuation { continuation in
        runOnThread {
            do throws(Failure) {
                continuation.resume(returning: .success(try body()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }
    return try result.get()
}
