// One command's connection at the agent. Reads on the event loop's thread, writes from wherever an answer is made, waits
// for nobody: what a slow command does not take stays queued up to a bound.
import JSONTree
import Linux
import Synchronization

final class ControlConnection: Sendable {
    /// Progress beyond this many queued bytes is dropped; results and errors are not.
    static let progressBound = 1 << 20

    private struct Outgoing: Sendable {
        var bytes: ArraySlice<UInt8>
        /// Copies that are this connection's, closed once they went.
        var descriptors: [Int32]
    }

    private struct State: Sendable {
        var reader = ControlFrameReader()
        var descriptors: [Int32] = []
        var greeted = false
        var peerVersion = ""
        var outgoing: [Outgoing] = []
        var outgoingBytes = 0
        var watch: EventLoop.Watch?
        var awaitsRoom = false
        /// No more is read; the connection ends when what is queued has gone.
        var closing = false
        var ended = false
        var request: ControlRequest?
        var task: Task<Void, Never>?
    }

    private let socket: UnixSocket
    private let pid: pid_t
    private let identity: ControlIdentity
    private let loop: EventLoop
    private let handler: ControlServer.Handler
    private let onEnd: @Sendable (ControlConnection) -> Void
    private let state = Mutex(State())

    init(
        socket: consuming UnixSocket, pid: pid_t, identity: ControlIdentity, loop: EventLoop,
        handler: @escaping ControlServer.Handler, onEnd: @escaping @Sendable (ControlConnection) -> Void
    ) {
        self.socket = socket
        self.pid = pid
        self.identity = identity
        self.loop = loop
        self.handler = handler
        self.onEnd = onEnd
    }

    deinit {
        state.withLock { state in
            for number in state.descriptors { close(number) }
            for item in state.outgoing { item.descriptors.forEach { close($0) } }
        }
    }

    func start() {
        do throws(SystemError) {
            // The loop keeps the connection until it ends, so the descriptor outlives the watch.
            let watch = try loop.watch(socket.descriptor.number, events: Self.reading) { self.handle($0) }
            state.withLock { $0.watch = watch }
        } catch {
            end()
        }
    }

    /// Ends the connection: the request that runs is cancelled, what is queued is lost.
    func end() {
        let (watch, task, request) = state.withLock { state in
            defer {
                state.ended = true
                state.watch = nil
                state.task = nil
                state.request = nil
            }
            return (state.watch, state.task, state.request)
        }
        guard let watch else { return }
        loop.unwatch(watch, socket.descriptor.number)
        shutdown(socket.descriptor.number, Int32(SHUT_RDWR))
        request?.feed.finish()
        task?.cancel()
        onEnd(self)
    }

    // MARK: Reading, on the loop's thread

    private static let reading = EPOLLIN.rawValue | EPOLLRDHUP.rawValue

    private func handle(_ events: UInt32) {
        if events & EPOLLOUT.rawValue != 0 { flush() }
        guard events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 else {
            return
        }
        do throws(SystemError) {
            let (bytes, descriptors) = try socket.receiveBytes(upTo: 65536)
            if bytes.isEmpty { return end() }
            state.withLock { state in
                state.descriptors += descriptors
                if !state.closing { state.reader.append(bytes) }
            }
        } catch {
            if error.errno != EAGAIN { end() }
            return
        }
        do throws(ControlError) {
            while let frame = try nextFrame() { try take(frame) }
        } catch {
            refuse(error)
        }
    }

    private func nextFrame() throws(ControlError) -> ControlFrame? {
        try state.withLock { state throws(ControlError) in
            if state.closing || state.ended { return nil }
            let frame = try state.reader.next()
            // Descriptors that no frame announces would pile up.
            guard state.descriptors.count <= 2 * ControlFrame.maximumDescriptors else {
                throw ControlError(.malformed, "more descriptors than the frames announce")
            }
            return frame
        }
    }

    private func take(_ frame: ControlFrame) throws(ControlError) {
        switch frame.kind {
        case .hello: try greet(frame)
        case .request: try begin(frame)
        case .input: state.withLock { $0.request }?.feed.yield(frame.body)
        case .progress, .result, .error:
            throw ControlError(.malformed, "a frame of a kind that only the agent sends")
        }
    }

