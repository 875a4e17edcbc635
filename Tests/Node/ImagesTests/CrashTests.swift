import Glibc
import Linux
import OCI
import Testing

@testable import Images

/// What the process under test reads its orders from; set only in the processes that these tests start.
private func order(_ name: String) -> String? { getenv("SWIFTLET_IMAGES_TEST_\(name)").map { String(cString: $0) } }

/// This test program once more, running ``CrashTests/child()`` alone: it pulls, and is killed.
private final class Puller: Sendable {
    private let pid: pid_t

    init(store: String, reference: String, log: String, repetitions: Int? = nil) throws {
        var arguments = CommandLine.arguments
        // What this run was restricted to is not what the other one shall be.
        while let filter = arguments.firstIndex(of: "--filter"), filter + 1 < arguments.count {
            arguments.removeSubrange(filter...(filter + 1))
        }
        while let events = arguments.firstIndex(where: { $0.hasPrefix("--event-stream") || $0.hasPrefix("--xunit") }) {
            arguments.removeSubrange(events...min(events + 1, arguments.count - 1))
        }
        if !arguments.contains("--testing-library") { arguments += ["--testing-library", "swift-testing"] }
        arguments += ["--filter", "CrashTests/child"]
        var environment = ["SWIFTLET_IMAGES_TEST_STORE=\(store)", "SWIFTLET_IMAGES_TEST_REFERENCE=\(reference)"]
        if let repetitions { environment.append("SWIFTLET_IMAGES_TEST_REPETITIONS=\(repetitions)") }
        for name in ["PATH", "LD_LIBRARY_PATH", "HOME"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        let file = try OwnedDescriptor(opening: log, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        pid = try spawn(
            "/proc/self/exe", arguments: arguments, environment: environment,
            descriptors: [-1, file.number, file.number])
    }

    func kill() {
        Glibc.kill(pid, SIGKILL)
        while waitpid(pid, nil, 0) < 0 && errno == EINTR {}
    }

    /// Whether it has ended by itself; asked again after that it says no.
    func hasEnded() -> Bool { waitpid(pid, nil, WNOHANG) == pid }

    /// The exit code.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return cl_wifexited(status) ? cl_wexitstatus(status) : -1
    }
}

@Suite struct CrashTests {
    @Test("the process that is killed", .enabled(if: order("STORE") != nil, "started by the tests below"))
    func child() async throws {
        let store = try ImageStore(directory: try #require(order("STORE")))
        let reference = try ImageReference(try #require(order("REFERENCE")))
        _ = try await store.fetch(reference)
        guard let repetitions = order("REPETITIONS").flatMap({ Int($0) }) else { return }
        // The HTTP client's threads are there now; what comes on top would be left behind.
        let before = try listDirectory("/proc/self/fd").count
        for _ in 0..<repetitions {
            _ = try store.remove(reference)
            _ = try await store.fetch(reference)
            _ = await imageError { _ = try await store.fetch(ImageReference("\(reference.name):absent")) }
        }
        // Threads end, and connections close, a moment after the pull; the pool of threads may have grown by one or two
        // meanwhile. A leak leaves at least one descriptor for each pull.
        try await waitUntil { (try? listDirectory("/proc/self/fd").count) ?? .max <= before + repetitions / 2 }
    }

    /// Nothing of a pull that was cut off counts, and the next one makes the image and clears up.
    private func expectCleanRestart(
        _ directory: TemporaryDirectory, _ reference: ImageReference, _ image: ImageFixture
    ) async throws {
        let store = try directory.store()
        #expect(try store.resolve(reference) == nil)
        #expect(try store.list().isEmpty)
        #expect(try store.layer(image.diffIDs[1]) == nil)
        let left = try listDirectory("\(directory.path)/images/tmp")
        #expect(left.count == 1)
        let pulled = try await store.fetch(reference)
        #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
        #expect(try listDirectory("\(directory.path)/images/partial").isEmpty)
        #expect(try readText("\(pulled.layers[0])/first") == "1")
        #expect(status("\(pulled.layers[1])/f0")?.st_size == 100_000)
        #expect(try store.prune() == Removal())
    }

    @Test("SIGKILL in the middle of a download leaves no image, and the next pull goes on from there")
    func download() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(
            layers: [[.file("first", "1")], (0..<10).map { TarEntry(name: "f\($0)", content: noise(100_000)) }],
            in: directory)
        let large = image.layers[1].digest.hex
        let (reached, signal) = AsyncStream<Void>.makeStream()
        let killed = Shared(false)
        let registry = try FakeRegistry { request in
            var response = FakeRegistry.Response.of(image, request)
            if request.path.hasSuffix(large), !killed.value.withLock({ $0 }) {
                response.cutAfter = 600_000
                response.afterwards = {
                    signal.yield()
                    while !killed.value.withLock({ $0 }) { usleep(2000) }
                }
            }
            return response
        }
        defer { killed.value.withLock { $0 = true } }
        let reference = try ImageReference("\(registry.host)/app")
        let puller = try Puller(
            store: "\(directory.path)/images", reference: reference.description, log: "\(directory.path)/log")
        for await _ in reached { break }
        let partial = "\(directory.path)/images/partial/sha256-\(large)"
        try await waitUntil { (status(partial)?.st_size ?? 0) > 500_000 }
        puller.kill()
        killed.value.withLock { $0 = true }
        try await expectCleanRestart(directory, reference, image)
        let ranges = registry.requests.filter { $0.path.hasSuffix(large) }.map { $0.headers["range"] ?? "-" }
        #expect(ranges.count == 2)
        #expect(ranges.last?.hasPrefix("bytes=") == true)
    }

    @Test("SIGKILL in the middle of unpacking leaves no layer, and the next pull clears up")
    func unpacking() async throws {
        // On a busy machine the whole layer may be unpacked between two looks: then there was nothing to kill.
        for _ in 0..<20 where try await killWhileUnpacking() { return }
        Issue.record("twenty pulls were over before they could be killed")
    }

    /// Whether the kill came in time.
    private func killWhileUnpacking() async throws -> Bool {
        let directory = try TemporaryDirectory()
        let entries =
            [TarEntry(name: "f0", content: noise(100_000))]
            + (0..<5000).map { TarEntry(name: "d\($0 % 100)/g\($0)", content: [1]) }
        let image = try ImageFixture(layers: [[.file("first", "1")], entries], compression: .plain, in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let reference = try ImageReference("\(registry.host)/app")
        let puller = try Puller(
            store: "\(directory.path)/images", reference: reference.description, log: "\(directory.path)/log")
        let name = StoreLayout.layerName(image.diffIDs[1])
        let root = "\(directory.path)/images/tmp"
        var ended = false
        try await waitUntil {
            ended = puller.hasEnded()
            guard !ended, let transactions = try? listDirectory(root) else { return ended }
            return transactions.contains { fileExists("\(root)/\($0)/\(name)/d1/g1") }
        }
        if ended { return false }
        puller.kill()
        guard try directory.store().resolve(reference) == nil else { return false }
        try await expectCleanRestart(directory, reference, image)
        return true
    }

    @Test("many pulls in one process leave no descriptor open")
    func descriptors() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("first", "1")], [.file("f", "2")]], in: directory)
        let registry = try FakeRegistry { $0.path.hasSuffix("absent") ? .notFound : .of(image, $0) }
        let log = "\(directory.path)/log"
        let puller = try Puller(
            store: "\(directory.path)/images", reference: "\(registry.host)/app", log: log, repetitions: 10)
        let code = puller.wait()
        #expect(code == 0, "\((try? readText(log)) ?? "")")
    }

    @Test("two processes that pull the same image do the work once")
    func processes() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("first", "1")], [.file("f", "2")]], in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let reference = try ImageReference("\(registry.host)/app")
        let pullers = try (0..<2).map {
            try Puller(
                store: "\(directory.path)/images", reference: reference.description, log: "\(directory.path)/log\($0)")
        }
        for (index, puller) in pullers.enumerated() {
            let code = puller.wait()
            #expect(code == 0, "\((try? readText("\(directory.path)/log\(index)")) ?? "")")
        }
        #expect(try directory.store().resolve(reference)?.layers.count == 2)
        for layer in image.layers {
            #expect(registry.requests.filter { $0.path.hasSuffix(layer.digest.hex) }.count == 1)
        }
    }
}

/// Looks until it is so; what another process does to files tells of itself in no other way here.
private func waitUntil(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while !condition() {
        guard ContinuousClock.now < deadline else { throw SystemError("wait", "another process", errno: ETIMEDOUT) }
        try await Task.sleep(for: .microseconds(200))
    }
}
