// Network namespaces that a test makes, and plain sockets inside of them; gone with the last descriptor.
import CLinux
import Glibc
import Linux

/// A new network namespace, which lives as long as the value (and sockets or interfaces' peers in it).
public final class TestNamespace: Sendable {
    public let descriptor: OwnedDescriptor

    public init() throws {
        // unshare(2) changes the calling thread for good, so a thread of its own does it and ends.
        let context = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        defer { context.deallocate() }
        context.pointee = -1
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                let number: Int32
                if cl_unshare(Int32(CLONE_NEWNET)) < 0 {
                    number = -errno
                } else {
                    let opened = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
                    number = opened < 0 ? -errno : opened
                }
                context.assumingMemoryBound(to: Int32.self).pointee = number
                return nil
            }, context)
        guard failure == 0 else { throw SystemError("pthread_create", errno: failure) }
        pthread_join(thread, nil)
        guard context.pointee >= 0 else { throw SystemError("unshare", "CLONE_NEWNET", errno: -context.pointee) }
        descriptor = OwnedDescriptor(owning: context.pointee)
    }

    private init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    /// The one that the calling thread is in.
    public static func current() throws -> TestNamespace {
        TestNamespace(try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY))
    }

    /// A socket in the namespace whose calls give up after two seconds.
    public func socket(_ domain: Int32, _ type: Int32) throws -> TestSocket {
        let number = cl_socket_in_netns(descriptor.number, domain, type, 0)
        let socket = OwnedDescriptor(owning: try check(number, "socket"))
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            try check(
                setsockopt(socket.number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size)),
                "setsockopt")
        }
        return TestSocket(socket)
    }

    /// A listening TCP socket; port 0 lets the kernel choose.
    public func listen(on address: String, port: UInt16) throws -> TestSocket {
        let socket = try socket(family(of: address), Int32(SOCK_STREAM.rawValue))
        try socket.bind(address, port)
        try check(Glibc.listen(socket.descriptor.number, 64), "listen", "\(address):\(port)")
        return socket
    }

    /// A connected TCP socket.
    public func connect(to address: String, port: UInt16, from source: String? = nil) throws -> TestSocket {
        let socket = try socket(family(of: address), Int32(SOCK_STREAM.rawValue))
        if let source { try socket.bind(source, 0) }
        try socket.connect(address, port)
        return socket
    }

    /// A UDP socket bound to the address.
    public func datagrams(on address: String, port: UInt16) throws -> TestSocket {
        let socket = try socket(family(of: address), Int32(SOCK_DGRAM.rawValue))
        try socket.bind(address, port)
        return socket
    }

    private func family(of address: String) -> Int32 { address.contains(":") ? AF_INET6 : AF_INET }
}

/// A socket of a ``TestNamespace``.
public final class TestSocket: Sendable {
    public let descriptor: OwnedDescriptor
    public init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    public func bind(_ address: String, _ port: UInt16) throws {
        var on: Int32 = 1
        setsockopt(descriptor.number, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        if address.contains(":") { setsockopt(descriptor.number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, 4) }
        try withAddress(address, port) { pointer, size in
            // What another test starts holds copies of this one's sockets, closed ones too, until it becomes another
            // program: a port may be taken for a moment more.
            for _ in 0..<1000 {
                if Glibc.bind(descriptor.number, pointer, size) == 0 { return }
                if errno != EADDRINUSE { break }
                poll(nil, 0, 2)
            }
            throw SystemError("bind", "\(address):\(port)")
        }
    }

    public func connect(_ address: String, _ port: UInt16) throws {
        try withAddress(address, port) {
            try check(Glibc.connect(descriptor.number, $0, $1), "connect", "\(address):\(port)")
        }
    }

    /// The next connection and who it came from, as the address that arrived.
    public func accept() throws -> (socket: TestSocket, peer: String) {
        var peer = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let number = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(descriptor.number, $0, &size) }
        }
        return (TestSocket(OwnedDescriptor(owning: try check(number, "accept"))), Self.parts(&peer).address)
    }

    public func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        try check(Glibc.send(descriptor.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)), "send")
    }

    public func send(_ text: String, to address: String, port: UInt16) throws {
        let bytes = Array(text.utf8)
        try withAddress(address, port) {
            try check(sendto(descriptor.number, bytes, bytes.count, 0, $0, $1), "sendto", "\(address):\(port)")
        }
    }

    /// One datagram or what a stream has, and its sender's address and port (UDP).
    public func receive() throws -> (text: String, peer: String, port: UInt16) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var peer = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let count = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor.number, &buffer, buffer.count, 0, $0, &size)
            }
        }
        try check(count, "recvfrom")
        let (address, port) = Self.parts(&peer)
        return (String(decoding: buffer[..<count], as: UTF8.self), address, port)
    }

    private static func parts(_ storage: inout sockaddr_storage) -> (address: String, port: UInt16) {
        withUnsafeMutableBytes(of: &storage) { bytes in
            let isIPv6 = storage6(bytes)
            let offset = isIPv6 ? 8 : 4  // sin6_addr, sin_addr
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            let address = bytes.baseAddress.map { UnsafeRawPointer($0) + offset }
            _ = inet_ntop(isIPv6 ? AF_INET6 : AF_INET, address, &text, socklen_t(text.count))
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            return (String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port)
        }
    }

    private static func storage6(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        bytes.loadUnaligned(as: sa_family_t.self) == sa_family_t(AF_INET6)
    }

    private func withAddress(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Void
    ) throws {
        if text.contains(":") { return try withAddress6(text, port, body) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, text, &address.sin_addr) == 1 else {
            throw SystemError("inet_pton", text, errno: EINVAL)
        }
        try withUnsafePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private func withAddress6(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Void
    ) throws {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        guard inet_pton(AF_INET6, text, &address.sin6_addr) == 1 else {
            throw SystemError("inet_pton", text, errno: EINVAL)
        }
        try withUnsafePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
