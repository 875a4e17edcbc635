import Glibc
import Linux

/// A process that makes something for a test and holds it for as long as a pipe from the test stays open: when the test is
/// over, or its process was killed, it removes what it made. It says `ready` when all is there; every line that it says
/// after that is something it could not remove.
final class LifelineProcess: Sendable {
    private let what: String
    private let pid: pid_t
    /// The write end of its standard input.
    private let lifeline: PipeEnd
    private let reports: PipeEnd

    /// Starts the program, on `thread` where there is one, and waits until it is ready.
    init(
        _ what: String, _ command: [String], environment: [String], on thread: NamespaceThread? = nil
    ) throws {
        self.what = what
        let (life, lifeline) = try makePipe()
        let (reports, report) = try makePipe()
        (self.lifeline, self.reports) = (lifeline, reports)
        let start: @Sendable () throws -> pid_t = {
            try spawn(
                command[0], arguments: command, environment: environment,
                descriptors: [life.number, report.number, STDERR_FILENO], newSession: true)
        }
        pid = try thread.map { try $0.perform(start) } ?? start()
        life.close()
        report.close()
        let first = try Self.line(from: reports, seconds: 30)
        guard first == "ready" else { throw TestFailure("\(what) did not come up: '\(first)'") }
    }

    /// Closes the pipe, which lets the process end.
    func letGo() { lifeline.close() }

    /// Waits until the process has ended. Fails when it left something behind.
    func waitForEnd() async throws {
        let (pid, reports) = (pid, reports)
        let rest = try await blocking { () -> String in
            var text = ""
            while let line = try? Self.line(from: reports, seconds: 60), !line.isEmpty { text += line + "\n" }
            var status: Int32 = 0
            try check(waitpid(pid, &status, 0), "waitpid", "\(pid)")
            return status == 0 ? text : text + "status \(status)"
        }
        guard rest.isEmpty else { throw TestFailure("\(what) left something behind:\n\(rest)") }
    }

    /// One line, byte by byte; empty at the end of the stream.
    private static func line(from end: PipeEnd, seconds: Double) throws -> String {
        var bytes: [UInt8] = []
        while true {
            guard waitReadable(end.number, milliseconds: Int32(seconds * 1000)) else {
                throw TestFailure("no word from a lifeline process in \(seconds) s")
            }
            var byte: UInt8 = 0
            if read(end.number, &byte, 1) <= 0 || byte == 10 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }
}
