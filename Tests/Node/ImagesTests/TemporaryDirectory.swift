// Images' tests: what they need to make images and registries of their own. This file: places and programs.
import CLinux
import Glibc
import Linux
import Testing

/// A directory that is gone when the test is.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = "/tmp/swiftlet-images-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try makeDirectories(path, mode: 0o700)
    }

    deinit { try? removeTree(path) }

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        try makeDirectories(parentDirectory(of: file))
        try writeFileAtomically(file, bytes)
        return file
    }
}

/// Runs a program to its end; a failure is the test's.
@discardableResult
func run(
    _ program: String, _ arguments: [String], environment: [String] = [],
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> Int32 {
    let path = try #require(
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map { "\($0)/\(program)" }.first { fileExists($0) },
        "\(program) is not installed", sourceLocation: sourceLocation)
    let log = OwnedDescriptor(owning: try check(cl_memfd_create("log"), "memfd_create"))
    let pid = try spawn(
        path, arguments: [program] + arguments, environment: ["PATH=/usr/bin:/bin", "HOME=/nonexistent"] + environment,
        descriptors: [-1, log.number, log.number])
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    let code = cl_wifexited(status) ? cl_wexitstatus(status) : -1
    if code != 0 {
        lseek(log.number, 0, SEEK_SET)
        let output = String(decoding: try log.readAll(), as: UTF8.self)
        Issue.record("\(program) \(arguments): exit \(code): \(output)", sourceLocation: sourceLocation)
    }
    return code
}

/// A program that runs as long as the value lives.
final class Daemon: Sendable {
    let pid: pid_t

    init(_ path: String, _ arguments: [String], log: String, environment: [String] = []) throws {
        let file = try OwnedDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        pid = try spawn(
            path, arguments: [path] + arguments,
            environment: ["PATH=/usr/bin:/bin", "HOME=/nonexistent"] + environment,
            descriptors: [-1, file.number, file.number])
    }

    deinit {
        kill(pid, SIGKILL)
        while waitpid(pid, nil, 0) < 0 && errno == EINTR {}
    }
}

/// A TCP port of 127.0.0.1 that nobody listened on a moment ago.
func freePort() throws -> UInt16 {
    let listener = try Listener()
    return listener.port
}

/// Waits until something listens on the port; connect(2) itself tells.
func waitForListener(_ port: UInt16) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
        let socket = OwnedDescriptor(
            owning: try check(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "socket"))
        var address = loopback(port)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result == 0 { return }
        usleep(5000)
    }
    throw SystemError("connect", "127.0.0.1:\(port)", errno: ETIMEDOUT)
}

func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

/// A listening socket on a port that the kernel chose.
final class Listener: Sendable {
    let descriptor: OwnedDescriptor
    let port: UInt16

    init() throws {
        let socket = OwnedDescriptor(
            owning: try check(Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "socket"))
        try check(fcntl(socket.number, F_SETFD, FD_CLOEXEC), "fcntl")
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try check(bind(socket.number, $0, length), "bind")
                try check(listen(socket.number, 64), "listen")
                try check(getsockname(socket.number, $0, &length), "getsockname")
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        descriptor = socket
    }
}
