// What several of these suites need.
import Glibc
import Linux
import Synchronization
import Testing

/// A value that cannot be copied, shared between threads.
final class Shared<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}

/// The permission bits of the file at `path`.
func mode(of path: String) throws(SystemError) -> mode_t {
    var status = stat()
    try check(lstat(path, &status), "lstat", path)
    return status.st_mode & 0o7777
}

/// What `body` failed with; nil when it did not.
func failure(_ body: () throws(SystemError) -> Void) -> SystemError? {
    do throws(SystemError) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// Expects `body` to fail with the error number `number`.
func expect(
    _ number: Int32, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws(SystemError) -> Void
) {
    let error = failure(body)
    #expect(error?.errno == number, sourceLocation: sourceLocation)
}

/// Both ends of a pipe.
final class Pipe: Sendable {
    let reading: OwnedDescriptor
    /// -1 when it is closed.
    private let writer: Atomic<Int32>

    init(nonBlocking: Bool = false) throws(SystemError) {
        var numbers: [Int32] = [-1, -1]
        try check(pipe(&numbers), "pipe")
        reading = OwnedDescriptor(owning: numbers[0])
        writer = Atomic(numbers[1])
        for number in numbers {
            try check(fcntl(number, F_SETFD, FD_CLOEXEC), "fcntl", "F_SETFD")
            if nonBlocking { try check(fcntl(number, F_SETFL, O_NONBLOCK), "fcntl", "F_SETFL") }
        }
    }

    deinit { closeWriting() }

    /// The end to write into.
    var writing: Int32 { writer.load(ordering: .relaxed) }

    func closeWriting() {
        let number = writer.exchange(-1, ordering: .relaxed)
        if number >= 0 { close(number) }
    }

    func write(_ byte: UInt8) throws(SystemError) {
        var byte = byte
        try check(Glibc.write(writing, &byte, 1), "write", "pipe")
    }

    /// The next byte, nil when the last writer is gone; EAGAIN when there is none yet and the pipe does not block.
    func next() throws(SystemError) -> UInt8? {
        var byte: UInt8 = 0
        return try check(read(reading.number, &byte, 1), "read", "pipe") == 1 ? byte : nil
    }
}

/// Whether a descriptor with this number is open.
func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }
