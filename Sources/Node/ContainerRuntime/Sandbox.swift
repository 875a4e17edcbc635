import CPodinit
import Glibc
import Linux

/// A pod's running podinit, and through it the pod's containers.
///
/// It lives until ``terminate()``, not until this value goes away: dropping a `Sandbox` only closes the connection, and
/// ``adopt(socketDirectory:)`` finds the same containers again.
public final class Sandbox: Sendable {
    /// podinit's process in the PID namespace of this process.
    public let pid: pid_t
    /// What could not be applied and was not fatal.
    public let notes: LaunchNotes
    /// What happens to the containers. One consumer. Ends after ``SandboxEvent/gone``.
    public var events: AsyncStream<SandboxEvent> { connection.events }
    private let connection: PodinitConnection
    private let process: EndingProcess?

    /// `started` is podinit where this process started it.
    private init(
        _ ready: pi_ready, _ connection: PodinitConnection, started: EndingProcess? = nil
    ) throws(LaunchError) {
        pid = pid_t(ready.pid)
        notes = LaunchNotes(rawValue: ready.notes)
        self.connection = connection
        do {
            process = if let started, started.pid == pid { started } else { try EndingProcess(pid) }
        } catch {
            throw LaunchError(error)
        }
    }

    /// Starts a podinit for `plan`, listening at `<socketDirectory>/podinit.sock` (replaced if it is there).
    public static func launch(
        _ plan: SandboxPlan, socketDirectory: String, program: PodinitProgram
    ) async throws(LaunchError) -> Sandbox {
        let encoded = try plan.encoded()
        let connection: PodinitConnection
        let path = socketPath(in: socketDirectory)
        let original: EndingProcess?
        do {
            let listener = try UnixSocket.listen(at: path, .sequencedPackets, backlog: 16)
            // Connected before podinit exists: should this process die now, podinit finds a closed connection and ends.
            connection = try PodinitConnection(try .connect(to: path, .sequencedPackets, nonBlocking: true))
            let pid = try program.start(listener: listener.descriptor.number, label: socketDirectory)
            original = try EndingProcess(pid)
        } catch {
            unlink(path)
            throw LaunchError(error)
        }
        do {
            let reply = try await connection.request(PI_SANDBOX, plan: encoded)
            return try Sandbox(try reply.decoded(pi_ready.self), connection, started: original)
        } catch {
            _ = try? await connection.request(PI_SHUTDOWN)
            original?.kill()
            await original?.ended()
            unlink(path)
            throw error
        }
    }

    /// Connects to the podinit that listens at `<socketDirectory>/podinit.sock`.
    /// Throws an error with ``LaunchError/isSandboxGone`` if there is none.
    public static func adopt(socketDirectory: String) async throws(LaunchError) -> Sandbox {
        let connection: PodinitConnection
        do {
            let path = socketPath(in: socketDirectory)
            connection = try PodinitConnection(try .connect(to: path, .sequencedPackets, nonBlocking: true))
        } catch {
            throw LaunchError(error)
        }
        return try Sandbox(try await connection.request(PI_NETWORK).decoded(pi_ready.self), connection)
    }

    /// The sandbox's network namespace, and an rtnetlink socket (AF_NETLINK, NETLINK_ROUTE) opened inside it: whoever
    /// configures the network needs no setns(2). A new socket at each call.
    public func network() async throws(LaunchError) -> SandboxNetwork {
        let reply = try await connection.request(PI_NETWORK)
        guard let namespace = reply.descriptors.take(0), let socket = reply.descriptors.take(1) else {
            throw PodinitConnection.Reply.malformed
        }
        return SandboxNetwork(namespace: namespace, routeSocket: socket)
    }

    /// Every container attempt that was started and not forgotten.
    public func status() async throws(LaunchError) -> [ContainerStatus] {
        let body = try await connection.request(PI_STATUS).body
        guard let head = body.value(of: pi_status.self) else { throw PodinitConnection.Reply.malformed }
        var statuses: [ContainerStatus] = []
        for index in 0..<Int(head.count) {
            let offset = MemoryLayout<pi_status>.size + index * MemoryLayout<pi_container_status>.size
            guard let status = body.value(of: pi_container_status.self, at: offset) else {
                throw PodinitConnection.Reply.malformed
            }
            statuses.append(ContainerStatus(status))
        }
        return statuses
    }

    /// Starts a container; returns when its command was executed (execve(2) succeeded).
    @discardableResult
    public func start(_ plan: ContainerPlan) async throws(LaunchError) -> StartedContainer {
        let started = try await connection.request(PI_START, plan: plan.encoded()).decoded(pi_started.self)
        return StartedContainer(
            pid: pid_t(started.pid), startedAt: started.started_at, notes: LaunchNotes(rawValue: started.notes))
    }

    /// Starts another process in the running container `name`, as a child of podinit; returns when its command was
    /// executed.
    public func exec(in name: String, _ plan: ExecPlan) async throws(LaunchError) -> ExecProcess {
        let reply = try await connection.request(PI_EXEC, plan: plan.encoded(in: name))
        return ExecProcess(try reply.decoded(pi_started.self), reply.descriptors, connection)
    }

    /// Sends `signal` to the main process of the running container `name`.
    public func signal(_ name: String, _ signal: Int32) async throws(LaunchError) {
        var body = pi_signal()
        try encodeName(name, into: &body.name)
        body.signal = signal
        _ = try await connection.request(PI_SIGNAL, value: body)
    }

    /// Sets the size of the container's terminal.
    public func resize(_ name: String, _ size: TerminalSize) async throws(LaunchError) {
        var body = pi_resize()
        try encodeName(name, into: &body.name)
        body.rows = size.rows
        body.columns = size.columns
        _ = try await connection.request(PI_RESIZE, value: body)
    }

    /// Drops the record of a stopped attempt, in podinit and in the exits directory.
    public func forget(_ name: String, attempt: UInt32) async throws(LaunchError) {
        var body = pi_forget()
        try encodeName(name, into: &body.name)
        body.attempt = attempt
        _ = try await connection.request(PI_FORGET, value: body)
    }

    /// Kills every process of the sandbox (SIGKILL), waits for their end and for podinit's own. A sandbox that is gone
    /// already is success; a podinit that does not answer within ten seconds (somebody stopped it) is killed.
    public func terminate() async throws(LaunchError) {
        let process = process
        let alarm = Task {
            try await Task.sleep(for: .seconds(10))
            process?.kill()
        }
        defer { alarm.cancel() }
        do {
            _ = try await connection.request(PI_SHUTDOWN)
        } catch {
            guard error.isSandboxGone else { throw error }
        }
        alarm.cancel()
        await process?.ended()
    }
}

/// Descriptors of the pod's network.
public struct SandboxNetwork: ~Copyable, Sendable {
    /// The network namespace, for setns(2) or `IFLA_NET_NS_FD`.
    public let namespace: OwnedDescriptor
    /// An rtnetlink socket inside it.
    public let routeSocket: OwnedDescriptor
}

extension Sandbox {
    private static func socketPath(in directory: String) -> String { "\(directory)/podinit.sock" }
}

extension PodinitConnection.Reply {
    static let malformed = LaunchError(step: .podinit, subject: "answer", errno: EBADMSG)

    func decoded<Value: BitwiseCopyable>(_ type: Value.Type) throws(LaunchError) -> Value {
        guard let value = body.value(of: type) else { throw Self.malformed }
        return value
    }
}
