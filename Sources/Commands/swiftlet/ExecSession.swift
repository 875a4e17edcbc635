// The commands' side of an exec: copies between the user's streams and the command's, forwards signals and window sizes,
// and gives the terminal back as it was, however it ends.
import ControlSocket
import JSONTree
import Linux

/// A terminal in raw mode: what is typed goes through unchanged. As it was again when the value ends.
struct RawTerminal: ~Copyable {
    private let descriptor: Int32
    private let saved: termios

    /// nil where the descriptor is no terminal.
    init?(_ descriptor: Int32) {
        var mode = termios()
        guard tcgetattr(descriptor, &mode) == 0 else { return nil }
        self.descriptor = descriptor
        saved = mode
        cfmakeraw(&mode)
        tcsetattr(descriptor, TCSADRAIN, &mode)
    }

    deinit {
        var mode = saved
        // Not drained: output that nobody takes would hold up the end.
        tcsetattr(descriptor, TCSANOW, &mode)
    }
}

/// Bytes on their way from one descriptor to another. `source` is the user's and stays blocking: it is read only after
/// poll(2) said that something is there.
private struct Copy {
    let source: Int32
    let target: Int32
    var pending: [UInt8] = []
    var sourceEnded = false
    /// Nobody takes the bytes any more.
    var targetGone = false

    var isOver: Bool { targetGone || (sourceEnded && pending.isEmpty) }

    mutating func read(limit: Int = 32768) {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = Glibc.read(source, &buffer, limit)
        if count > 0 {
            pending.append(contentsOf: buffer[..<count])
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            // The end; of a terminal whose other side was closed it is EIO.
            sourceEnded = true
        }
    }

    mutating func write() {
        guard !pending.isEmpty else { return }
        let count = pending.withUnsafeBytes { Glibc.write(target, $0.baseAddress, $0.count) }
        if count > 0 {
            pending.removeFirst(count)
        } else if errno != EAGAIN && errno != EINTR {
            targetGone = true
            pending = []
        }
    }
}

/// One exec as its user sees it.
struct ExecSession: ~Copyable {
    private let usesTerminal: Bool
    private let passesInput: Bool
    /// Ours, and what the command gets: input, output, error. Empty with a terminal.
    private var ours: [Int32]
    private var theirs: [Int32]

    /// Three pipes, their ends ours and the command's: never the user's own descriptors, which other programs share.
    static func pipes(passesInput: Bool) throws(ControlError) -> ExecSession {
        var session = ExecSession(usesTerminal: false, passesInput: passesInput, ours: [], theirs: [])
        for stream in 0..<3 {
            let ends: [Int32]
            do throws(SystemError) {
                ends = try makePipe()
            } catch {
                throw ControlError(.failed, error.description)
            }
            session.ours.append(stream == 0 ? ends[1] : ends[0])
            session.theirs.append(stream == 0 ? ends[0] : ends[1])
            _ = fcntl(session.ours[stream], F_SETFL, O_NONBLOCK)
        }
        return session
    }

    /// A terminal, which the agent sends once the command runs.
    static func terminal(passesInput: Bool) throws(ControlError) -> ExecSession {
        ExecSession(usesTerminal: true, passesInput: passesInput, ours: [], theirs: [])
    }

    private init(usesTerminal: Bool, passesInput: Bool, ours: [Int32], theirs: [Int32]) {
        self.usesTerminal = usesTerminal
        self.passesInput = passesInput
        self.ours = ours
        self.theirs = theirs
    }

    deinit {
        for number in ours + theirs where number >= 0 { close(number) }
    }

    /// Runs the command to its end: its exit code.
    mutating func run(
        _ client: inout ControlClient, request: JSONValue, signals: borrowing ForwardedSignals
    ) throws(ControlError) -> Int32 {
        var request = request
        if let size = Self.windowSize() {
            request["rows"] = JSONValue(size.ws_row)
            request["columns"] = JSONValue(size.ws_col)
        }
        do throws(ControlError) {
            try client.request("exec", request, descriptors: theirs)
            closeTheirs()
            guard usesTerminal else { return try copyPipes(&client, signals) }
            return try copyTerminal(&client, signals)
        } catch {
            switch error.code {
            case .commandNotFound: return Self.failed(error, 127)
            case .commandNotExecutable: return Self.failed(error, 126)
            default: throw error
            }
        }
    }

    private static func failed(_ error: ControlError, _ code: Int32) -> Int32 {
        complain(error.message)
        return code
    }

    private mutating func closeTheirs() {
        for number in theirs { close(number) }
        theirs = []
    }

    static func windowSize() -> winsize? {
        var size = winsize()
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where cl_ioctl_winsize_get(descriptor, &size) == 0 && size.ws_row > 0 { return size }
        return nil
    }

    // MARK: Without a terminal

