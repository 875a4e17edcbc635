import CLinux
import Glibc
import Linux
import Synchronization
import TestSupport

/// Tells a thread to stop, and waits until it has.
final class Flag: Sendable {
    private let requested = Atomic<Bool>(false)
    private let finished: OwnedDescriptor

    init() { finished = OwnedDescriptor(owning: eventfd(0, Int32(EFD_CLOEXEC))) }

    var isSet: Bool { requested.load(ordering: .relaxed) }
    func set() { requested.store(true, ordering: .relaxed) }
    func finish() {
        var one: UInt64 = 1
        _ = write(finished.number, &one, 8)
    }
    func wait() {
        var value: UInt64 = 0
        _ = read(finished.number, &value, 8)
    }
}

/// Runs `body` on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) throws {
    final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let work = Unmanaged.passRetained(Work(body)).toOpaque()
    var id = pthread_t()
    let failure = pthread_create(
        &id, nil,
        { argument in
            if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, work)
    if failure != 0 { throw SystemError("pthread_create", errno: failure) }
    pthread_detach(id)
}

/// pipe(2); a program that is spawned gets neither end.
struct Pipe: ~Copyable {
    let reading: OwnedDescriptor
    let writing: OwnedDescriptor

    init() throws {
        var ends: [Int32] = [-1, -1]
        try check(pipe(&ends), "pipe")
        reading = OwnedDescriptor(owning: ends[0])
        writing = OwnedDescriptor(owning: ends[1])
    }
}
