import CPodinit
import Glibc
import Linux
import Synchronization

/// A process started by ``Sandbox/exec(in:_:)``.
public final class ExecProcess: Sendable {
    /// podinit's number for it.
    public let id: UInt64
    /// In the PID namespace podinit was launched in.
    public let pid: pid_t
    public let notes: LaunchNotes
    private let connection: PodinitConnection
    private let descriptors: ReceivedDescriptors

    init(_ started: pi_started, _ descriptors: ReceivedDescriptors, _ connection: PodinitConnection) {
        id = started.id
        pid = pid_t(started.pid)
        notes = LaunchNotes(rawValue: started.notes)
        self.connection = connection
        self.descriptors = descriptors
    }

    deinit { connection.forgetExec(id) }

    /// The terminal's master side if one was asked for; the first call gets it, later ones nil. Whoever holds it sets the
    /// size (``TerminalSize/apply(to:)``); closing it hangs the terminal up.
    public func takeTerminal() -> OwnedDescriptor? { descriptors.take(0) }

    /// Waits for its end; nil if the connection to podinit was lost before.
    public func exitStatus() async -> ExitStatus? { await connection.execStatus(id) }

    /// Sends `signal`; a process that has ended fails with ``LaunchError/isNotRunning``.
    public func signal(_ signal: Int32) async throws(LaunchError) {
        var body = pi_signal()
        body.id = id
        body.signal = signal
        _ = try await connection.request(PI_SIGNAL, value: body)
    }
}

extension TerminalSize {
    /// Sets the size of the terminal that `descriptor` is a side of (TIOCSWINSZ).
    public func apply(to descriptor: Int32) throws(SystemError) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        try check(cl_ioctl_winsize_set(descriptor, &size), "ioctl", "TIOCSWINSZ")
    }
}
