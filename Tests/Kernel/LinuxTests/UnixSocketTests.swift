// Sockets that carry descriptors, at paths of any length.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct UnixSocketTests {
    /// A connected pair at a path of its own.
    private func withPair(
        _ kind: UnixSocket.Kind, _ body: (borrowing UnixSocket, borrowing UnixSocket) throws -> Void
    ) throws {
        try withTemporaryDirectory { directory in
            let server = try UnixSocket.listen(at: "\(directory)/s", kind)
            let client = try UnixSocket.connect(to: "\(directory)/s", kind)
            guard let accepted = try server.accept() else { throw TestFailure("nobody connected") }
            try body(client, accepted)
        }
    }

    @Test func `a path may be longer than an address of a socket has room for`() throws {
        try withTemporaryDirectory { directory in
            let deep = directory + String(repeating: "/a-rather-long-directory-name", count: 20)
            try makeDirectories(deep)
            let path = "\(deep)/a-socket-with-a-longer-name-of-its-own.socket"
            #expect(path.utf8.count > 500)
            let server = try UnixSocket.listen(at: path, .stream)
            let client = try UnixSocket.connect(to: path, .stream)
            guard let accepted = try server.accept() else { throw TestFailure("nobody connected") }
            _ = try send("hello", through: client)
            #expect(try receive(10, from: accepted).bytes == Array("hello".utf8))
        }
    }

    @Test func `a listening socket is its owner's alone, whatever the umask is`() async throws {
        try await withTemporaryDirectory { directory in
            let bits = try await inMountNamespace {
                umask(0)
                let server = try UnixSocket.listen(at: "\(directory)/s", .stream)
                defer { _ = server.descriptor.number }
                return try mode(of: "\(directory)/s")
            }
            #expect(bits == 0o600)
        }
    }

    @Test func `a socket that a dead owner left is replaced; nobody there is told from nobody listening`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/s"
            func attempt() -> Int32? {
                failure { () throws(SystemError) in _ = try UnixSocket.connect(to: path, .stream) }?.errno
            }
            #expect(attempt() == ENOENT)
            do { _ = try UnixSocket.listen(at: path, .stream) }
            #expect(attempt() == ECONNREFUSED)
            let server = try UnixSocket.listen(at: path, .stream)
            #expect(attempt() == nil)
            _ = server.descriptor.number
        }
    }

    @Test func `nobody to accept is nil, nothing to receive is EAGAIN, the other's end is 0`() throws {
        try withTemporaryDirectory { directory in
            let server = try UnixSocket.listen(at: "\(directory)/s", .stream)
            if try server.accept() != nil { Issue.record("somebody was accepted who never came") }
            let accepted: UnixSocket?
            do {
                let client = try UnixSocket.connect(to: "\(directory)/s", .stream, nonBlocking: true)
                accepted = try server.accept()
                expect(EAGAIN) { () throws(SystemError) in _ = try receive(10, from: client) }
            }
            guard let accepted else { throw TestFailure("nobody connected") }
            #expect(try receive(10, from: accepted).bytes == [])
        }
    }

    @Test(arguments: [UnixSocket.Kind.stream, .sequencedPackets])
    func `descriptors arrive with the bytes, in order, and are not inherited by programs`(
        kind: UnixSocket.Kind
    ) throws {
        try withPair(kind) { client, server in
            let pipe = try Pipe()
            let file = try sealedMemoryFile(named: "test", Array("content".utf8))
            let size = try send("take these", through: client, [file.number, pipe.writing])
            #expect(size == 10)
            let (bytes, numbers) = try receive(100, from: server)
            #expect(bytes == Array("take these".utf8))
            try #require(numbers.count == 2)
            let received = OwnedDescriptor(owning: numbers[0])
            let writing = OwnedDescriptor(owning: numbers[1])
            #expect(fcntl(received.number, F_GETFD) & FD_CLOEXEC != 0)
            lseek(received.number, 0, SEEK_SET)
            #expect(try received.readAll() == Array("content".utf8))
            pipe.closeWriting()
            try writing.writeAll([42])
            #expect(try pipe.next() == 42)
        }
    }

    @Test func `a packet larger than the buffer is EMSGSIZE, and the descriptors with it are closed`() throws {
        try withPair(.sequencedPackets) { client, server in
            let pipe = try Pipe(nonBlocking: true)
            _ = try send("a packet of some length", through: client, [pipe.writing])
            pipe.closeWriting()
            expect(EAGAIN) { () throws(SystemError) in _ = try pipe.next() }
            expect(EMSGSIZE) { () throws(SystemError) in _ = try receive(4, from: server) }
            // The last writer is gone.
            #expect(try pipe.next() == nil)
            // And the connection goes on with the next packet.
            _ = try send("next", through: client)
            #expect(try receive(4, from: server).bytes == Array("next".utf8))
        }
    }

    @Test func `as many descriptors as one message carries arrive; more are E2BIG and none is sent`() throws {
        try withPair(.sequencedPackets) { client, server in
            let file = try sealedMemoryFile(named: "test", [])
            let most = [Int32](repeating: file.number, count: Int(CL_MAX_FDS))
            let tooMany = failure { () throws(SystemError) in
                _ = try send("x", through: client, most + [file.number])
            }
            #expect(tooMany?.errno == E2BIG)
            _ = try send("y", through: client, most)
            let (bytes, numbers) = try receive(10, from: server)
            #expect(bytes == Array("y".utf8))
            #expect(Set(numbers).count == most.count)
            numbers.forEach { close($0) }
        }
    }

    @Test func `the other end is known by its process and user`() throws {
        try withPair(.stream) { client, server in
            let peer = try server.peer()
            #expect(peer.pid == getpid() && peer.uid == getuid())
            _ = client.descriptor.number
        }
    }

    @Test func `sending to one who has gone is an error, not a signal`() throws {
        try withPair(.stream) { client, server in
            shutdown(server.descriptor.number, Int32(SHUT_RDWR))
            expect(EPIPE) { () throws(SystemError) in _ = try send("x", through: client) }
        }
    }
}

private func send(
    _ text: String, through socket: borrowing UnixSocket, _ descriptors: [Int32] = []
) throws(SystemError) -> Int {
    let bytes = Array(text.utf8)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: bytes)
    return try socket.send(UnsafeRawBufferPointer(memory), descriptors: descriptors)
}

private func receive(
    _ limit: Int, from socket: borrowing UnixSocket
) throws(SystemError) -> (bytes: [UInt8], descriptors: [Int32]) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
    defer { memory.deallocate() }
    let (size, numbers) = try socket.receive(into: memory)
    return (Array(memory[..<size]), numbers)
}
