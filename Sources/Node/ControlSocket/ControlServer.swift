// The agent's side: listens, checks who asks, hands requests to the handler.
import JSONTree
import Linux
import Synchronization

/// Serves requests at a control socket until it is stopped.
public final class ControlServer: Sendable {
    /// Serves one request: its result, or an error that the command prints. Runs in a task of its own, which is cancelled
    /// when the command goes away.
    public typealias Handler = @Sendable (ControlRequest) async throws -> JSONValue

    /// The most commands that are connected at a time; more wait in the socket's queue.
    public static let maximumConnections = 256

    private struct State: Sendable {
        var connections: [ObjectIdentifier: ControlConnection] = [:]
        var listening: EventLoop.Watch?
        var accepting = true
    }

    private let socket: UnixSocket
    private let path: String
    private let loop: EventLoop
    private let identity: ControlIdentity
    private let handler: Handler
    private let state = Mutex(State())

    /// Listens in `runDirectory`, which is made for root alone where it is missing. A socket that is there already is
    /// replaced: the caller holds the agent's lock.
    public init(
        runDirectory: String, version: String, eventLoop: EventLoop, handler: @escaping Handler
    ) throws(SystemError) {
        try makeDirectories(runDirectory, mode: 0o700)
        path = controlSocketPath(runDirectory: runDirectory)
        loop = eventLoop
        identity = ControlIdentity(version: version, pid: getpid())
        self.handler = handler
        socket = try UnixSocket.listen(at: path, .stream)
        let number = socket.descriptor.number
        // The loop keeps the server until stop(), so the descriptor outlives the watch.
        let watch = try loop.watch(number) { _ in self.accept() }
        state.withLock { $0.listening = watch }
    }

    /// Ends listening, removes the socket's file and lets go of every command; handlers that run are cancelled.
    public func stop() {
        let (listening, connections) = state.withLock { state in
            defer {
                state.listening = nil
                state.connections = [:]
            }
            return (state.listening, Array(state.connections.values))
        }
        guard let listening else { return }
        loop.unwatch(listening, socket.descriptor.number)
        unlink(path)
        for connection in connections { connection.end() }
    }

    private func accept() {
        do throws(SystemError) {
            while roomForMore(), let client = try socket.accept() {
                // Mode 0600 in a 0700 directory already says so; this holds when somebody changed the modes.
                guard let peer = try? client.peer(), peer.uid == 0 || peer.uid == geteuid() else { continue }
                let connection = ControlConnection(
                    socket: client, pid: peer.pid, identity: identity, loop: loop, handler: handler
                ) { [weak self] ended in self?.forget(ended) }
                state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
                connection.start()
            }
        } catch {
            // Out of descriptors or memory: the client stays in the queue, the next event tries again.
        }
    }

    /// Whether one more connection may come; otherwise listening rests until one ends.
    private func roomForMore() -> Bool {
        state.withLock { state in
            guard let listening = state.listening else { return false }
            if state.connections.count < Self.maximumConnections { return true }
            state.accepting = false
            try? loop.rearm(listening, socket.descriptor.number, events: 0)
            return false
        }
    }

    private func forget(_ connection: ControlConnection) {
        state.withLock { state in
            state.connections[ObjectIdentifier(connection)] = nil
            guard let listening = state.listening, !state.accepting else { return }
            state.accepting = true
            try? loop.rearm(listening, socket.descriptor.number, events: EPOLLIN.rawValue)
        }
    }
}
