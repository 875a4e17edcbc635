// The commands' side: a blocking client for a program that does one thing, quick to start.
import JSONTree
import Linux

/// A connection to the agent. One request at a time.
public struct ControlClient: ~Copyable {
    /// What the agent says while it works, and at the end.
    public enum Message: Sendable, Hashable {
        case progress(JSONValue)
        case result(JSONValue)
    }

    private let socket: UnixSocket
    private let path: String
    private let identity: ControlIdentity
    private var reader = ControlFrameReader()
    private var received: [Int32] = []
    private var greeted = false
    private var agentIdentity: ControlIdentity?

    /// Connects to the agent with this run directory. `version` is this program's release, for the other side's messages.
    /// Nobody listening there is ``ControlError/Code/unavailable``.
    public init(runDirectory: String, version: String) throws(ControlError) {
        path = controlSocketPath(runDirectory: runDirectory)
        identity = ControlIdentity(version: version, pid: getpid())
        do throws(SystemError) {
            socket = try UnixSocket.connect(to: path, .stream, nonBlocking: true)
        } catch {
            switch error.errno {
            case ENOENT, ECONNREFUSED, ENOTDIR:
                throw ControlError(.unavailable, "no agent listens at \(path): start one with 'swiftlet node'")
            case EACCES, EPERM:
                throw ControlError(.failed, "\(path): permission denied, swiftlet needs root")
            default: throw ControlError(.failed, error.description)
            }
        }
    }

    deinit {
        for number in received { close(number) }
    }

    /// The socket, for poll(2) along with other descriptors; read it with ``receive(wait:)``.
    public var descriptor: Int32 { socket.descriptor.number }

    /// Who answers; nil until the first message came.
    public var agent: ControlIdentity? { agentIdentity }

    /// Sends a request. The descriptors stay the caller's; the agent gets copies.
    public mutating func request(
        _ verb: String, _ arguments: JSONValue = [:], descriptors: [Int32] = []
    ) throws(ControlError) {
        if !greeted {
            greeted = true
            try send(.hello(identity))
        }
        try send(
            ControlFrame(
                kind: .request, body: ["verb": .string(verb), "arguments": arguments],
                descriptorCount: descriptors.count),
            descriptors)
    }

    /// Sends something for the request that runs.
    public mutating func input(_ value: JSONValue) throws(ControlError) {
        try send(ControlFrame(kind: .input, body: value))
    }

    /// The next message. With `wait` false nil means that there is none yet. An error that the agent answers is thrown.
    public mutating func receive(wait: Bool = true) throws(ControlError) -> Message? {
        while true {
            while let frame = try reader.next() {
                if let message = try interpret(frame) { return message }
            }
            do throws(SystemError) {
                try read()
            } catch {
                guard error.errno == EAGAIN else { throw lost(error) }
                if !wait { return nil }
                awaitEvents(Int16(POLLIN))
            }
        }
    }

    /// A request from its start to its result.
    public mutating func call(
        _ verb: String, _ arguments: JSONValue = [:], descriptors: [Int32] = [],
        progress: (JSONValue) -> Void = { _ in }
    ) throws(ControlError) -> JSONValue {
        try request(verb, arguments, descriptors: descriptors)
        while true {
            switch try receive() {
            case .progress(let value): progress(value)
            case .result(let value): return value
            case nil: continue
            }
        }
    }

    /// The oldest descriptor that came with a message and was not taken yet.
    public mutating func takeDescriptor() -> OwnedDescriptor? {
        received.isEmpty ? nil : OwnedDescriptor(owning: received.removeFirst())
    }

    private mutating func interpret(_ frame: ControlFrame) throws(ControlError) -> Message? {
        if let (revision, identity) = frame.greeting {
            agentIdentity = identity
            guard revision == controlProtocolRevision else {
                throw ControlError(
                    .versionMismatch,
                    "the agent at \(path) (swiftlet \(identity.version), pid \(identity.pid)) speaks control protocol "
                        + "\(revision), this command (swiftlet \(self.identity.version)) speaks "
                        + "\(controlProtocolRevision): restart the agent with this release")
            }
            return nil
        }
        guard agentIdentity != nil || frame.kind == .error else {
            throw ControlError(.malformed, "\(path): what answers there is no agent of swiftlet")
        }
        switch frame.kind {
        case .progress: return .progress(frame.body)
        case .result: return .result(frame.body)
        case .error: throw frame.failure
        case .hello, .request, .input:
            throw ControlError(.malformed, "\(path): the agent sent a frame that only a command sends")
        }
    }

    private mutating func read() throws(SystemError) {
        let (bytes, descriptors) = try socket.receiveBytes(upTo: 65536)
        received += descriptors
        if bytes.isEmpty { throw SystemError("recvmsg", path, errno: ECONNRESET) }
        reader.append(bytes)
    }

    private func send(_ frame: ControlFrame, _ descriptors: [Int32] = []) throws(ControlError) {
        guard let bytes = frame.encoded() else {
            throw ControlError(.invalid, "the request is longer than \(ControlFrame.maximumLength >> 20) MiB")
        }
        var offset = 0
        while offset < bytes.count {
            do throws(SystemError) {
                offset += try socket.sendBytes(bytes[offset...], descriptors: offset == 0 ? descriptors : [])
            } catch {
                // An agent that hung up may have said why: the answer is still there to be received.
                if error.errno == EPIPE || error.errno == ECONNRESET { return }
                guard error.errno == EAGAIN else { throw lost(error) }
                awaitEvents(Int16(POLLOUT))
            }
        }
    }

    private func awaitEvents(_ events: Int16) {
        var poller = pollfd(fd: descriptor, events: events, revents: 0)
        _ = poll(&poller, 1, -1)
    }

    private func lost(_ error: SystemError) -> ControlError {
        switch error.errno {
        case ECONNRESET, EPIPE:
            ControlError(.disconnected, "the agent at \(path) went away before it answered")
        default: ControlError(.failed, error.description)
        }
    }
}

extension UnixSocket {
    /// What is there, at most `limit` bytes, with the descriptors that came along; nothing at the end.
    func receiveBytes(upTo limit: Int) throws(SystemError) -> (bytes: [UInt8], descriptors: [Int32]) {
        var buffer = [UInt8](repeating: 0, count: limit)
        var result: Result<(Int, [Int32]), SystemError> = .success((0, []))
        buffer.withUnsafeMutableBytes { bytes in
            do throws(SystemError) {
                result = .success(try receive(into: bytes))
            } catch {
                result = .failure(error)
            }
        }
        let (count, descriptors) = try result.get()
        return (Array(buffer[..<count]), descriptors)
    }

    /// Sends a part of `bytes`; how many went.
    func sendBytes(_ bytes: ArraySlice<UInt8>, descriptors: [Int32]) throws(SystemError) -> Int {
        var result: Result<Int, SystemError> = .success(0)
        bytes.withUnsafeBytes { bytes in
            do throws(SystemError) {
                result = .success(try send(bytes, descriptors: descriptors))
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }
}
