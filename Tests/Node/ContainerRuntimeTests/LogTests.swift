import CLinux
import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct LogTests {
    @Test func linesOverSixteenKibibytesAreSplitIntoParts() async throws {
        try await TestPod.with { pod in
            let limit = 16384
            // Exactly the limit is one line; one byte more is two parts; many are many.
            let script = "for n in \(limit) \(limit + 1) 50000; do head -c $n /dev/zero | tr '\\0' x; echo; done"
            let lines = try await pod.run(script).lines
            #expect(lines.map(\.tag) == ["F", "P", "F", "P", "P", "P", "F"])
            #expect(lines.map(\.text.utf8.count) == [limit, limit, 1, limit, limit, limit, 50000 - 3 * limit])
        }
    }

    @Test func anUnfinishedLineIsWrittenAtTheEnd() async throws {
        try await TestPod.with { pod in
            let lines = try await pod.run("printf 'whole\\n\\npart'").lines
            #expect(lines.map(\.text) == ["whole", "", "part"])
            #expect(lines.map(\.tag) == ["F", "F", "P"])
        }
    }

    @Test func aLineWrittenInPiecesIsOneLine() async throws {
        try await TestPod.with { pod in
            let lines = try await pod.run("for n in 1 2 3; do printf \"$n \"; sleep 0.02; done; echo end").lines
            #expect(lines.map(\.text) == ["1 2 3 end"])
        }
    }

    @Test func everyLineOfALoudContainerIsThere() async throws {
        try await TestPod.with { pod in
            let count = 20_000
            let lines = try await pod.run("seq 1 \(count)").lines
            #expect(lines.count == count)
            #expect(lines.indices.allSatisfy { lines[$0].text == "\($0 + 1)" })
            #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.time <= $1.time })
        }
    }

    @Test func theLogRotatesBySizeAndKeepsTheNewestFiles() async throws {
        try await TestPod.with { pod in
            try await pod.start(["seq", "1", "2000"]) {
                $0.log?.maximumSize = 4096
                $0.log?.maximumFiles = 3
            }
            _ = try await pod.exit()
            let files = try listDirectory(pod.logs)
            #expect(files.count == 3 && files.first == "0.log")
            #expect(files.dropFirst().allSatisfy { $0.wholeMatch(of: /0\.log\.\d{8}-\d{6}/) != nil })
            var numbers: [Int] = []
            // By name, the rotated files are in order of age; the current one is the newest.
            for file in files.dropFirst() + files.prefix(1) {
                let content = try readText("\(pod.logs)/\(file)")
                #expect(content.utf8.count <= 4096 + 64)
                numbers += try LogLine.parse(content).compactMap { Int($0.text) }
            }
            #expect(numbers.last == 2000)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 + 1 == $1 })
        }
    }

    @Test func anotherAttemptsFilesAreLeftAlone() async throws {
        try await TestPod.with { pod in
            _ = try await pod.run("echo old", attempt: 1)
            try await pod.start(["seq", "1", "2000"], attempt: 11) {
                $0.log?.maximumSize = 4096
                $0.log?.maximumFiles = 1
            }
            _ = try await pod.exit(attempt: 11)
            #expect(try pod.logLines(1).map(\.text) == ["old"])
            #expect(try listDirectory(pod.logs) == ["1.log", "11.log"])
        }
    }

    @Test func aFullDiskDoesNotStopTheContainerAndTheLossIsTold() async throws {
        try await TestPod.with { pod in
            // A log directory of 64 KiB, with a file that takes most of it and is removed in between.
            let mount = try DetachedMount(type: "tmpfs", options: [("size", "64k"), ("mode", "0755")])
            let directory = try OwnedDescriptor(
                opening: ".", in: mount.descriptor, flags: O_RDONLY | O_DIRECTORY)
            let input = try Pipe()
            try await pod.start(["sh", "-c", "seq 1 20000; echo first >&2; read line; echo after; exit 6"]) {
                $0.log = .init(directory: directory.number)
                $0.standardInput = input.reading.number
                $0.process.environment = ["PATH=/bin"]
            }
            func content() throws -> String {
                let file = try OwnedDescriptor(opening: "0.log", in: directory, flags: O_RDONLY)
                return String(decoding: try file.readAll(), as: UTF8.self)
            }
            // Full, but every line whole; the container waits for input, it was not stopped by the log.
            try await eventually("a full disk") {
                let size = try content().utf8.count
                return size > 60000
            }
            let file = try OwnedDescriptor(opening: "0.log", in: directory, flags: O_WRONLY)
            let kept = try LogLine.parse(content()).count
            #expect(kept > 100)
            try check(ftruncate(file.number, 0), "ftruncate")
            try input.writing.writeAll(Array("\n".utf8))
            let seen1 = try await pod.exit().code
            #expect(seen1 == 6)
            let lines = try LogLine.parse(content().filter { $0 != "\0" })
            #expect(lines.contains { $0.text.wholeMatch(of: /swiftlet: \d+ log lines lost: the disk was full/) != nil })
            #expect(lines.last?.text == "after")
            let seen2 = try await pod.sandbox.status().first.map { $0.droppedLogLines > 0 }
            #expect(seen2 == true)
        }
    }

    @Test func aProcessLeftBehindDoesNotDelayTheExit() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            // The left one is in the shared PID namespace, so that it lives on and holds the pipe.
            let outcome = try await pod.run("sleep 1000 & echo leaving; exit 8") { $0.pidNamespace = .sandbox }
            #expect(outcome.status.code == 8)
            #expect(outcome.output == "leaving\n")
        }
    }

    @Test func outputWithoutALogIsDiscarded() async throws {
        try await TestPod.with { pod in
            try await pod.start(["seq", "1", "100000"]) { $0.log = nil }
            let seen3 = try await pod.exit().code
            #expect(seen3 == 0)
            #expect(try listDirectory(pod.logs).isEmpty)
        }
    }

    @Test func aLogIsNotWrittenThroughALink() async throws {
        try await TestPod.with { pod in
            try check(symlink("/tmp/elsewhere", "\(pod.logs)/0.log"), "symlink")
            let error = await #expect(throws: LaunchError.self) { try await pod.start(["true"]) }
            #expect(error?.step == .log && error?.errno == ELOOP)
        }
    }
}