    private func greet(_ frame: ControlFrame) throws(ControlError) {
        guard let (revision, client) = frame.greeting else {
            throw ControlError(.malformed, "a hello that says nothing")
        }
        enqueue(.hello(identity))
        guard revision == controlProtocolRevision else {
            throw ControlError(
                .versionMismatch,
                "the agent (swiftlet \(identity.version), pid \(identity.pid)) speaks control protocol "
                    + "\(controlProtocolRevision), this command (swiftlet \(client.version)) speaks \(revision): "
                    + "restart the agent with this release")
        }
        state.withLock { state in
            state.greeted = true
            state.peerVersion = client.version
        }
    }

    private func begin(_ frame: ControlFrame) throws(ControlError) {
        guard let verb = frame.body["verb"]?.stringValue else {
            throw ControlError(.malformed, "a request without a verb")
        }
        let request = try state.withLock { state throws(ControlError) in
            guard state.greeted else { throw ControlError(.malformed, "a request before the hello") }
            guard state.request == nil else { throw ControlError(.malformed, "a request while another one runs") }
            guard state.descriptors.count >= frame.descriptorCount else {
                throw ControlError(.malformed, "a request whose descriptors did not come")
            }
            let request = ControlRequest(
                verb: verb, arguments: frame.body["arguments"] ?? .null,
                peer: ControlIdentity(version: state.peerVersion, pid: pid),
                descriptors: Array(state.descriptors.prefix(frame.descriptorCount))
            ) { [weak self] frame, descriptors in self?.enqueue(frame, descriptors) }
            state.descriptors.removeFirst(frame.descriptorCount)
            state.request = request
            return request
        }
        let task = Task { await self.serve(request) }
        state.withLock { if $0.request === request { $0.task = task } }
        // The connection may have ended in between; a task that is done already does not mind.
        if state.withLock({ $0.ended }) { task.cancel() }
    }

    private func serve(_ request: ControlRequest) async {
        var answer: ControlFrame
        do {
            answer = ControlFrame(kind: .result, body: try await handler(request))
        } catch let error as ControlError {
            answer = .error(error)
        } catch {
            answer = .error(ControlError(.failed, "\(error)"))
        }
        state.withLock { state in
            state.request = nil
            state.task = nil
        }
        request.feed.finish()
        enqueue(answer)
    }

    /// Says why and hangs up once that has gone.
    private func refuse(_ error: ControlError) {
        enqueue(.error(error))
        let done = state.withLock { state in
            state.closing = true
            return state.outgoing.isEmpty
        }
        if done { end() }
    }

    // MARK: Writing, from any thread

    private func enqueue(_ frame: ControlFrame, _ descriptors: [Int32] = []) {
        let tooLong = ControlError(
            .failed, "the answer is longer than \(ControlFrame.maximumLength >> 20) MiB")
        guard let bytes = frame.encoded() ?? (frame.kind == .progress ? nil : ControlFrame.error(tooLong).encoded())
        else { return }
        state.withLock { state in
            if state.ended || (frame.kind == .progress && state.outgoingBytes > Self.progressBound) { return }
            let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
            state.outgoing.append(Outgoing(bytes: bytes[...], descriptors: copies.filter { $0 >= 0 }))
            state.outgoingBytes += bytes.count
        }
        flush()
    }

    private func flush() {
        let over = state.withLock { state -> Bool in
            guard !state.ended else { return false }
            while let item = state.outgoing.first {
                do throws(SystemError) {
                    let sent = try socket.sendBytes(item.bytes, descriptors: item.descriptors)
                    item.descriptors.forEach { close($0) }
                    state.outgoing[0].descriptors = []
                    state.outgoing[0].bytes = item.bytes.dropFirst(sent)
                    state.outgoingBytes -= sent
                    if state.outgoing[0].bytes.isEmpty { state.outgoing.removeFirst() }
                } catch {
                    guard error.errno == EAGAIN else { return true }
                    listen(forRoom: true, &state)
                    return false
                }
            }
            listen(forRoom: false, &state)
            return state.closing
        }
        if over { end() }
    }

    private func listen(forRoom room: Bool, _ state: inout State) {
        guard state.awaitsRoom != room, let watch = state.watch else { return }
        state.awaitsRoom = room
        let events = room ? Self.reading | EPOLLOUT.rawValue : Self.reading
        try? loop.rearm(watch, socket.descriptor.number, events: events)
    }
}
