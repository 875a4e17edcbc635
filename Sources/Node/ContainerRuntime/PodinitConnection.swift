import CPodinit
import Glibc
import Linux
import Synchronization

/// One connection to a podinit: requests are numbered and may overlap; answers and events are read on a thread of this
/// room's own, never on the cooperative pool.
final class PodinitConnection: Sendable {
    /// An answer's body and descriptors.
    struct Reply: Sendable {
        let type: UInt16
        let body: [UInt8]
        let descriptors: ReceivedDescriptors
    }

    private typealias Waiter = CheckedContinuation<Result<Reply, LaunchError>, Never>
    private struct State: Sendable {
        var lastRequest: UInt64 = 0
        var waiters: [UInt64: Waiter] = [:]
        var execs: [UInt64: ExecState] = [:]
        var watch: EventLoop.Watch?
        var closed = false
    }
    private enum ExecState: Sendable {
        case running([CheckedContinuation<ExitStatus?, Never>])
        case ended(ExitStatus)
    }

    /// The thread that reads for all sandboxes of this process.
    static let loop = Result { () throws(SystemError) in try EventLoop(name: "podinit") }

    let events: AsyncStream<SandboxEvent>
    private let continuation: AsyncStream<SandboxEvent>.Continuation
    private let socket: UnixSocket
    private let loop: EventLoop
    private let state = Mutex(State())

    /// Takes over a connected socket.
    init(_ socket: consuming UnixSocket) throws(SystemError) {
        loop = try PodinitConnection.loop.get()
        self.socket = socket
        (events, continuation) = AsyncStream.makeStream()
        let watch = try loop.watch(self.socket.descriptor.number) { [weak self] _ in self?.receive() }
        state.withLock { $0.watch = watch }
    }

    deinit {
        if let watch = state.withLock({ $0.watch }) { loop.unwatch(watch, socket.descriptor.number) }
        continuation.finish()
    }

