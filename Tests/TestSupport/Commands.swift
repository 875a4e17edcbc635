// Programs run to their end or in the background: their output, their exit code, a limit on their time.
import Glibc
import Linux
import Synchronization

/// How a program ended and what it said.
public struct Outcome: Sendable, CustomStringConvertible {
    public let command: [String]
    /// The exit code, or 128 + the signal that ended it, as a shell has it.
    public let exitCode: Int32
    public let output: String
    public let errors: String
    /// It was killed because its time was over.
    public let timedOut: Bool
    /// It ended, but something it started still holds its standard output or error open: a caller that waits for the
    /// end of the output, `$(…)` in a shell, would hang.
    public let outputHeldOpen: Bool

    public var succeeded: Bool { exitCode == 0 && !timedOut }
    /// `output` without white space around it.
    public var trimmed: String { output.trimmingWhitespace() }
    public var lines: [String] { output.split(separator: "\n").map(String.init) }

    public var description: String {
        let how = timedOut ? "did not end in time" : "exit code \(exitCode)"
        return "`\(command.joined(separator: " "))`: \(how)\nstdout: \(output)\nstderr: \(errors)"
    }

    /// The outcome itself, or a failure that tells all of it.
    @discardableResult
    public func orFail() throws -> Outcome {
        guard succeeded else { throw TestFailure(description) }
        return self
    }
}

/// A program that runs until its test ends it.
public struct RunningProgram: Sendable {
    public let pid: pid_t
    public let command: [String]

    /// Sends `signal` and waits until the program is gone, at most `seconds`; then SIGKILL. How it ended (see ``Outcome/exitCode``).
    @discardableResult
    public func stop(_ signal: Int32 = SIGTERM, seconds: Double = 20) async throws -> Int32 {
        guard let descriptor = try? ProcessDescriptor(pid: pid) else { return try reap() }
        try descriptor.signal(signal)
        let copy = try descriptor.descriptor.duplicate().release()
        let ended = try await blocking { waitReadable(copy, milliseconds: Int32(seconds * 1000)) }
        close(copy)
        if !ended { try descriptor.signal(SIGKILL) }
        let code = try reap()
        if !ended { throw TestFailure("\(command) ignored signal \(signal) for \(seconds) s") }
        return code
    }

    /// Waits for it to end by itself.
    public func waitForEnd(seconds: Double) async throws -> Int32 {
        guard let descriptor = try? ProcessDescriptor(pid: pid) else { return try reap() }
        let copy = try descriptor.descriptor.duplicate().release()
        defer { close(copy) }
        guard try await blocking({ waitReadable(copy, milliseconds: Int32(seconds * 1000)) }) else {
            throw TestFailure("\(command) still runs after \(seconds) s")
        }
        return try reap()
    }

    private func reap() throws -> Int32 {
        var status: Int32 = 0
        try check(waitpid(pid, &status, 0), "waitpid", "\(pid)")
        return shellCode(status)
    }
}

func shellCode(_ status: Int32) -> Int32 {
    cl_wifexited(status) ? cl_wexitstatus(status) : 128 + cl_wtermsig(status)
}

/// Whether there is something to read, or the end of it, within `milliseconds` (times ``patience``).
func waitReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
    var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
        let count = poll(&poller, 1, Int32(Double(milliseconds) * patience))
        if count >= 0 || errno != EINTR { return count > 0 }
    }
}

/// Where `program` lies in the usual directories; names with a slash stay as they are.
func locate(_ program: String) throws -> String {
    if program.contains("/") { return program }
    for directory in ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"] {
        if access("\(directory)/\(program)", X_OK) == 0 { return "\(directory)/\(program)" }
    }
    throw TestFailure("no program '\(program)': scripts/lib/dependencies test installs what tests need")
}

/// One end of a pipe, close-on-exec, closed when it is asked to or let go of.
final class PipeEnd: Sendable {
    private let held: Mutex<Int32>
    init(_ number: Int32) { held = Mutex(number) }
    deinit { close() }

    var number: Int32 { held.withLock { $0 } }

    func close() {
        held.withLock {
            if $0 >= 0 { Glibc.close($0) }
            $0 = -1
        }
    }
}

func makePipe() throws -> (read: PipeEnd, write: PipeEnd) {
    var ends: [Int32] = [0, 0]
    try check(pipe(&ends), "pipe")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (PipeEnd(ends[0]), PipeEnd(ends[1]))
}

/// Reads both pipes until the program has ended and they are empty, or its time (times ``patience``) is over.
func collect(
    _ command: [String], pid: pid_t, output: PipeEnd, errors: PipeEnd?, seconds: Double
) throws -> Outcome {
    let process = try ProcessDescriptor(pid: pid)
    let streams = [output.number, errors?.number ?? -1]
    var texts: [[UInt8]] = [[], []]
    var open = [true, errors != nil]
    var ended = false
    var timedOut = false
    var deadline = now() + seconds * patience
    while !ended || open.contains(true) {
        let left = deadline - now()
        if left <= 0 {
            if ended { break }
            timedOut = true
            try process.signal(SIGKILL)
            deadline = now() + 10
            continue
        }
        var pollers = streams.indices.map { pollfd(fd: open[$0] ? streams[$0] : -1, events: Int16(POLLIN), revents: 0) }
        pollers.append(pollfd(fd: ended ? -1 : process.descriptor.number, events: Int16(POLLIN), revents: 0))
        if poll(&pollers, 3, Int32(left * 1000) + 1) < 0 { continue }
        for index in streams.indices where pollers[index].revents != 0 {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = read(streams[index], &buffer, buffer.count)
            if count > 0 { texts[index] += buffer[..<count] } else { open[index] = false }
        }
        if pollers[2].revents != 0 {
            ended = true
            // What it wrote is in the pipes; somebody who still holds them gets this long to close them.
            deadline = min(deadline, now() + 2)
        }
    }
    var status: Int32 = 0
    try check(waitpid(pid, &status, 0), "waitpid", "\(pid)")
    return Outcome(
        command: command, exitCode: shellCode(status), output: String(decoding: texts[0], as: UTF8.self),
        errors: String(decoding: texts[1], as: UTF8.self), timedOut: timedOut,
        outputHeldOpen: open.contains(true))
}

/// CLOCK_MONOTONIC in seconds.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

extension String {
    public func trimmingWhitespace() -> String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
