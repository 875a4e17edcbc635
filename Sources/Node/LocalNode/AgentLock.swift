// One agent for each run directory, and one for each data directory: flock(2), let go of by the kernel however the agent
// ends.
import Linux

/// The lock that makes a process the agent.
struct AgentLock: ~Copyable, Sendable {
    private let run: FileLock
    private let data: FileLock

    /// Takes the locks or fails at once, naming who has them.
    init(runDirectory: String, dataDirectory: String) throws(NodeError) {
        let run = try Self.take("\(runDirectory)/agent.lock", runDirectory, 0o700)
        let data = try Self.take("\(dataDirectory)/agent.lock", dataDirectory, 0o755)
        self.run = run
        self.data = data
    }

    private static func take(_ file: String, _ directory: String, _ mode: mode_t) throws(NodeError) -> FileLock {
        do {
            try makeDirectories(directory, mode: mode)
            let lock = try FileLock(file, wait: false)
            try lock.write("\(getpid())\n")
            return lock
        } catch {
            guard error.errno == EWOULDBLOCK else { throw NodeError("\(error)") }
            throw NodeError("an agent uses \(directory) already\(holder(file).map { " (pid \($0))" } ?? "")")
        }
    }

    /// The process that holds the lock, as the file says; nil where it does not say.
    static func holder(_ file: String) -> pid_t? {
        guard let text = try? readText(file, limit: 64) else { return nil }
        return text.split(whereSeparator: \.isWhitespace).first.flatMap { pid_t(String($0)) }
    }
}
