import Glibc

/// A system call that failed: which one, on what, and why.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call as in section 2 of the manual, such as `openat2`.
    public let call: String
    /// What it was called on: a path, an interface, a descriptor's role. May be empty.
    public let subject: String
    /// The error number, as in errno(3).
    public let errno: Int32

    public init(_ call: String, _ subject: String = "", errno: Int32 = Glibc.errno) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    /// `openat2 /etc/passwd: No such file or directory`
    public var description: String {
        let reason = String(cString: strerror(errno))
        return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }
}

/// Turns the -1 convention of system calls into a thrown ``SystemError``; returns the result otherwise.
@discardableResult
public func check<Number: SignedInteger>(
    _ result: Number, _ call: String, _ subject: @autoclosure () -> String = ""
) throws(SystemError) -> Number {
    if result < 0 {
        let number = errno
        throw SystemError(call, subject(), errno: number)
    }
    return result
}
