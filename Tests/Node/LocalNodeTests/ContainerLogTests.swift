import Linux
import Synchronization
import Testing

@testable import LocalNode

private func line(_ text: String, _ second: Int = 0, stream: String = "stdout", tag: String = "F") -> String {
    "2026-11-21T04:00:\(second < 10 ? "0" : "")\(second).000000000Z \(stream) \(tag) \(text)\n"
}

@Suite("Log lines")
struct LogLineTests {
    private func printed(_ text: String, timestamps: Bool = false, since: String? = nil, chunk: Int = 7) -> String {
        var printer = LogPrinter(timestamps: timestamps, since: since)
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            output += printer.print(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test("are printed as they were written, both streams, however they come", arguments: [1, 7, 10_000])
    func content(_ chunk: Int) {
        let log = line("one") + line("") + line("tw o  ", stream: "stderr") + line("größer")
        #expect(printed(log, chunk: chunk) == "one\n\ntw o  \ngrößer\n")
    }

    @Test("in parts become one, streams apart")
    func partial() {
        let log = line("a", tag: "P") + line("b", tag: "P") + line("c")
        #expect(printed(log) == "abc\n")
        #expect(printed(log, timestamps: true) == "2026-11-21T04:00:00.000000000Z abc\n")
    }

    @Test("that are older than asked for are left out")
    func since() {
        let log = line("old", 1) + line("new", 3)
        #expect(printed(log, since: "2026-11-21T04:00:02Z") == "new\n")
    }

    @Test("that are none are shown rather than lost")
    func foreign() {
        #expect(printed("not a log line\n" + line("x")) == "not a log line\nx\n")
    }
}

@Suite("A container's log")
struct ContainerLogTests {
    private func all(_ reader: inout ContainerLogReader) throws -> String {
        var (bytes, text) = (try reader.read(), "")
        while !bytes.isEmpty {
            text += String(decoding: bytes, as: UTF8.self)
            bytes = try reader.read()
        }
        return text
    }

    @Test("is all files of a run, oldest first, and no other run's")
    func files() throws {
        let directory = try TemporaryDirectory()
        try directory.write("3.log.20261121-040001", line("a"))
        try directory.write("3.log.20261121-040000", line("z"))
        try directory.write("3.log", line("b"))
        try directory.write("2.log", line("other"))
        try directory.write("30.log", line("other"))
        #expect(ContainerLog.attempts(in: directory.path) == [2, 3, 30])
        var reader = try ContainerLogReader(ContainerLog(directory: directory.path, attempt: 3))
        #expect(try all(&reader) == line("z") + line("a") + line("b"))
    }

    @Test("begins with the last lines that were asked for, also across files", arguments: 0...6)
    func tail(_ count: Int) throws {
        let directory = try TemporaryDirectory()
        let lines = [line("1"), line("2a", tag: "P") + line("2b"), line("3"), line("4"), line("5")]
        try directory.write("0.log.20261121-040000", lines[0] + lines[1])
        try directory.write("0.log.20261121-040001", lines[2])
        try directory.write("0.log", lines[3] + lines[4])
        var reader = try ContainerLogReader(ContainerLog(directory: directory.path, attempt: 0), tail: count)
        #expect(try all(&reader) == lines.suffix(count).joined())
    }

    @Test("is read on over any number of rotations between two reads, nothing lost and nothing twice")
    func rotation() throws {
        let directory = try TemporaryDirectory()
        func rotate(_ stamp: String) {
            #expect(rename("\(directory.path)/0.log", "\(directory.path)/0.log.20261121-04000\(stamp)") == 0)
        }
        var reader = try ContainerLogReader(ContainerLog(directory: directory.path, attempt: 0))
        #expect(try all(&reader) == "")
        try directory.append("0.log", line("1"))
        #expect(try all(&reader) == line("1"))
        try directory.append("0.log", line("2"))
        rotate("1")
        try directory.append("0.log", line("3"))
        rotate("2")
        try directory.append("0.log", line("4"))
        #expect(try all(&reader) == line("2") + line("3") + line("4"))
        // Rotated, and the new file is not there yet.
        rotate("3")
        #expect(try all(&reader) == "")
        try directory.append("0.log", line("5"))
        #expect(try all(&reader) == line("5"))
        // Ours was removed as too old meanwhile.
        rotate("4")
        try directory.append("0.log", line("6"))
        rotate("5")
        try directory.append("0.log", line("7"))
        for stamp in 1...4 { unlink("\(directory.path)/0.log.20261121-04000\(stamp)") }
        #expect(try all(&reader) == line("6") + line("7"))
    }
}

@Suite("Following a container's log")
struct ContainerLogFollowerTests {
    /// A pod with its files, as the engine and podinit leave them.
    private final class Fixture: Sendable {
        let root: TemporaryDirectory
        let pod: PodOnDisk

        init(policy: String = "Always") throws {
            root = try TemporaryDirectory()
            let manifest =
                "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"restartPolicy\":\"\(policy)\",\"containers\":[{\"name\":\"c\"}]}}"
            try root.write("pods/u1/pod.json", "{\"uid\":\"u1\",\"pod\":\(manifest)}")
            try root.write("pods/u1/exits/other.0", "")
            pod = try #require(PodOnDisk.all(dataDirectory: root.path).first)
            try status("{\"name\":\"c\",\"role\":\"app\",\"attempt\":0,\"running\":1}")
        }

        func status(_ container: String, wish: String = "running") throws {
            let text = "{\"wish\":\"\(wish)\",\"containers\":[\(container)]}"
            try writeFileAtomically("\(root.path)/pods/u1/status.json", Array(text.utf8))
        }

        func log(_ attempt: Int, _ text: String) throws {
            try makeDirectories("\(root.path)/logs/default_web_u1/c")
            try root.append("logs/default_web_u1/c/\(attempt).log", text)
        }

        func exit(_ attempt: Int) throws { try root.write("pods/u1/exits/c.\(attempt)", "x") }

        /// Follows on a thread of its own and tells what it reads; ends with the following.
        func follow() -> AsyncStream<String> {
            let (stream, told) = AsyncStream.makeStream(of: String.self)
            let fixture = self
            startThread {
                do {
                    var follower = try ContainerLogFollower(
                        fixture.pod, container: "c", logDirectory: "\(fixture.root.path)/logs", attempt: 0)
                    try follower.run { bytes in
                        told.yield(String(decoding: bytes, as: UTF8.self))
                        return true
                    }
                } catch {
                    told.yield("\(error)")
                }
                told.finish()
            }
            return stream
        }
    }

    @Test("goes from one run to the next and ends when the container has ended for good", .timeLimit(.minutes(1)))
    func runs() async throws {
        let fixture = try Fixture(policy: "OnFailure")
        var told = fixture.follow().makeAsyncIterator()
        try fixture.log(0, line("first run"))
        #expect(await told.next() == line("first run"))
        try fixture.exit(0)
        try fixture.status("{\"name\":\"c\",\"role\":\"app\",\"attempt\":0,\"terminated\":{\"exitCode\":1}}")
        try fixture.log(1, line("second run"))
        #expect(await told.next() == line("second run"))
        try fixture.log(1, line("last words"))
        try fixture.exit(1)
        try fixture.status("{\"name\":\"c\",\"role\":\"app\",\"attempt\":1,\"terminated\":{\"exitCode\":0}}")
        #expect(await told.next() == line("last words"))
        #expect(await told.next() == nil)
    }

    @Test("ends when the pod is stopped, also one that would be restarted", .timeLimit(.minutes(1)))
    func stopped() async throws {
        let fixture = try Fixture()
        try fixture.log(0, line("working"))
        var told = fixture.follow().makeAsyncIterator()
        #expect(await told.next() == line("working"))
        try fixture.exit(0)
        try fixture.status(
            "{\"name\":\"c\",\"role\":\"app\",\"attempt\":0,\"terminated\":{\"exitCode\":0}}", wish: "stopped")
        #expect(await told.next() == nil)
    }

    @Test("ends when the pod is removed", .timeLimit(.minutes(1)))
    func removed() async throws {
        let fixture = try Fixture()
        try fixture.log(0, line("working"))
        var told = fixture.follow().makeAsyncIterator()
        #expect(await told.next() == line("working"))
        try removeTree("\(fixture.root.path)/pods/u1")
        #expect(await told.next() == nil)
    }

    @Test("ends when nobody reads any more", .timeLimit(.minutes(1)))
    func unread() async throws {
        let fixture = try Fixture()
        try fixture.log(0, line("working"))
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let output = ends[1]
        defer { close(output) }
        var follower = try ContainerLogFollower(
            fixture.pod, container: "c", logDirectory: "\(fixture.root.path)/logs", attempt: 0)
        close(ends[0])
        try follower.run(output: output) { _ in true }
    }
}

/// Runs `body` on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var id = pthread_t()
    let failure = pthread_create(
        &id, nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Start(body)).toOpaque())
    precondition(failure == 0)
    pthread_detach(id)
}
