import Glibc

/// A netlink request that failed: what was asked, of what, the error number, and what the kernel said about it.
public struct NetlinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was asked, in words: `create veth`, `add route`.
    public let operation: String
    /// Of what: `sl4k2 (eth0 in namespace 7)`, `10.88.0.5/32 dev 12`. May be empty.
    public let subject: String
    /// The error number, as in errno(3).
    public let errno: Int32
    /// The kernel's own explanation (NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG), where it gave one.
    public let message: String?

    public init(operation: String, subject: String, errno: Int32, message: String? = nil) {
        self.operation = operation
        self.subject = subject
        self.errno = errno
        self.message = message
    }

    /// `add route 10.88.0.5/32 dev 12: Network is unreachable (Nexthop has invalid gateway)`
    public var description: String {
        let reason = String(cString: strerror(errno)) + (message.map { " (\($0))" } ?? "")
        return subject.isEmpty ? "\(operation): \(reason)" : "\(operation) \(subject): \(reason)"
    }
}
