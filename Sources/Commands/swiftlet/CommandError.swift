// What a command says when it cannot do what it was asked: one line on standard error and an exit code.
import ArgumentParser
import Glibc

/// A failure that a person reads: printed as `error: <message>`, then the process exits with `code`.
struct CommandError: Error, CustomStringConvertible {
    let message: String
    /// 1 unless the command has a meaning of its own for it (`pod exec`: the command's exit code, 126, 127).
    let code: Int32

    init(_ message: String, code: Int32 = 1) {
        self.message = message
        self.code = code
    }

    var description: String { message }
}

/// Writes all of `text` to `descriptor`; a reader that went away is not an error worth a message.
func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN {
                var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = Glibc.poll(&poll, 1, -1)
                continue
            }
            if count <= 0 { return }
            offset += count
        }
    }
}

/// `warning: …` on standard error.
func warn(_ message: String) { write("warning: \(message)\n", to: STDERR_FILENO) }

/// `error: …` on standard error, for each line of `message`.
func complain(_ message: String) {
    write(message.split(separator: "\n").map { "error: \($0)\n" }.joined(), to: STDERR_FILENO)
}