    private mutating func copyPipes(
        _ client: inout ControlClient, _ signals: borrowing ForwardedSignals
    ) throws(ControlError) -> Int32 {
        var input = Copy(source: STDIN_FILENO, target: ours[0])
        input.sourceEnded = !passesInput
        var outputs = [Copy(source: ours[1], target: STDOUT_FILENO), Copy(source: ours[2], target: STDERR_FILENO)]
        var inputOpen = true
        var wasSignalled = false
        while true {
            if inputOpen, input.isOver {
                close(ours[0])
                ours[0] = -1
                inputOpen = false
            }
            if let code = try Self.exitCode(&client) {
                // The command has ended, so all it wrote is in the pipes; a child that it left may hold them open.
                for index in outputs.indices { Self.drain(&outputs[index]) }
                return code
            }
            var pollers = [
                pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: inputOpen && input.pending.isEmpty ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: inputOpen ? ours[0] : -1, events: Int16(input.pending.isEmpty ? 0 : POLLOUT), revents: 0),
                pollfd(fd: outputs[0].sourceEnded ? -1 : ours[1], events: Int16(POLLIN), revents: 0),
                pollfd(fd: outputs[1].sourceEnded ? -1 : ours[2], events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&pollers, nfds_t(pollers.count), -1)
            if pollers[2].revents != 0 { input.read() }
            if pollers[3].revents & Int16(POLLOUT) != 0 { input.write() }
            if pollers[3].revents & Int16(POLLERR) != 0 { input.targetGone = true }
            for index in outputs.indices where pollers[4 + index].revents != 0 { Self.pass(&outputs[index]) }
            if pollers[1].revents != 0 {
                while let signal = signals.next() {
                    if signal == SIGWINCH { continue }
                    // Who asks twice wants to be let go, whatever the command does.
                    if wasSignalled { return 128 + signal }
                    wasSignalled = true
                    try client.input(["signal": .integer(Int64(signal))])
                }
            }
        }
    }

    /// Reads what is there and writes all of it; the user's stream may make us wait, as it would the command.
    private static func pass(_ copy: inout Copy) {
        copy.read()
        while !copy.pending.isEmpty { copy.write() }
    }

    private static func drain(_ copy: inout Copy) {
        var poller = pollfd(fd: copy.source, events: Int16(POLLIN), revents: 0)
        while !copy.sourceEnded, poll(&poller, 1, 0) > 0 { pass(&copy) }
    }

    /// Takes all messages that are there, since poll(2) does not tell of those that were read along with another one; the
    /// exit code if the last is among them.
    private static func exitCode(_ client: inout ControlClient) throws(ControlError) -> Int32? {
        while let message = try client.receive(wait: false) {
            guard case .result(let value) = message else { continue }
            guard let code = value["exitCode"]?.integerValue else {
                throw ControlError(.malformed, "the agent did not say how the command ended")
            }
            return Int32(truncatingIfNeeded: code)
        }
        return nil
    }

    // MARK: With a terminal

    private mutating func copyTerminal(
        _ client: inout ControlClient, _ signals: borrowing ForwardedSignals
    ) throws(ControlError) -> Int32 {
        // The first message says that the command runs, and has its terminal.
        guard case .progress? = try client.receive(), let terminal = client.takeDescriptor() else {
            throw ControlError(.malformed, "the agent sent no terminal")
        }
        _ = fcntl(terminal.number, F_SETFL, O_NONBLOCK)
        let raw = passesInput ? RawTerminal(STDIN_FILENO) : nil
        defer { withExtendedLifetime(raw) {} }
        var input = Copy(source: STDIN_FILENO, target: terminal.number)
        input.sourceEnded = !passesInput
        var output = Copy(source: terminal.number, target: STDOUT_FILENO)
        Self.resize(terminal.number)
        while true {
            if let code = try Self.exitCode(&client) {
                Self.drain(&output)
                return code
            }
            var pollers = [
                pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: input.sourceEnded || !input.pending.isEmpty ? -1 : STDIN_FILENO, events: Int16(POLLIN),
                    revents: 0),
                pollfd(
                    fd: output.sourceEnded ? -1 : terminal.number,
                    events: Int16(input.pending.isEmpty ? POLLIN : POLLIN | POLLOUT), revents: 0),
            ]
            _ = poll(&pollers, nfds_t(pollers.count), -1)
            if pollers[2].revents != 0 { Self.type(&input) }
            if pollers[3].revents & Int16(POLLOUT) != 0 { input.write() }
            if pollers[3].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { Self.pass(&output) }
            if pollers[1].revents != 0 {
                while let signal = signals.next() {
                    // What is typed goes through the terminal; a signal from outside ends this command, and with its
                    // terminal the other one.
                    guard signal == SIGWINCH else { return 128 + signal }
                    Self.resize(terminal.number)
                }
            }
        }
    }

    /// Reads what was typed. At the end of input that is no terminal the command gets what a person would type: Ctrl-D.
    private static func type(_ input: inout Copy) {
        input.read()
        if input.sourceEnded { input.pending.append(4) }
    }

    private static func resize(_ terminal: Int32) {
        guard var size = windowSize() else { return }
        _ = cl_ioctl_winsize_set(terminal, &size)
    }
}
