import Linux
import Logging
import Synchronization
import Testing

@testable import LocalNode

/// Reads `pod NAME IMAGE` lines; anything else is an error. What the files mean is not this suite's matter.
@Sendable private func load(_ path: String, _ bytes: [UInt8]) -> Result<ManifestContent, ManifestProblems> {
    var content = ManifestContent()
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ").map(String.init)
        if words.count == 3, words[0] == "pod" {
            content.pods.append(desired(words[1], in: path, image: words[2]))
        } else if words.count == 2, words[0] == "service" {
            content.services.append(SourcedService(service: service(words[1]), source: path))
        } else {
            return .failure(ManifestProblems(lines: ["\(path):1: not a manifest: \(line)"]))
        }
    }
    return .success(content)
}

@Suite("A directory of manifests")
struct ManifestDirectoryTests {
    @Test(
        "counts what people write, not what editors keep beside it",
        arguments: [
            ("web.yaml", true), ("web.yml", true), ("web.json", true), ("a.b.yaml", true), (".web.yaml", false),
            (".#web.yaml", false), ("web.yaml~", false), ("web.yaml.swp", false), ("4913", false), (".yaml", false),
            ("web.yaml.tmp-1-2", false), ("README.md", false), ("", false),
        ])
    func names(_ name: String, _ counts: Bool) {
        #expect(ManifestDirectory.counts(name) == counts)
    }

    @Test("is read whole: files in the order of their names, links followed, directories left out")
    func reading() throws {
        let files = try TemporaryDirectory()
        let elsewhere = try TemporaryDirectory()
        try files.write("b.yaml", "pod b 1\nservice web\n")
        try files.write("a.json", "pod a 1\n")
        try files.write("ignored.txt", "nonsense")
        try files.write("directory.yaml/inside.yaml", "pod inside 1\n")
        try elsewhere.write("linked", "pod linked 1\n")
        #expect(symlink("\(elsewhere.path)/linked", "\(files.path)/c.yaml") == 0)
        #expect(symlink("/nowhere", "\(files.path)/d.yaml") == 0)
        var directory = ManifestDirectory(files.path, load: load)
        #expect(try directory.scan() == [])
        #expect(directory.pods.map(\.name) == ["default/a", "default/b", "default/linked"])
        #expect(directory.services.map(\.name) == ["default/web"])
    }

    @Test("keeps what a file said before it went wrong, and mentions the error once")
    func lastGoodVersion() throws {
        let files = try TemporaryDirectory()
        try files.write("a.yaml", "pod a 1\n")
        var directory = ManifestDirectory(files.path, load: load)
        #expect(try directory.scan() == [])
        try files.write("a.yaml", "broken\n")
        #expect(try directory.scan() == ["\(files.path)/a.yaml:1: not a manifest: broken"])
        #expect(try directory.scan() == [])
        #expect(directory.pods == [desired("a", in: "\(files.path)/a.yaml", image: "1")])
        #expect(directory.unread.isEmpty)
        try files.write("a.yaml", "pod a 2\n")
        #expect(try directory.scan() == [])
        #expect(directory.pods == [desired("a", in: "\(files.path)/a.yaml", image: "2")])
    }

    @Test("does not know what a file asks for that was never right")
    func neverRight() throws {
        let files = try TemporaryDirectory()
        try files.write("a.yaml", "broken\n")
        var directory = ManifestDirectory(files.path, load: load)
        #expect(try directory.scan().count == 1)
        #expect(directory.unread == ["\(files.path)/a.yaml"])
        unlink("\(files.path)/a.yaml")
        #expect(try directory.scan() == [])
        #expect(directory.unread.isEmpty)
    }

    @Test("that is not there for a moment changes nothing")
    func gone() throws {
        let files = try TemporaryDirectory()
        try files.write("m/a.yaml", "pod a 1\n")
        var directory = ManifestDirectory("\(files.path)/m", load: load)
        _ = try directory.scan()
        #expect(rename("\(files.path)/m", "\(files.path)/n") == 0)
        #expect(throws: SystemError.self) { try directory.scan() }
        #expect(directory.pods.count == 1)
    }
}

@Suite("Following a directory")
struct ManifestWatchTests {
    /// A watch and what it tells.
    private final class Fixture: Sendable {
        let files: TemporaryDirectory
        let watch: ManifestWatch
        let loop: EventLoop

        init() throws {
            files = try TemporaryDirectory()
            loop = try EventLoop(name: "watch-test")
            watch = try ManifestWatch(files.path, eventLoop: loop)
        }

        deinit {
            watch.stop()
            loop.stop()
        }

        /// Does `change` and waits until something is told.
        func change(_ change: () throws -> Void) async throws {
            try change()
            for await _ in watch.changes { return }
        }
    }

