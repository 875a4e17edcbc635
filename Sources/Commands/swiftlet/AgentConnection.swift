// How the pod commands reach the agent: they connect, and where nobody listens start one in the background, which goes
// away by itself when there is nothing left to do.
import ControlSocket
import JSONTree
import Linux
import LocalNode

/// The agent of one node, as its commands see it.
struct AgentConnection {
    let options: CommonOptions

    /// What to do where no agent runs.
    enum Absence {
        /// Start one.
        case start
        /// Start one if there are pods on the disk, which somebody has to look after; else there is nothing to ask for.
        case startForPods
        /// Leave it so.
        case leave
    }

    /// A request from its start to its result. nil where no agent runs and none was to be started.
    func call(
        _ verb: String, _ arguments: JSONValue = [:], whenAbsent absence: Absence = .start,
        progress: (JSONValue) -> Void = { _ in }
    ) throws -> JSONValue? {
        try withClient(absence) { client throws(ControlError) in
            try client.call(verb, arguments, progress: progress)
        }
    }

    /// Hands a connection to `body`. An agent that quits just when it is asked (the one in the background, after its idle
    /// time) has not begun the request: another one is asked then.
    func withClient<Result>(
        _ absence: Absence, _ body: (inout ControlClient) throws(ControlError) -> Result
    ) throws -> Result? {
        try requireRoot()
        for _ in 0..<100 {
            guard var client = try connect(absence) else { return nil }
            do throws(ControlError) {
                return try body(&client)
            } catch {
                let hasNotBegun = error.code == .retiring || (error.code == .disconnected && client.agent == nil)
                guard hasNotBegun else { throw CommandError(error.message) }
            }
            usleep(20_000)
        }
        throw CommandError(
            "the agent at \(controlSocketPath(runDirectory: options.runDirectory)) is about to quit and stays so")
    }

    private func connect(_ absence: Absence) throws -> ControlClient? {
        do throws(ControlError) {
            return try ControlClient(runDirectory: options.runDirectory, version: Swiftlet.version)
        } catch {
            guard error.code == .unavailable else { throw CommandError(error.message) }
        }
        switch absence {
        case .leave: return nil
        case .startForPods where PodOnDisk.all(dataDirectory: options.dataDirectory).isEmpty:
            try DataDirectory.checkReadable(options.dataDirectory)
            return nil
        case .start, .startForPods: break
        }
        try BackgroundAgent(options: options).start()
        do throws(ControlError) {
            return try ControlClient(runDirectory: options.runDirectory, version: Swiftlet.version)
        } catch {
            throw CommandError(error.message)
        }
    }

    private func requireRoot() throws {
        guard geteuid() == 0 else { throw CommandError("swiftlet needs root: run it with sudo") }
    }
}

/// The agent that a command starts where none runs: `swiftlet node --on-demand`, a session of its own, its messages in
/// `<run-dir>/agent.log`.
struct BackgroundAgent {
    let options: CommonOptions

    private var log: String { "\(options.runDirectory)/agent.log" }

    /// Starts it and waits until it serves. Another command that starts one at the same time is waited for likewise.
    func start() throws {
        let ends: [Int32]
        do {
            try makeDirectories(options.runDirectory, mode: 0o700)
            ends = try makePipe()
        } catch {
            throw CommandError("cannot start the agent: \(error)")
        }
        let ready = OwnedDescriptor(owning: ends[0])
        let pid = try launch(readiness: OwnedDescriptor(owning: ends[1]))
        // One byte when it serves; the end of the pipe when it could not.
        let answer = (try? ready.readAll(limit: 16)) ?? []
        if answer == Array("r".utf8) { return }
        var status: Int32 = 0
        _ = waitpid(pid, &status, 0)
        guard answer == Array("h".utf8) else { throw CommandError("the agent did not start: \(lastWords())") }
        try awaitOther()
    }

    private func launch(readiness: consuming OwnedDescriptor) throws -> pid_t {
        do {
            let output = try OwnedDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
            if lseek(output.number, 0, SEEK_END) > 1 << 20 { try check(ftruncate(output.number, 0), "ftruncate", log) }
            let program = try executable()
            return try spawn(
                program,
                arguments: [
                    program, "node", "--on-demand", "--ready-descriptor", "3", "--data-dir", options.dataDirectory,
                    "--run-dir", options.runDirectory, "--log-level", options.logLevel.rawValue,
                ],
                environment: environment(),
                descriptors: [-1, output.number, output.number, readiness.number], newSession: true)
        } catch {
            throw CommandError("cannot start the agent: \(error)")
        }
    }

    /// Somebody else holds the agent's lock: about to serve, or about to quit. Until the one or the other.
    private func awaitOther() throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            do throws(ControlError) {
                _ = try ControlClient(runDirectory: options.runDirectory, version: Swiftlet.version)
                return
            } catch {
                guard error.code == .unavailable else { throw CommandError(error.message) }
            }
            usleep(10_000)
        }
        throw CommandError("an agent holds \(options.runDirectory)/agent.lock but does not serve: \(lastWords())")
    }

    /// The last line that the agent wrote.
    private func lastWords() -> String {
        let text = (try? readText(log)) ?? ""
        guard var line = text.split(separator: "\n").last.map(String.init) else { return "see \(log)" }
        // Without the time and severity of a log line, or the `error: ` of a command's.
        if line.hasPrefix("error: ") {
            line.removeFirst(7)
        } else {
            let words = line.split(separator: " ", maxSplits: 2)
            if words.count == 3, words[0].hasSuffix("Z") { line = String(words[2]) }
        }
        return line
    }

    private func executable() throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try check(readlink("/proc/self/exe", &buffer, buffer.count), "readlink", "/proc/self/exe")
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func environment() -> [String] {
        var variables: [String] = []
        var next = environ
        while let variable = next.pointee {
            variables.append(String(cString: variable))
            next += 1
        }
        return variables
    }
}

/// Both ends of a pipe, the reading one first, close-on-exec; the caller closes them.
func makePipe() throws(SystemError) -> [Int32] {
    var ends: [Int32] = [-1, -1]
    try check(pipe(&ends), "pipe")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return ends
}
