// Programs started from a process of any size, held by descriptors that cannot come to mean another.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct ProcessesTests {
    /// `cat` between two pipes, which has started for certain when `body` runs: it has answered.
    private func withCat<Result>(
        descriptors more: [Int32] = [-1], newSession: Bool = false, _ body: (pid_t) throws -> Result
    ) throws -> Result {
        let input = try Pipe()
        let output = try Pipe()
        let pid = try spawn(
            "/bin/cat", arguments: ["cat"], environment: ["LC_ALL=C"],
            descriptors: [input.reading.number, output.writing] + more, newSession: newSession)
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        output.closeWriting()
        try input.write(1)
        guard try output.next() == 1 else { throw TestFailure("cat does not answer") }
        return try body(pid)
    }

    @Test func `a program has exactly the descriptors it was given, at their places`() throws {
        let file = try sealedMemoryFile(named: "given", [])
        // One that nobody marked close-on-exec, as a careless library would leave it.
        let careless = try OwnedDescriptor(opening: "/dev/zero", flags: O_RDONLY)
        try check(fcntl(careless.number, F_SETFD, 0), "fcntl")
        try withCat(descriptors: [-1, file.number, -1, file.number]) { pid in
            let numbers = try listDirectory("/proc/\(pid)/fd")
            #expect(numbers == ["0", "1", "2", "3", "5"])
            #expect(link("/proc/\(pid)/fd/2") == "/dev/null")
            for number in [3, 5] { #expect(link("/proc/\(pid)/fd/\(number)").hasPrefix("/memfd:given")) }
        }
    }

    @Test func `descriptors that trade places arrive at the right ones`() throws {
        let pipe = try Pipe()
        // The numbers of standard output and error, the other way round, and the pipe at both.
        let pid = try spawn(
            "/bin/sh", arguments: ["sh", "-c", "printf out; printf err >&2; printf more >&5"], environment: [],
            descriptors: [-1, pipe.writing, pipe.writing, STDOUT_FILENO, STDIN_FILENO, pipe.writing])
        pipe.closeWriting()
        #expect(try pipe.reading.readAll() == Array("outerrmore".utf8))
        #expect(waitpid(pid, nil, 0) == pid)
    }

    @Test func `a program gets its arguments and environment, byte for byte and nothing more`() throws {
        let pipe = try Pipe()
        let pid = try spawn(
            "/usr/bin/env", arguments: ["env"], environment: ["A=1", "B=two words", "ÄÖ=ü"],
            descriptors: [-1, pipe.writing])
        pipe.closeWriting()
        #expect(try pipe.reading.readAll() == Array("A=1\nB=two words\nÄÖ=ü\n".utf8))
        #expect(waitpid(pid, nil, 0) == pid)
    }

    @Test func `a program starts with all signals unblocked and at their defaults`() async throws {
        let status = try await blocking {
            // Blocked on this thread, and ignored by the process, as a server may have it.
            var blocked = sigset_t()
            sigemptyset(&blocked)
            sigaddset(&blocked, SIGUSR2)
            pthread_sigmask(SIG_BLOCK, &blocked, nil)
            let before = signal(SIGURG, SIG_IGN)
            defer { signal(SIGURG, before) }
            return try withCat { try readText("/proc/\($0)/status") }
        }
        let lines = status.split(separator: "\n")
        for field in ["SigBlk", "SigIgn", "SigCgt"] {
            #expect(lines.contains("\(field):\t0000000000000000"), "\(field)")
        }
    }

    @Test func `a program leads a session where it is asked to`() throws {
        try withCat(newSession: true) { #expect(getsid($0) == $0) }
        try withCat { #expect(getsid($0) == getsid(0)) }
    }

    @Test(arguments: [("/nonexistent/program", ENOENT), ("/etc", EACCES), ("/etc/passwd", EACCES)])
    func `a program that cannot start is an error that names it, and leaves no child`(
        path: String, number: Int32
    ) async throws {
        let (error, children) = try await blocking {
            let error = failure { () throws(SystemError) in
                _ = try spawn(path, arguments: ["x"], environment: [], descriptors: [])
            }
            return (error, try readText("/proc/thread-self/children"))
        }
        #expect(error == SystemError("exec", path, errno: number))
        #expect(children.isEmpty)
    }

    @Test func `a descriptor that is not open is an error, not a program without it`() {
        let error = failure { () throws(SystemError) in
            _ = try spawn("/bin/true", arguments: ["true"], environment: [], descriptors: [1 << 20])
        }
        #expect(error?.errno == EBADF)
    }

    @Test func `a process held by a descriptor is signalled and waited for; one that is gone cannot be held`() throws {
        let pid = try spawn("/bin/sleep", arguments: ["sleep", "1000"], environment: [], descriptors: [])
        let process = try ProcessDescriptor(pid: pid)
        let early = process.waitForExit(milliseconds: 0) || process.waitForExit(milliseconds: 10)
        #expect(!early)
        try process.signal(SIGTERM)
        let ended = process.waitForExit(milliseconds: 10_000)
        #expect(ended)
        var status: Int32 = 0
        #expect(waitpid(pid, &status, 0) == pid)
        #expect(cl_wtermsig(status) == SIGTERM)
        try process.signal(SIGKILL)
        let still = process.waitForExit(milliseconds: -1)
        #expect(still)
        let error = failure { () throws(SystemError) in _ = try ProcessDescriptor(pid: pid) }
        #expect(error == SystemError("pidfd_open", "\(pid)", errno: ESRCH))
    }

    @Test func `a sealed memory file says what it was given and cannot be changed by anybody`() throws {
        let file = try sealedMemoryFile(named: "test", Array("content".utf8))
        func unwritable(_ number: Int32) -> Bool {
            var byte: UInt8 = 1
            return pwrite(number, &byte, 1, 0) == -1 && errno == EPERM
        }
        #expect(unwritable(file.number))
        #expect(ftruncate(file.number, 0) == -1 && errno == EPERM)
        #expect(ftruncate(file.number, 100) == -1 && errno == EPERM)
        let again = try OwnedDescriptor(opening: "/proc/self/fd/\(file.number)", flags: O_RDWR)
        #expect(unwritable(again.number))
        #expect(try again.readAll() == Array("content".utf8))
    }

    private func link(_ path: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