    @Test("tells of files written, moved in, linked, moved out and deleted", .timeLimit(.minutes(1)))
    func changes() async throws {
        let fixture = try Fixture()
        let path = fixture.files.path
        try await fixture.change { try fixture.files.write("a.yaml", "1") }
        try await fixture.change { try writeFileAtomically("\(path)/b.yaml", [1]) }
        try await fixture.change { #expect(symlink("a.yaml", "\(path)/c.yaml") == 0) }
        try await fixture.change { #expect(link("\(path)/a.yaml", "\(path)/d.yaml") == 0) }
        try await fixture.change { #expect(rename("\(path)/a.yaml", "/tmp/swiftlet-moved-\(getpid())") == 0) }
        unlink("/tmp/swiftlet-moved-\(getpid())")
        try await fixture.change { #expect(unlink("\(path)/b.yaml") == 0) }
    }

    @Test("waits for the end of a file that is being written", .timeLimit(.minutes(1)))
    func halfWritten() async throws {
        let fixture = try Fixture()
        var seen: [UInt8] = []
        do {
            let file = try OwnedDescriptor(
                opening: "\(fixture.files.path)/a.yaml", flags: O_WRONLY | O_CREAT, mode: 0o644)
            try file.writeAll(Array("first half, ".utf8))
            try file.writeAll(Array("second half".utf8))
        }
        for await _ in fixture.watch.changes {
            seen = try readFile("\(fixture.files.path)/a.yaml")
            break
        }
        #expect(seen == Array("first half, second half".utf8))
    }

    @Test("finds a directory again that was replaced", .timeLimit(.minutes(1)))
    func replaced() async throws {
        let fixture = try Fixture()
        let path = fixture.files.path
        try await fixture.change { #expect(rename(path, "\(path)-old") == 0) }
        defer { try? removeTree("\(path)-old") }
        #expect(fixture.watch.directoryIsGone)
        #expect(!fixture.watch.reattach())
        try makeDirectories(path)
        try await fixture.change { #expect(fixture.watch.reattach()) }
        try await fixture.change { try fixture.files.write("a.yaml", "1") }
    }

    @Test("of what is no directory is an error")
    func notADirectory() throws {
        let loop = try EventLoop(name: "watch-test")
        defer { loop.stop() }
        #expect(throws: SystemError.self) { try ManifestWatch("/proc/self/status", eventLoop: loop) }
        #expect(throws: SystemError.self) { try ManifestWatch("/nowhere", eventLoop: loop) }
    }
}

@Suite("Running a directory of manifests")
struct ManifestRunnerTests {
    /// Pods that only exist as names.
    private final class World: Sendable {
        struct State: Sendable {
            var pods: [PresentPod] = []
            var log: [String] = []
            var refusals: Set<String> = []
        }
        let state = Mutex(State())

        var pods: ManifestRunner.Pods {
            ManifestRunner.Pods(
                present: { self.state.withLock { $0.pods } },
                create: { pod in
                    try self.state.withLock { state in
                        if state.refusals.contains(pod.name) { throw NodeError("no") }
                        state.pods.append(PresentPod(uid: pod.uid, name: pod.name, source: pod.source))
                        state.log.append("create \(pod.name) \(pod.pod.spec.containers[0].image)")
                    }
                },
                remove: { uid in
                    self.state.withLock { state in
                        let name = state.pods.first { $0.uid == uid }?.name ?? "?"
                        state.pods.removeAll { $0.uid == uid }
                        state.log.append("remove \(name)")
                    }
                })
        }

        var log: [String] { state.withLock { $0.log } }
    }

    private func runner(_ files: TemporaryDirectory, _ world: World) -> ManifestRunner {
        ManifestRunner(
            directory: ManifestDirectory(files.path, load: load), pods: world.pods,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { _, _ in }
    }

    private func settle(_ world: World, _ expected: [String]) async {
        while world.log.count < expected.count { await Task.yield() }
        #expect(world.log == expected)
    }

    @Test("replaces a changed pod: the old one goes first", .timeLimit(.minutes(1)))
    func replacement() async throws {
        let (files, world) = (try TemporaryDirectory(), World())
        let runner = runner(files, world)
        try files.write("a.yaml", "pod web 1\n")
        await runner.rescan()
        await settle(world, ["create default/web 1"])
        try files.write("a.yaml", "pod web 2\n")
        await runner.rescan()
        await settle(world, ["create default/web 1", "remove default/web", "create default/web 2"])
        unlink("\(files.path)/a.yaml")
        await runner.rescan()
        await settle(
            world, ["create default/web 1", "remove default/web", "create default/web 2", "remove default/web"])
    }

    @Test(
        "removes at its start the pods of files that are gone, and leaves those of a broken file",
        .timeLimit(.minutes(1)))
    func start() async throws {
        let (files, world) = (try TemporaryDirectory(), World())
        let gone = desired("gone", in: "\(files.path)/gone.yaml")
        let broken = desired("broken", in: "\(files.path)/broken.yaml")
        world.state.withLock { state in
            state.pods = [gone, broken].map { PresentPod(uid: $0.uid, name: $0.name, source: $0.source) }
        }
        try files.write("broken.yaml", "nonsense\n")
        await runner(files, world).rescan()
        await settle(world, ["remove default/gone"])
        #expect(world.state.withLock { $0.pods.map(\.name) } == ["default/broken"])
    }

    @Test("runs a pod again that somebody removed, and one whose name became free", .timeLimit(.minutes(1)))
    func level() async throws {
        let (files, world) = (try TemporaryDirectory(), World())
        let runner = runner(files, world)
        try files.write("a.yaml", "pod web 1\n")
        world.state.withLock { $0.pods = [PresentPod(uid: "1234", name: "default/web", source: nil)] }
        await runner.rescan()
        #expect(world.log == [])
        world.state.withLock { $0.pods = [] }
        await runner.replan()
        await settle(world, ["create default/web 1"])
        world.state.withLock { $0.pods = [] }
        await runner.replan()
        await settle(world, ["create default/web 1", "create default/web 1"])
    }

    @Test("does not hammer at a pod that is refused", .timeLimit(.minutes(1)))
    func refused() async throws {
        let (files, world) = (try TemporaryDirectory(), World())
        let runner = runner(files, world)
        try files.write("a.yaml", "pod web 1\npod api 1\n")
        world.state.withLock { $0.refusals = ["default/web"] }
        await runner.rescan()
        await settle(world, ["create default/api 1"])
        world.state.withLock { $0.refusals = [] }
        // Before its time of waiting is over nothing happens, however often something changes.
        await runner.replan()
        #expect(world.log == ["create default/api 1"])
    }
}
