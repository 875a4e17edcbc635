// The tests of ContainerRuntime run real pods: a podinit, containers from a busybox root file system, the real kernel.
import CLinux
import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

/// A sandbox with directories of its own, and short ways to run commands in it.
final class TestPod: Sendable {
    let directory: String
    let sandbox: Sandbox
    var logs: String { "\(directory)/logs" }
    var exits: String { "\(directory)/exits" }
    var image: String { "\(directory)/image" }

    private init(_ directory: String, _ sandbox: Sandbox) {
        self.directory = directory
        self.sandbox = sandbox
    }

    /// The program under test: `$SWIFTLET_PODINIT`, or what CSupport/podinit/Makefile builds.
    static func program() throws -> PodinitProgram {
        let built = "\(#filePath)".components(upTo: "/Tests/") + "/.build/podinit"
        return try PodinitProgram(path: getenv("SWIFTLET_PODINIT").map { String(cString: $0) } ?? built)
    }

    /// Runs `body` with a pod; everything of it is gone afterwards, also when `body` fails.
    static func with(
        _ change: (inout SandboxPlan) -> Void = { _ in },
        _ body: (TestPod) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            for name in ["logs", "exits", "run"] { try makeDirectories("\(directory)/\(name)") }
            try makeImage("\(directory)/image")
            let exits = try OwnedDescriptor(opening: "\(directory)/exits", flags: O_RDONLY | O_DIRECTORY)
            var plan = SandboxPlan(exitsDirectory: exits.number)
            change(&plan)
            let sandbox = try await Sandbox.launch(plan, socketDirectory: "\(directory)/run", program: program())
            let pod = TestPod(directory, sandbox)
            do {
                try await body(pod)
            } catch {
                try? await sandbox.terminate()
                throw error
            }
            try await sandbox.terminate()
        }
    }

    /// A second connection, as a restarted agent makes it.
    func adopt() async throws -> Sandbox { try await Sandbox.adopt(socketDirectory: "\(directory)/run") }

    /// Starts a container from `arguments` on a fresh overlay over the image.
    @discardableResult
    func start(
        _ arguments: [String], name: String = "main", attempt: UInt32 = 0,
        _ change: (inout ContainerPlan) -> Void = { _ in }
    ) async throws -> StartedContainer {
        let layers = "\(directory)/\(name).\(attempt).\(UInt32.random(in: 0 ... .max))"
        try makeDirectories("\(layers)/upper")
        try makeDirectories("\(layers)/work")
        let root = try RootFilesystem.overlay(layers: [image], upper: "\(layers)/upper", work: "\(layers)/work")
        let log = try OwnedDescriptor(opening: logs, flags: O_RDONLY | O_DIRECTORY)
        var process = ProcessPlan(arguments: arguments)
        process.environment = ["PATH=/bin", "HOME=/"]
        var plan = ContainerPlan(name: name, attempt: attempt, process: process, root: root.mount.number)
        plan.cgroupView = .hierarchies([])
        plan.log = ContainerPlan.Log(directory: log.number)
        change(&plan)
        return try await sandbox.start(plan)
    }

    /// Starts a shell with `script`, waits for its end.
    func run(
        _ script: String, name: String = "main", attempt: UInt32 = 0, _ change: (inout ContainerPlan) -> Void = { _ in }
    ) async throws -> Outcome {
        try await start(["sh", "-c", script], name: name, attempt: attempt, change)
        let status = try await exit(of: name, attempt: attempt)
        return Outcome(status: status, lines: try logLines(attempt))
    }

    struct Outcome {
        let status: ContainerRuntime.ExitStatus
        let lines: [LogLine]
        /// What was written, both streams, as it was written.
        var output: String { lines.map { $0.text + ($0.tag == "F" ? "\n" : "") }.joined() }
    }

    /// Waits until the attempt has ended.
    func exit(of name: String = "main", attempt: UInt32 = 0) async throws -> ContainerRuntime.ExitStatus {
        // The end may have come before anyone listened: podinit knows, and its events come after it was asked.
        if let status = try await ended(name, attempt, sandbox) { return status }
        for await event in sandbox.events {
            guard case .containerExited(let status) = event else { break }
            if status.name == name, status.attempt == attempt, let exit = status.exit { return exit }
        }
        throw TestFailure("podinit is gone")
    }

    private func ended(_ name: String, _ attempt: UInt32, _ sandbox: Sandbox) async throws -> ContainerRuntime
        .ExitStatus?
    {
        try await sandbox.status().first { $0.name == name && $0.attempt == attempt }?.exit
    }

    func logLines(_ attempt: UInt32 = 0) throws -> [LogLine] { try LogLine.parse(readText("\(logs)/\(attempt).log")) }
}

/// A line of the CRI log format.
struct LogLine: Equatable {
    let time: String
    let stream: String
    let tag: String
    let text: String

    /// Every line of a log file; one that is not of the format fails the test.
    static func parse(_ content: String) throws -> [LogLine] {
        // A Character of Swift may be CR and LF together.
        try content.unicodeScalars.split(separator: "\n").map { scalars in
            let line = String(scalars)
            let parts = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
            let time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z/
            guard parts.count == 4, parts[0].wholeMatch(of: time) != nil, ["stdout", "stderr"].contains(parts[1]),
                ["F", "P"].contains(parts[2])
            else { throw TestFailure("not a CRI log line: \(line)") }
            return LogLine(time: parts[0], stream: parts[1], tag: parts[2], text: parts[3])
        }
    }
}

/// A root file system of busybox (Debian's busybox-static).
func makeImage(_ path: String) throws {
    for directory in ["bin", "etc", "tmp", "var"] { try makeDirectories("\(path)/\(directory)") }
    try writeFileAtomically("\(path)/bin/busybox", try readFile("/bin/busybox"), mode: 0o755)
    let applets = [
        "sh", "cat", "echo", "ls", "id", "sleep", "true", "stat", "head", "yes", "tr", "test", "tty", "mount", "sed",
        "od",
        "grep", "touch", "mkdir", "ps", "printf", "seq", "stty", "env", "chmod", "df", "tail", "cut",
    ]
    for applet in applets {
        try check(symlink("busybox", "\(path)/bin/\(applet)"), "symlink", applet)
    }
    try check(chmod("\(path)/tmp", 0o1777), "chmod", "tmp")
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:web:/srv:/bin/sh\nbroken\nbad:x:1x:2::/:\n"
    let group = "root:x:0:\nweb:x:102:\nstaff:x:50:web,other\nlogs:x:51:web\n"
    try writeFileAtomically("\(path)/etc/passwd", Array(passwd.utf8))
    try writeFileAtomically("\(path)/etc/group", Array(group.utf8))
}

extension String {
    /// What comes before the last `separator`; all of it without one.
    fileprivate func components(upTo separator: String) -> String {
        guard let range = self.ranges(of: separator).last else { return self }
        return String(self[..<range.lowerBound])
    }
}

/// Repeats a piece of text.
func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
