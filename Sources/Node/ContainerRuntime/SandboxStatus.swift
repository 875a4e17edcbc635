import CPodinit
import Glibc
import Linux

/// What could not be applied and was not fatal.
public struct LaunchNotes: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// `oom_score_adj` could not be lowered: CAP_SYS_RESOURCE is missing.
    public static let oomScoreRefused = LaunchNotes(rawValue: PI_NOTE_OOM_SCORE.rawValue)
}

/// A container that was started.
public struct StartedContainer: Sendable, Hashable {
    /// In the PID namespace podinit was launched in.
    public let pid: pid_t
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    public let notes: LaunchNotes
}

/// How a process ended.
public struct ExitStatus: Sendable, Hashable {
    /// What it gave to exit(2), or 128 + the signal.
    public let code: Int32
    /// The signal that ended it, or 0.
    public let signal: Int32

    public init(code: Int32, signal: Int32) {
        self.code = code
        self.signal = signal
    }
}

/// One attempt of a container as podinit knows it.
public struct ContainerStatus: Sendable, Hashable {
    public let name: String
    public let attempt: UInt32
    public let state: State
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    /// Log lines that could not be written (disk full).
    public let droppedLogLines: UInt32

    public enum State: Sendable, Hashable {
        case starting
        case running(pid: pid_t)
        /// `finishedAt` in nanoseconds since the epoch.
        case exited(ExitStatus, finishedAt: Int64)
    }

    /// The exit, if it has ended.
    public var exit: ExitStatus? { if case .exited(let status, _) = state { status } else { nil } }

    init(_ status: pi_container_status) {
        name = decodeName(status.name)
        attempt = status.attempt
        startedAt = status.started_at
        droppedLogLines = status.dropped
        switch status.state {
        case PI_STOPPED.rawValue:
            let exit = ExitStatus(code: status.code, signal: status.signal)
            state = .exited(exit, finishedAt: status.finished_at)
        case PI_RUNNING.rawValue: state = .running(pid: pid_t(status.pid))
        default: state = .starting
        }
    }
}

/// What happens in a sandbox.
public enum SandboxEvent: Sendable, Hashable {
    /// A container's main process ended; its log is complete and its exit is recorded on disk.
    case containerExited(ContainerStatus)
    /// podinit closed the connection. After a podinit that was killed, ``ExitRecord`` tells what it had recorded.
    case gone
}

/// An exit that podinit wrote into the exits directory.
public struct ExitRecord: Sendable, Hashable {
    public let name: String
    public let attempt: UInt32
    public let status: ExitStatus
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    public let finishedAt: Int64

    /// Every complete record in `directory`.
    public static func read(directory: String) throws(SystemError) -> [ExitRecord] {
        var records: [ExitRecord] = []
        for file in try listDirectory(directory) where !file.hasPrefix(".") {
            guard let dot = file.lastIndex(of: "."), let attempt = UInt32(file[file.index(after: dot)...]) else {
                continue
            }
            let numbers = try readText("\(directory)/\(file)", limit: 4096).split(whereSeparator: \.isWhitespace)
                .compactMap { Int64($0) }
            guard numbers.count == 4 else { continue }
            let status = ExitStatus(
                code: Int32(truncatingIfNeeded: numbers[0]), signal: Int32(truncatingIfNeeded: numbers[1]))
            records.append(
                ExitRecord(
                    name: String(file[..<dot]), attempt: attempt, status: status, startedAt: numbers[2],
                    finishedAt: numbers[3]))
        }
        return records
    }

    /// Removes one; success if it is not there.
    public static func remove(directory: String, name: String, attempt: UInt32) throws(SystemError) {
        let path = "\(directory)/\(name).\(attempt)"
        if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
    }
}
