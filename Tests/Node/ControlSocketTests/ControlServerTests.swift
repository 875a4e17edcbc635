import JSONTree
import Linux
import Synchronization
import Testing

@testable import ControlSocket

/// A server in a run directory of its own.
final class ServerFixture: Sendable {
    let directory: String
    let loop: EventLoop
    let server: ControlServer

    init(handler: @escaping ControlServer.Handler) throws {
        directory = "/tmp/swiftlet-control-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        loop = try EventLoop(name: "control-test")
        server = try ControlServer(runDirectory: directory, version: "1.2.3", eventLoop: loop, handler: handler)
    }

    deinit {
        server.stop()
        loop.stop()
        try? removeTree(directory)
    }

    func client() throws -> ControlClient { try ControlClient(runDirectory: directory, version: "1.2.3") }

    /// A bare connection, for what no client of ours would send.
    func raw() throws -> UnixSocket { try UnixSocket.connect(to: controlSocketPath(runDirectory: directory), .stream) }
}

/// Runs blocking client code on a thread of its own, so that no handler waits for a thread of the pool.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let start = Box { continuation.resume(with: Result(catching: body)) }
        var id = pthread_t()
        let failure = pthread_create(
            &id, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        precondition(failure == 0)
        pthread_detach(id)
    }
}

final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func readAll(_ socket: borrowing UnixSocket) throws -> [ControlFrame] {
    var reader = ControlFrameReader()
    var frames: [ControlFrame] = []
    while true {
        let (bytes, _) = try socket.receiveBytes(upTo: 4096)
        if bytes.isEmpty { return frames }
        reader.append(bytes)
        while let frame = try reader.next() { frames.append(frame) }
    }
}

@Suite("The control socket")
struct ControlServerTests {
    @Test("carries a request, its progress in order, and its result")
    func roundTrip() async throws {
        let fixture = try ServerFixture { request in
            for number in 0..<3 { request.progress(["step": .integer(Int64(number))]) }
            return ["verb": .string(request.verb), "name": .string(try request.string("name"))]
        }
        let (steps, result, agent) = try await blocking {
            var client = try fixture.client()
            var steps: [Int64] = []
            let result = try client.call("run", ["name": "web"]) { steps.append($0["step"]?.integerValue ?? -1) }
            return (steps, result, client.agent)
        }
        #expect(steps == [0, 1, 2])
        #expect(result == ["verb": "run", "name": "web"])
        #expect(agent == ControlIdentity(version: "1.2.3", pid: getpid()))
    }

    @Test("serves several requests on one connection, one after the other")
    func sequence() async throws {
        let fixture = try ServerFixture { request in request.arguments }
        let results = try await blocking {
            var client = try fixture.client()
            return [try client.call("a", ["n": 1]), try client.call("b", ["n": 2])]
        }
        #expect(results == [["n": 1], ["n": 2]])
    }

