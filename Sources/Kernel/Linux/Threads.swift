import Glibc

/// Runs `body`, which blocks, on a thread that ends with it; on the caller's where there is no thread to be had.
public func runOnThread(_ body: @escaping @Sendable () -> Void) {
    final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let failure = pthread_create(
        &thread, nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }, work.toOpaque())
    if failure == 0 {
        pthread_detach(thread)
    } else {
        work.release()
        body()
    }
}
