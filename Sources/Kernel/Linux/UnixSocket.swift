import CLinux
import Glibc

/// An AF_UNIX socket that carries descriptors (unix(7)).
public struct UnixSocket: ~Copyable, Sendable {
    public enum Kind: Sendable { case stream, sequencedPackets }
    public let descriptor: OwnedDescriptor

    public init(owning descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    private static func make(_ kind: Kind, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        let type = Int32((kind == .stream ? SOCK_STREAM : SOCK_SEQPACKET).rawValue)
        let number = socket(AF_UNIX, type | Int32(SOCK_CLOEXEC.rawValue) | flags, 0)
        return OwnedDescriptor(owning: try check(number, "socket", "AF_UNIX"))
    }

    /// Listens at `path`, whose directory exists, with mode 0600; a file of that name is replaced. The path may be of any
    /// length.
    public static func listen(
        at path: String, _ kind: Kind, backlog: Int32 = 64, nonBlocking: Bool = true
    ) throws(SystemError) -> UnixSocket {
        let socket = try make(kind, nonBlocking ? Int32(SOCK_NONBLOCK.rawValue) : 0)
        let directory = try OwnedDescriptor(opening: parentDirectory(of: path), flags: O_RDONLY | O_DIRECTORY)
        let name = lastComponent(of: path)
        unlinkat(directory.number, name, 0)
        try check(fchmod(socket.number, 0o600), "fchmod", path)
        try check(cl_bind_unix_at(socket.number, directory.number, name), "bind", path)
        try check(Glibc.listen(socket.number, backlog), "listen", path)
        return UnixSocket(owning: socket)
    }

    /// Connects to `path`; nobody listening there fails with ECONNREFUSED or ENOENT.
    public static func connect(
        to path: String, _ kind: Kind, nonBlocking: Bool = false
    ) throws(SystemError) -> UnixSocket {
        let socket = try make(kind, 0)
        let directory = try OwnedDescriptor(opening: parentDirectory(of: path), flags: O_RDONLY | O_DIRECTORY)
        try check(cl_connect_unix_at(socket.number, directory.number, lastComponent(of: path)), "connect", path)
        if nonBlocking { try check(fcntl(socket.number, F_SETFL, O_NONBLOCK), "fcntl", "O_NONBLOCK") }
        return UnixSocket(owning: socket)
    }

    /// The next client of a listening socket, nil when there is none right now.
    public func accept(nonBlocking: Bool = true) throws(SystemError) -> UnixSocket? {
        let flags = Int32(SOCK_CLOEXEC.rawValue) | (nonBlocking ? Int32(SOCK_NONBLOCK.rawValue) : 0)
        while true {
            let number = cl_accept(descriptor.number, flags)
            if number >= 0 { return UnixSocket(owning: OwnedDescriptor(owning: number)) }
            if errno == EAGAIN { return nil }
            if errno != EINTR && errno != ECONNABORTED { throw SystemError("accept4") }
        }
    }

    /// Who is at the other end (SO_PEERCRED).
    public func peer() throws(SystemError) -> (pid: pid_t, uid: uid_t) {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var gid: gid_t = 0
        try check(cl_peer_credentials(descriptor.number, &pid, &uid, &gid), "getsockopt", "SO_PEERCRED")
        return (pid, uid)
    }

    /// Sends `bytes`, the descriptors with the first of them; how many bytes went (a stream may take a part).
    public func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = []) throws(SystemError) -> Int {
        try check(
            cl_send_fds(descriptor.number, bytes.baseAddress, bytes.count, descriptors, descriptors.count, 0), "sendmsg"
        )
    }

    /// Receives into `buffer`: the number of bytes (0 at the end) and the descriptors that came, which the caller owns.
    /// EAGAIN where nothing is there on a non-blocking socket; EMSGSIZE for a packet larger than `buffer`.
    public func receive(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> (Int, [Int32]) {
        var numbers = [Int32](repeating: -1, count: Int(CL_MAX_FDS))
        var count = 0
        let size = try check(
            cl_recv_fds(descriptor.number, buffer.baseAddress, buffer.count, &numbers, &count, 0), "recvmsg")
        return (size, Array(numbers[..<count]))
    }
}