    @Test("passes descriptors both ways")
    func descriptors() async throws {
        let fixture = try ServerFixture { request in
            guard let pipe = request.takeDescriptor(1) else { throw ControlError(.failed, "no descriptor") }
            try pipe.writeAll(Array("from the agent".utf8))
            let file = try sealedMemoryFile(named: "answer", Array("passed back".utf8))
            _ = lseek(file.number, 0, SEEK_SET)
            request.progress(["terminal": true], passing: file)
            return [
                "count": .integer(Int64(request.descriptorCount)), "again": .bool(request.takeDescriptor(1) == nil),
            ]
        }
        let (result, written, back) = try await blocking {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw SystemError("pipe") }
            let reading = OwnedDescriptor(owning: ends[0])
            var client = try fixture.client()
            do {
                let writing = OwnedDescriptor(owning: ends[1])
                try client.request("exec", descriptors: [reading.number, writing.number])
            }
            guard case .progress? = try client.receive(), let file = client.takeDescriptor() else {
                throw ControlError(.failed, "no descriptor came back")
            }
            let message = try client.receive()
            return (message, try reading.readAll(), try file.readAll())
        }
        #expect(result == .result(["count": 2, "again": true]))
        // The pipe's end came: nobody kept a copy of the writing side.
        #expect(written == Array("from the agent".utf8))
        #expect(back == Array("passed back".utf8))
    }

    @Test("carries an error with its code")
    func error() async throws {
        let fixture = try ServerFixture { _ in throw ControlError(.notFound, "pod \"web\" not found") }
        await #expect(throws: ControlError(.notFound, "pod \"web\" not found")) {
            try await blocking {
                var client = try fixture.client()
                return try client.call("inspect")
            }
        }
    }

    @Test("hands what a command sends meanwhile to the request that runs")
    func inputs() async throws {
        let fixture = try ServerFixture { request in
            request.progress("ready")
            for await value in request.inputs { return value }
            return .null
        }
        let result = try await blocking {
            var client = try fixture.client()
            try client.request("exec")
            _ = try client.receive()
            try client.input(["rows": 24])
            return try client.receive()
        }
        #expect(result == .result(["rows": 24]))
    }

    @Test("cancels the request of a command that dies")
    func deadClient() async throws {
        let (ended, note) = AsyncStream.makeStream(of: Bool.self)
        let fixture = try ServerFixture { request in
            request.progress("following")
            for await _ in request.inputs {}
            // The stream ended with the connection; the task is cancelled right after.
            while !Task.isCancelled { await Task.yield() }
            note.yield(true)
            return .null
        }
        try await blocking {
            var client = try fixture.client()
            try client.request("logs")
            _ = try client.receive()
        }
        for await cancelled in ended {
            #expect(cancelled)
            break
        }
    }

    @Test("tells a command that its agent went away")
    func deadAgent() async throws {
        let stop = Mutex<ControlServer?>(nil)
        let fixture = try ServerFixture { request in
            stop.withLock { $0 }?.stop()
            for await _ in request.inputs {}
            return .null
        }
        stop.withLock { $0 = fixture.server }
        await #expect {
            try await blocking {
                var client = try fixture.client()
                return try client.call("anything")
            }
        } throws: { ($0 as? ControlError)?.code == .disconnected }
        stop.withLock { $0 = nil }
    }

    @Test("says so when no agent listens, also when a dead one left its socket")
    func noAgent() throws {
        let directory = "/tmp/swiftlet-control-none-\(getpid())"
        #expect { _ = try ControlClient(runDirectory: directory, version: "1") } throws: {
            ($0 as? ControlError)?.code == .unavailable
        }
        try makeDirectories(directory)
        defer { try? removeTree(directory) }
        do { _ = try UnixSocket.listen(at: controlSocketPath(runDirectory: directory), .stream) }
        #expect { _ = try ControlClient(runDirectory: directory, version: "1") } throws: {
            ($0 as? ControlError)?.code == .unavailable
        }
    }

    @Test("is for root alone, and replaces what a dead agent left")
    func modes() throws {
        let fixture = try ServerFixture { _ in .null }
        var status = stat()
        #expect(stat(fixture.directory, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(lstat(controlSocketPath(runDirectory: fixture.directory), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        fixture.server.stop()
        #expect(!fileExists(controlSocketPath(runDirectory: fixture.directory)))
    }

    @Test("refuses a command of another revision and names both")
    func otherClient() async throws {
        let fixture = try ServerFixture { _ in .null }
        let frames = try await blocking {
            let socket = try fixture.raw()
            let hello = ControlFrame(kind: .hello, body: ["protocol": 99, "version": "9.9", "pid": 1])
            _ = try socket.sendBytes((hello.encoded() ?? [])[...], descriptors: [])
            return try readAll(socket)
        }
        #expect(frames.map(\.kind) == [.hello, .error])
        #expect(frames.last?.failure.code == .versionMismatch)
        #expect(
            frames.last?.failure.message
                == "the agent (swiftlet 1.2.3, pid \(getpid())) speaks control protocol 1, "
                + "this command (swiftlet 9.9) speaks 99: restart the agent with this release")
    }

    @Test("makes a command refuse an agent of another revision")
    func otherAgent() async throws {
        let directory = "/tmp/swiftlet-control-old-\(getpid())"
        try makeDirectories(directory)
        defer { try? removeTree(directory) }
        let listener = try UnixSocket.listen(
            at: controlSocketPath(runDirectory: directory), .stream, nonBlocking: false)
        let call = Task {
            try await blocking {
                var client = try ControlClient(runDirectory: directory, version: "1.2.3")
                return try client.call("ps")
            }
        }
        guard let agent = try listener.accept(nonBlocking: false) else { throw ControlError(.failed, "nobody came") }
        let hello = ControlFrame(kind: .hello, body: ["protocol": 2, "version": "2.0", "pid": 7])
        _ = try agent.sendBytes((hello.encoded() ?? [])[...], descriptors: [])
        await #expect { try await call.value } throws: { error in
            (error as? ControlError)?.code == .versionMismatch
                && "\(error)".contains("(swiftlet 2.0, pid 7) speaks control protocol 2")
        }
    }

    @Test(
        "hangs up on what is no request, with the reason, and goes on serving others",
        arguments: [
            Array("GET / HTTP/1.1\r\n\r\n".utf8),
            ControlFrame(kind: .request, body: ["verb": "ps"]).encoded() ?? [],
            (ControlFrame.hello(ControlIdentity(version: "1", pid: 1)).encoded() ?? [])
                + (ControlFrame(kind: .result, body: .null).encoded() ?? []),
            (ControlFrame.hello(ControlIdentity(version: "1", pid: 1)).encoded() ?? [])
                + (ControlFrame(kind: .request, body: ["verb": "ps"], descriptorCount: 3).encoded() ?? []),
        ])
    func malformed(_ bytes: [UInt8]) async throws {
        let fixture = try ServerFixture { _ in "served" }
        let frames = try await blocking {
            let socket = try fixture.raw()
            _ = try socket.sendBytes(bytes[...], descriptors: [])
            return try readAll(socket)
        }
        #expect(frames.last?.kind == .error && frames.last?.failure.code == .malformed)
        let result = try await blocking {
            var client = try fixture.client()
            return try client.call("ps")
        }
        #expect(result == "served")
    }

    @Test("never waits for a command that does not read: progress is lost, the result is not")
    func slowReader() async throws {
        let text = String(repeating: "x", count: 1000)
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let flooded = OwnedDescriptor(owning: ends[0])
        let flooding = ends[1]
        let fixture = try ServerFixture { request in
            for number in 0..<20_000 { request.progress(["n": .integer(Int64(number)), "text": .string(text)]) }
            close(flooding)
            return "done"
        }
        let (numbers, result) = try await blocking {
            var client = try fixture.client()
            try client.request("flood")
            // Nothing is read before the handler is through.
            _ = try flooded.readAll()
            var numbers: [Int64] = []
            while true {
                switch try client.receive() {
                case .progress(let value): numbers.append(value["n"]?.integerValue ?? -1)
                case .result(let value): return (numbers, value)
                case nil: continue
                }
            }
        }
        #expect(result == "done")
        #expect(numbers.count < 20_000 && numbers.count * 1000 > ControlConnection.progressBound)
        #expect(numbers == Array(0..<Int64(numbers.count)))
    }

    @Test("carries a result of many megabytes, and says so when one is too long")
    func largeResult() async throws {
        let fixture = try ServerFixture { request in
            .string(String(repeating: "y", count: Int(try request.optionalInteger("size") ?? 0)))
        }
        let length = try await blocking {
            var client = try fixture.client()
            return try client.call("big", ["size": .integer(12 << 20)]).stringValue?.utf8.count
        }
        #expect(length == 12 << 20)
        await #expect(throws: ControlError(.failed, "the answer is longer than 16 MiB")) {
            try await blocking {
                var client = try fixture.client()
                return try client.call("big", ["size": .integer(17 << 20)])
            }
        }
    }

    @Test("serves more commands than it lets in at a time")
    func manyClients() async throws {
        let fixture = try ServerFixture { _ in "hello" }
        let served = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<(ControlServer.maximumConnections + 20) {
                group.addTask {
                    try await blocking {
                        var client = try fixture.client()
                        return try client.call("ps") == "hello"
                    }
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(served == ControlServer.maximumConnections + 20)
    }
}
