import Glibc
import Linux
import Synchronization

/// A host of its own for one test: network, mount, PID and IPC namespaces, a directory and a cgroup parent, all of which
/// vanish when the test ends, however it ends.
///
/// - The first process of the PID namespace (scripts/lib/host) holds a pipe from the test. When the pipe closes, because the
///   test is over or its process was killed, it kills whatever still runs, removes the cgroups and the directory, and goes.
/// - `/run` is a tmpfs of the host's own, `/sys/fs/cgroup` shows only its own cgroups; the rest of the file system is
///   the real one. `uplink0` (192.0.2.10/24) leads to
///   the network namespace `outside` (192.0.2.1), which is the default gateway and stands for the rest of the world.
/// - A host that is part of a ``Testbed`` has a testbed's network instead, and lives as long as that.
public final class TestHost: Sendable {
    /// Its directory, at the same path inside and outside.
    public let directory: String
    /// The cgroup that the host's programs see as the root of each hierarchy under `/sys/fs/cgroup`, as the machine has
    /// it. They do not live in it themselves.
    public let cgroupParent: String
    /// What programs are given unless they are given something else.
    public let environment: [String]

    private let thread: NamespaceThread
    private let started = Mutex<[pid_t]>([])
    /// What holds the host; nil where that is somebody else's.
    private let hold: LifelineProcess?

    public static let address = "192.0.2.10"
    public static let outsideAddress = "192.0.2.1"

    private static let count = Atomic<Int>(0)

    /// Makes a host, runs `body` on it, and removes it, also when `body` fails.
    public static func with<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: (TestHost) async throws -> Result
    ) async throws -> Result {
        let host = try TestHost()
        do {
            let result = try await body(host)
            try await host.remove()
            return result
        } catch {
            // The first failure is the one to report; the removal's own would hide it.
            try? await host.remove()
            throw error
        }
    }

    private init() throws {
        guard getuid() == 0 else { throw TestFailure("tests of the kernel must run as root: scripts/test") }
        let number = Self.count.add(1, ordering: .relaxed).newValue
        directory = try makeTemporaryDirectory()
        cgroupParent = "/swiftlet-test-\(getpid())-\(number)"
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "TMPDIR=\(directory)"]
        thread = try NamespaceThread(unsharing: CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)

        let environment = self.environment + ["DIRECTORY=\(directory)", "CGROUP=\(cgroupParent)", "UPLINK=1"]
        let script = "\(TestImages.repository)/scripts/lib/host"
        hold = try LifelineProcess("the test's host", [script], environment: environment, on: thread)
    }

    /// The host that `process` is the first process of, for as long as somebody else holds it.
    init(enteringNamespacesOf process: pid_t, directory: String, cgroupParent: String) throws {
        (self.directory, self.cgroupParent) = (directory, cgroupParent)
        environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "TMPDIR=\(directory)"]
        thread = try NamespaceThread(enteringNamespacesOf: process)
        hold = nil
    }

    deinit {
        hold?.letGo()
        thread.stop()
    }

    /// Ends all that runs on the host and removes what belongs to it. Fails when something could not be removed.
    private func remove() async throws {
        hold?.letGo()
        try await leave()
        try await hold?.waitForEnd()
    }

    /// Gives up the host: what was started on it is ended. Its first process can end only when that is reaped, and these are
    /// our children.
    func leave() async throws {
        thread.stop()
        // What a test has waited for itself is nobody's child any more.
        let others = started.withLock { $0 }
        try await blocking {
            var status: Int32 = 0
            for other in others where waitpid(other, &status, WNOHANG) == 0 {
                kill(other, SIGKILL)
                waitpid(other, &status, 0)
            }
        }
    }

    /// Runs `body` on a thread inside the host's network and mount namespaces, blocking the caller. `/proc` there shows
    /// the host's processes; this process is not one of them.
    public func inside<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        try thread.perform(body)
    }

    /// Runs a program to its end. `outside` runs it in the network namespace beyond the uplink.
    public func run(
        _ command: [String], environment more: [String] = [], input: String = "", outside: Bool = false,
        seconds: Double = 60
    ) async throws -> Outcome {
        let (stdin, output, errors) = (try makePipe(), try makePipe(), try makePipe())
        let pid = try launch(
            command, environment: more, outside: outside,
            descriptors: [stdin.read.number, output.write.number, errors.write.number])
        for end in [stdin.read, output.write, errors.write] { end.close() }
        return try await blocking {
            // A pipe holds 64 KiB, and tests' inputs are far smaller: this does not block.
            _ = input.utf8.withContiguousStorageIfAvailable { write(stdin.write.number, $0.baseAddress, $0.count) }
            stdin.write.close()
            return try collect(command, pid: pid, output: output.read, errors: errors.read, seconds: seconds)
        }
    }

    /// Runs a line of shell.
    public func shell(
        _ script: String, environment: [String] = [], outside: Bool = false, seconds: Double = 60
    ) async throws -> Outcome {
        try await run(["/bin/bash", "-c", script], environment: environment, outside: outside, seconds: seconds)
    }

    /// Starts a program in the background; what it says goes to the file `log`, appended.
    public func start(
        _ command: [String], environment more: [String] = [], log: String, outside: Bool = false
    ) throws -> RunningProgram {
        let file = try OwnedDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
        let pid = try launch(
            command, environment: more, outside: outside, descriptors: [-1, file.number, file.number])
        started.withLock { $0.append(pid) }
        return RunningProgram(pid: pid, command: command)
    }

    private func launch(
        _ command: [String], environment more: [String], outside: Bool, descriptors: [Int32]
    ) throws -> pid_t {
        let full = outside ? ["ip", "netns", "exec", "outside"] + command : command
        let path = try locate(full[0])
        let environment = self.environment + more
        return try thread.perform {
            try spawn(path, arguments: full, environment: environment, descriptors: descriptors, newSession: true)
        }
    }
}