    /// Sends a request and waits for its answer. Descriptors are duplicated by the kernel before this suspends.
    func request(
        _ type: pi_type, body: [UInt8] = [], descriptors: [Int32] = []
    ) async throws(LaunchError) -> Reply {
        let result = await withCheckedContinuation { (waiter: Waiter) in
            let number: UInt64? = state.withLock { state in
                if state.closed { return nil }
                state.lastRequest += 1
                state.waiters[state.lastRequest] = waiter
                return state.lastRequest
            }
            guard let number else {
                return waiter.resume(returning: .failure(PodinitConnection.lost))
            }
            let header = pi_header(
                magic: UInt32(PI_MAGIC), version: UInt16(PI_VERSION), type: UInt16(type.rawValue),
                request: number, length: UInt32(body.count), zero: 0)
            let message = withUnsafeBytes(of: header) { Array($0) } + body
            let sent = message.withUnsafeBytes { bytes in
                Result { () throws(SystemError) in try socket.send(bytes, descriptors: descriptors) }
            }
            if case .failure(let error) = sent {
                let failure = Result<Reply, LaunchError>.failure(LaunchError(error))
                state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: failure)
            }
        }
        return try result.get()
    }

    /// A request whose body is one plain C value.
    func request(_ type: pi_type, value: some BitwiseCopyable) async throws(LaunchError) -> Reply {
        try await request(type, body: withUnsafeBytes(of: value) { Array($0) })
    }

    func request(_ type: pi_type, plan: borrowing EncodedPlan) async throws(LaunchError) -> Reply {
        try await request(type, descriptors: [plan.memory.number] + plan.descriptors)
    }

    private static let lost = LaunchError(step: .podinit, subject: "connection closed", errno: ECONNRESET)

    /// On the loop's thread: one packet.
    private func receive() {
        withUnsafeTemporaryAllocation(byteCount: Int(PI_MESSAGE_MAX), alignment: 8) { packet in
            let length: Int
            let descriptors: ReceivedDescriptors
            do throws(SystemError) {
                let received = try socket.receive(into: packet)
                length = received.0
                descriptors = ReceivedDescriptors(received.1)
            } catch {
                if error.errno != EAGAIN { close() }
                return
            }
            let headerSize = MemoryLayout<pi_header>.size
            guard length >= headerSize else { return close() }
            let header = packet.loadUnaligned(as: pi_header.self)
            guard header.magic == UInt32(PI_MAGIC), header.version == UInt16(PI_VERSION),
                Int(header.length) == length - headerSize
            else { return close() }
            handle(header, Array(packet[headerSize..<length]), descriptors)
        }
    }

    private func handle(_ header: pi_header, _ body: [UInt8], _ descriptors: ReceivedDescriptors) {
        switch UInt32(header.type) {
        case PI_EXITED.rawValue:
            if let status = body.value(of: pi_container_status.self) {
                continuation.yield(.containerExited(ContainerStatus(status)))
            }
        case PI_EXEC_EXITED.rawValue:
            if let exit = body.value(of: pi_exec_exited.self) {
                execEnded(exit.id, ExitStatus(code: exit.code, signal: exit.signal))
            }
        default:
            answer(header, Reply(type: header.type, body: body, descriptors: descriptors))
        }
    }

    private func answer(_ header: pi_header, _ reply: Reply) {
        let waiter = state.withLock { state in
            // Known from here on: its end may be the very next message.
            if UInt32(header.type) == PI_EXEC.rawValue | PI_ANSWER.rawValue,
                let started = reply.body.value(of: pi_started.self)
            {
                state.execs[started.id] = .running([])
            }
            return state.waiters.removeValue(forKey: header.request)
        }
        guard UInt32(header.type) == PI_ERROR.rawValue else { return waiter?.resume(returning: .success(reply)) ?? () }
        let error = reply.body.value(of: pi_error.self) ?? pi_error()
        let subject = String(decoding: reply.body.dropFirst(MemoryLayout<pi_error>.size), as: UTF8.self)
        waiter?.resume(
            returning: .failure(
                LaunchError(step: .init(rawValue: error.step), subject: subject, errno: error.error)))
    }

    private func execEnded(_ id: UInt64, _ status: ExitStatus) {
        let waiting: [CheckedContinuation<ExitStatus?, Never>] = state.withLock { state in
            guard case .running(let waiting)? = state.execs[id] else { return [] }
            state.execs[id] = .ended(status)
            return waiting
        }
        for waiter in waiting { waiter.resume(returning: status) }
    }

    /// Waits for the end of an exec; nil when the connection ends first.
    func execStatus(_ id: UInt64) async -> ExitStatus? {
        await withCheckedContinuation { waiter in
            let known: ExitStatus?? = state.withLock { state in
                switch state.execs[id] {
                case .ended(let status)?: return .some(status)
                case .running(let waiting)?:
                    state.execs[id] = .running(waiting + [waiter])
                    return nil
                case nil: return .some(nil)
                }
            }
            if let known { waiter.resume(returning: known) }
        }
    }

    /// Nobody asks for this exec any more.
    func forgetExec(_ id: UInt64) {
        state.withLock { _ = $0.execs.removeValue(forKey: id) }
    }

    /// podinit closed the connection, or broke the protocol.
    private func close() {
        let (watch, waiters, execs) = state.withLock { state in
            defer {
                state.closed = true
                state.watch = nil
                state.waiters = [:]
                state.execs = state.execs.filter { if case .ended = $0.value { true } else { false } }
            }
            return (state.watch, state.waiters, state.execs)
        }
        if let watch { loop.unwatch(watch, socket.descriptor.number) }
        for waiter in waiters.values { waiter.resume(returning: .failure(PodinitConnection.lost)) }
        for case .running(let waiting) in execs.values { waiting.forEach { $0.resume(returning: nil) } }
        continuation.yield(.gone)
        continuation.finish()
    }
}

/// Descriptors that came with a message; those that nobody takes are closed.
final class ReceivedDescriptors: Sendable {
    private let numbers: Mutex<[Int32]>

    init(_ numbers: [Int32]) { self.numbers = Mutex(numbers) }

    deinit { numbers.withLock { $0.forEach { if $0 >= 0 { close($0) } } } }

    /// The descriptor at `index`; nil if there is none, or no more.
    func take(_ index: Int) -> OwnedDescriptor? {
        let number: Int32 = numbers.withLock { numbers in
            guard numbers.indices.contains(index) else { return -1 }
            defer { numbers[index] = -1 }
            return numbers[index]
        }
        return number < 0 ? nil : OwnedDescriptor(owning: number)
    }
}

extension [UInt8] {
    /// The plain C value at `offset`; nil if the bytes end before it does.
    func value<Value: BitwiseCopyable>(of type: Value.Type, at offset: Int = 0) -> Value? {
        guard count - offset >= MemoryLayout<Value>.size else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }
}
