import Glibc
import Linux
import Synchronization

/// A host of its own for one test: network, mount, PID and IPC namespaces, a directory and a cgroup parent, all of which
/// vanish when the test ends, however it ends.
///
/// - The first process of the PID namespace holds a pipe from the test. When the pipe closes, because the test is over or
///   its process was killed, it kills whatever still runs, removes the cgroups and the directory, and goes.
/// - `/run` is a tmpfs of the host's own, `/sys/fs/cgroup` shows only its own cgroups; the rest of the file system is
///   the real one. `uplink0` (192.0.2.10/24) leads to
///   the network namespace `outside` (192.0.2.1), which is the default gateway and stands for the rest of the world.
public final class TestHost: Sendable {
    /// Its directory, at the same path inside and outside.
    public let directory: String
    /// The cgroup that the host's programs see as the root of each hierarchy under `/sys/fs/cgroup`, as the machine has
    /// it. They do not live in it themselves.
    public let cgroupParent: String
    /// What programs are given unless they are given something else.
    public let environment: [String]

    private let thread: NamespaceThread
    private let firstProcess: pid_t
    private let started = Mutex<[pid_t]>([])
    /// The write end of the first process's standard input.
    private let lifeline: PipeEnd
    private let reports: PipeEnd

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

        let (life, lifeline) = try makePipe()
        let (reports, report) = try makePipe()
        (self.lifeline, self.reports) = (lifeline, reports)
        let environment = self.environment + ["DIRECTORY=\(directory)", "CGROUP=\(cgroupParent)"]
        firstProcess = try thread.perform {
            try spawn(
                "/bin/bash", arguments: ["swiftlet-test-host", "-c", Self.script], environment: environment,
                descriptors: [life.number, report.number, STDERR_FILENO], newSession: true)
        }
        life.close()
        report.close()
        let first = try Self.line(from: reports, seconds: 20)
        guard first == "ready" else {
            throw TestFailure("the test's host did not come up: '\(first)'")
        }
    }

    deinit {
        lifeline.close()
        thread.stop()
    }

    /// Ends all that runs on the host and removes what belongs to it. Fails when something could not be removed.
    private func remove() async throws {
        lifeline.close()
        thread.stop()
        let (pid, reports) = (firstProcess, reports)
        // The host's process 1 ends only when all others are reaped, and these are our children. What a test has waited
        // for itself is nobody's child any more.
        let others = started.withLock { $0 }
        let rest = try await blocking { () -> String in
            var text = ""
            while let line = try? Self.line(from: reports, seconds: 60), !line.isEmpty { text += line + "\n" }
            var status: Int32 = 0
            for other in others where waitpid(other, &status, WNOHANG) == 0 {
                kill(other, SIGKILL)
                waitpid(other, &status, 0)
            }
            try check(waitpid(pid, &status, 0), "waitpid", "\(pid)")
            return status == 0 ? text : text + "status \(status)"
        }
        guard rest.isEmpty else { throw TestFailure("the test's host left something behind:\n\(rest)") }
    }

    /// One line, byte by byte; empty at the end of the stream.
    private static func line(from end: PipeEnd, seconds: Double) throws -> String {
        var bytes: [UInt8] = []
        while true {
            guard waitReadable(end.number, milliseconds: Int32(seconds * 1000)) else {
                throw TestFailure("no word from the test's host in \(seconds) s")
            }
            var byte: UInt8 = 0
            if read(end.number, &byte, 1) <= 0 || byte == 10 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
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

    /// The first process of the host: sets it up, waits for the test's end, and clears up. Everything it says after
    /// `ready` is something that was left.
    private static let script = """
        set -eu
        mount --make-rprivate /
        mount -t proc proc /proc
        mount -t tmpfs -o mode=755 tmpfs /run
        mkdir -p /run/lock /run/netns
        hierarchies() {
            if [ -e /sys/fs/cgroup/cgroup.procs ]; then echo /sys/fs/cgroup; return; fi
            awk '$5 ~ "^/sys/fs/cgroup/" && !seen[$5]++ { print $5 }' /proc/self/mountinfo
        }
        hierarchies=$(hierarchies)
        for hierarchy in $hierarchies; do
            mkdir $hierarchy$CGROUP
            for setting in cpuset.cpus cpuset.mems; do
                [ ! -e $hierarchy/$setting ] || cat $hierarchy/$setting >$hierarchy$CGROUP/$setting
            done
            mount --bind $hierarchy$CGROUP $hierarchy
        done
        # A new namespace inherits the machine's setting; a host that forwards nothing is what an agent must cope with.
        echo 0 >/proc/sys/net/ipv4/ip_forward
        ip link set lo up
        ip netns add outside
        ip link add uplink0 type veth peer name uplink0 netns outside
        ip address add 192.0.2.10/24 dev uplink0
        # No address of its own making, which would appear at some later moment.
        ip link set uplink0 addrgenmode none
        ip link set uplink0 up
        ip -n outside link set lo up
        ip -n outside address add 192.0.2.1/24 dev uplink0
        ip -n outside link set uplink0 up
        ip route add default via 192.0.2.1
        echo ready
        read -r _ || true
        set +e
        kill -KILL -1 2>/dev/null
        for attempt in $(seq 200); do
            [ -n "$(find $hierarchies -mindepth 1 -type d)" ] || break
            find $hierarchies -mindepth 1 -depth -type d | xargs -r rmdir 2>/dev/null || sleep 0.05
        done
        for hierarchy in $hierarchies; do
            # Lazily: what was just killed may hold it for a moment more, and the cgroup too.
            umount -l $hierarchy
            for attempt in $(seq 200); do
                rmdir $hierarchy$CGROUP 2>/dev/null && break || sleep 0.05
            done
            [ ! -d $hierarchy$CGROUP ] || echo "cgroup $hierarchy$CGROUP"
        done
        # What is mounted below the directory goes first, the latest mount before those it stands on.
        awk -v top="$DIRECTORY/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | tac |
            while read -r place; do umount -l "$(printf '%b' "$place")"; done
        rm -rf --one-file-system "$DIRECTORY" || ls -d "$DIRECTORY"
        exit 0
        """
}
