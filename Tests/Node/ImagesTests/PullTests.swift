import Glibc
import JSONTree
import Linux
import NIOCore
import OCI
import Testing

@testable import Images

/// Bytes that no compression makes smaller.
func noise(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    while bytes.count < count {
        withUnsafeBytes(of: generator.next() as UInt64) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
}

@Suite struct PullTests {
    @Test("a connection that breaks is taken up where it broke")
    func resumption() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(900_000))]], in: directory)
        let layer = image.layers[0].digest.hex
        let registry = try FakeRegistry { request in
            var response = FakeRegistry.Response.of(image, request)
            if request.path.hasSuffix(layer), response.body.count > 300_000 { response.cutAfter = 300_000 }
            return response
        }
        let pulled = try await directory.store().pull(ImageReference("\(registry.host)/app"), from: Registries())
        #expect(status("\(pulled.layers[0])/f")?.st_size == 900_000)
        let ranges = registry.requests.filter { $0.path.hasSuffix(layer) }.map { $0.headers["range"] ?? "-" }
        #expect(ranges.count >= 3)
        #expect(ranges.first == "-")
        #expect(ranges.dropFirst().allSatisfy { $0.hasPrefix("bytes=") })
        #expect(Set(ranges).count == ranges.count)
        #expect(try listDirectory("\(directory.path)/images/partial").isEmpty)
    }

    @Test("a server without ranges costs a new start, not a wrong layer")
    func withoutRanges() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(500_000))]], in: directory)
        let cuts = Shared(0)
        let registry = try FakeRegistry { request in
            var plain = request
            plain.headers["range"] = nil
            var response = FakeRegistry.Response.of(image, plain)
            if request.path.hasSuffix(image.layers[0].digest.hex),
                cuts.value.withLock({
                    $0 += 1; return $0
                }) < 3
            {
                response.cutAfter = 200_000
            }
            return response
        }
        let pulled = try await directory.store().fetch(ImageReference("\(registry.host)/app"))
        #expect(status("\(pulled.layers[0])/f")?.st_size == 500_000)
    }

    @Test(
        "what an earlier process downloaded is used; if it was damaged, it is fetched again", arguments: [true, false])
    func partialOfAnother(intact: Bool) async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(500_000))]], in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let store = try directory.store()
        var part = Array(try #require(image.blobs[image.layers[0].digest]).prefix(100_000))
        if !intact { part[5000] ^= 1 }
        _ = try directory.file("images/partial/sha256-\(image.layers[0].digest.hex)", part)
        _ = try await store.fetch(ImageReference("\(registry.host)/app"))
        let requests = registry.requests.filter { $0.path.hasSuffix(image.layers[0].digest.hex) }
        #expect(requests.map { $0.headers["range"] ?? "-" } == (intact ? ["bytes=100000-"] : ["bytes=100000-", "-"]))
    }

    @Test("a layer that stays truncated is an error with both sizes, after bounded attempts")
    func truncated() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(100_000))]], in: directory)
        let layer = image.layers[0]
        let registry = try FakeRegistry { request in
            var response = FakeRegistry.Response.of(image, request)
            if request.path.hasSuffix(layer.digest.hex) {
                response = .init(
                    status: request.headers["range"] == nil ? 200 : 206,
                    headers: [("Content-Range", "bytes 1000-\(layer.size - 1)/\(layer.size)")])
                if request.headers["range"] == nil {
                    response.body = Array(image.blobs[layer.digest]?.prefix(1000) ?? [])
                }
            }
            return response
        }
        let error = await imageError { _ = try await directory.store().fetch(ImageReference("\(registry.host)/app")) }
        guard case .wrongSize(_, let expected, let got)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(expected == layer.size)
        #expect(got == 1000)
        #expect(error?.description.contains("truncated") == true)
        #expect(registry.requests.filter { $0.path.hasSuffix(layer.digest.hex) }.count <= 6)
        #expect(try directory.store().list().isEmpty)
    }

    @Test(
        "content that is not what its digest says is refused, whatever it is",
        arguments: ["layer", "config", "manifest", "long"])
    func wrongDigest(what: String) async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(50_000))]], in: directory)
        let manifest = try Manifest(image.manifest)
        let registry = try FakeRegistry { request in
            var response = FakeRegistry.Response.of(image, request)
            switch what {
            case "layer" where request.path.hasSuffix(image.layers[0].digest.hex): response.body[1000] ^= 1
            case "config" where request.path.hasSuffix(manifest.config.digest.hex): response.body[5] ^= 1
            case "manifest" where request.path.contains("/manifests/"): response.body.append(32)
            case "long" where request.path.hasSuffix(image.layers[0].digest.hex): response.body.append(0)
            default: break
            }
            return response
        }
        let name = "\(registry.host)/app@\(image.manifestDigest)"
        let error = await imageError { _ = try await directory.store().fetch(ImageReference(name)) }
        switch error {
        case .wrongDigest(_, let expected, let got)? where what != "long":
            #expect(expected != got)
            #expect(error?.description.contains("expected \(expected), got \(got)") == true)
        case .wrongSize? where what == "long": break
        default: Issue.record("\(what): \(String(describing: error))")
        }
        #expect(try directory.store().list().isEmpty)
        for place in ["layers", "tmp", "refs", "partial"] {
            let left = try listDirectory("\(directory.path)/images/\(place)")
            // An empty file of a download begun is no content.
            #expect(left.allSatisfy { status("\(directory.path)/images/\(place)/\($0)")?.st_size == 0 }, "\(place)")
        }
    }

    @Test("what may pass is tried four times; a server that is not there is not")
    func retries() async throws {
        let refused = IOError(errnoCode: ECONNREFUSED, reason: "connect")
        let reset = IOError(errnoCode: ECONNRESET, reason: "read")
        for (error, expected) in [(refused, 1), (reset, 4)] {
            var calls = 0
            await #expect(throws: RegistryFailure.self) {
                try await retrying {
                    calls += 1
                    throw RegistryFailure(transport: error) ?? error
                }
            }
            #expect(calls == expected)
        }
    }

    @Test("a registry that is down is named with host, port and URL")
    func down() async throws {
        let directory = try TemporaryDirectory()
        let port = try freePort()
        let error = await imageError { _ = try await directory.store().fetch(ImageReference("127.0.0.1:\(port)/app")) }
        guard case .registryUnreachable(let registry, let endpoint, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(registry == "127.0.0.1:\(port)")
        #expect(endpoint.hasPrefix("http"))
        #expect(error?.description.contains("Connection refused") == true)
    }

    @Test("an image that the registry does not have is named with its tag")
    func notFound() async throws {
        let directory = try TemporaryDirectory()
        let registry = try FakeRegistry { _ in .notFound }
        let name = "\(registry.host)/app:1"
        let error = await imageError { _ = try await directory.store().fetch(ImageReference(name)) }
        guard case .notFound(let what, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(what == name)
        #expect(error?.description.contains("MANIFEST_UNKNOWN") == true)
    }

    @Test("a token is fetched with the credentials, used, and renewed when the registry no longer takes it")
    func tokens() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")], [.file("g", "2")]], in: directory)
        let issued = Shared(0)
        let served = Shared(0)
        let tokens = try FakeRegistry { request in
            #expect(request.headers["authorization"] == "Basic dXNlcjpwYXNz")
            #expect(request.query.contains("scope=repository%3Aapp%3Apull"))
            #expect(request.query.contains("service=fake"))
            let number = issued.value.withLock {
                $0 += 1; return $0
            }
            return .init(body: Array(#"{"token":"t\#(number)","expires_in":300}"#.utf8))
        }
        let realm = "http://\(tokens.host)/token"
        let registry = try FakeRegistry { request in
            let current = issued.value.withLock { $0 }
            // The second request with a token makes it void.
            guard current > 0, request.headers["authorization"] == "Bearer t\(current)",
                served.value.withLock({
                    $0 += 1; return $0
                }) != 2
            else {
                let challenge = "Bearer realm=\"\(realm)\",service=\"fake\",scope=\"repository:app:pull\""
                return .init(status: 401, headers: [("WWW-Authenticate", challenge)])
            }
            return .of(image, request)
        }
        let pulled = try await directory.store().fetch(
            ImageReference("\(registry.host)/app"), credentials: RegistryCredentials(username: "user", password: "pass")
        )
        #expect(pulled.layers.count == 2)
        #expect(issued.value.withLock { $0 } == 2)
    }

    @Test("wrong credentials and none are told apart, and no secret is in the message")
    func unauthorized() async throws {
        let directory = try TemporaryDirectory()
        let registry = try FakeRegistry { _ in .init(status: 401, headers: [("WWW-Authenticate", "Basic realm=\"r\"")])
        }
        let name = "\(registry.host)/app"
        for credentials in [nil, RegistryCredentials(username: "u", password: "hunter2")] {
            let error = await imageError {
                _ = try await directory.store().fetch(ImageReference(name), credentials: credentials)
            }
            guard case .unauthorized? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(error?.description.contains("hunter2") == false)
            #expect(error?.description.contains("there are none") == (credentials == nil))
        }
    }

    @Test("a redirect to another server does not take the credentials along")
    func redirect() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        let storage = try FakeRegistry { .of(image, $0) }
        let target = "http://\(storage.host)"
        let registry = try FakeRegistry { request in
            guard request.headers["authorization"] == "Basic dXNlcjpwYXNz" else {
                return .init(status: 401, headers: [("WWW-Authenticate", "Basic realm=\"r\"")])
            }
            if request.path.contains("/blobs/") {
                return .init(status: 307, headers: [("Location", "\(target)\(request.path)?signed=1")])
            }
            return .of(image, request)
        }
        let registries = Registries(
            servers: [registry.host: .init(credentials: RegistryCredentials(username: "user", password: "pass"))])
        _ = try await directory.store().pull(ImageReference("\(registry.host)/app"), from: registries)
        #expect(!storage.requests.isEmpty)
        #expect(storage.requests.allSatisfy { $0.headers["authorization"] == nil && $0.query == "signed=1" })
    }

    @Test("a redirect in a circle ends")
    func redirectLoop() async throws {
        let directory = try TemporaryDirectory()
        let registry = try FakeRegistry { .init(status: 302, headers: [("Location", $0.path)]) }
        let error = await imageError { _ = try await directory.store().fetch(ImageReference("\(registry.host)/app")) }
        guard case .registryFailed? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(registry.requests.count <= 12)
    }

    @Test("a mirror is asked first, with its own name for the image; what it lacks comes from the next one")
    func mirrors() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        let empty = try FakeRegistry { _ in .notFound }
        let mirror = try FakeRegistry { $0.path.hasPrefix("/v2/cache/library/web/") ? .of(image, $0) : .notFound }
        let yaml = """
            mirrors:
              docker.io:
                endpoint: ["http://\(empty.host)", "http://\(mirror.host)"]
                rewrite: {"^(.*)$": "cache/$1"}
            """
        let pulled = try await directory.store().pull(
            ImageReference("web"), from: Registries(yaml: yaml, file: "registries.yaml"))
        #expect(pulled.references.map(\.description) == ["docker.io/library/web:latest"])
        #expect(!empty.requests.isEmpty)
        #expect(mirror.requests.allSatisfy { $0.query == "ns=docker.io" })
    }

    @Test("of an index, the host's image is taken; a host it has nothing for is told what there is")
    func platforms() async throws {
        let directory = try TemporaryDirectory()
        let mine = try ImageFixture(layers: [[.file("mine", "1")]], in: directory)
        let other = try ImageFixture(layers: [[.file("other", "1")]], architecture: "s390x", in: directory)
        let index = ImageFixture.index([(other, "s390x"), (mine, Platform.host.architecture)])
        let registry = try FakeRegistry { .of(mine, $0, index: index) }
        let reference = try ImageReference("\(registry.host)/app")
        let store = try directory.store()
        let pulled = try await store.fetch(reference)
        #expect(try listDirectory(pulled.layers[0]) == ["mine"])
        #expect(pulled.repositoryDigests == ["\(registry.host)/app@\(digest(index))"])
        for name in ["@\(digest(index))", "@\(mine.manifestDigest)"] {
            #expect(try store.resolve(ImageReference("\(registry.host)/app\(name)"))?.id == pulled.id)
        }
        let error = await imageError {
            _ = try await store.fetch(reference, platform: Platform(os: "linux", architecture: "riscv64"))
        }
        guard case .noSuchPlatform(_, _, let available)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(available.contains("linux/s390x"))
    }

    @Test("a single image for another platform is refused")
    func wrongPlatform() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], architecture: "s390x", in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let error = await imageError { _ = try await directory.store().fetch(ImageReference("\(registry.host)/app")) }
        guard case .noSuchPlatform? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("many pulls of the same layers at once fetch each layer once")
    func concurrency() async throws {
        let directory = try TemporaryDirectory()
        let layers = (0..<5).map { [TarEntry(name: "f\($0)", content: noise(50_000))] }
        let image = try ImageFixture(layers: layers, in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let store = try directory.store()
        let reference = try ImageReference("\(registry.host)/app")
        try await withThrowingTaskGroup(of: Digest.self) { group in
            for _ in 0..<4 { group.addTask { try await store.fetch(reference).id } }
            for try await id in group { #expect(id == (try Manifest(image.manifest)).config.digest) }
        }
        for layer in image.layers {
            #expect(registry.requests.filter { $0.path.hasSuffix(layer.digest.hex) }.count == 1)
        }
    }

    @Test("progress tells of every layer what becomes of it")
    func progress() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("a", "1")], [.file("b", "2")]], in: directory)
        let registry = try FakeRegistry { .of(image, $0) }
        let store = try directory.store()
        let reference = try ImageReference("\(registry.host)/app")
        for last in [PullProgress.Phase.done, .present] {
            let events = Shared<[PullProgress]>([])
            _ = try await store.fetch(reference) { event in events.value.withLock { $0.append(event) } }
            for index in 0..<2 {
                let own = events.value.withLock { $0 }.filter { $0.index == index }
                #expect(own.last?.phase == last)
                #expect(own.last?.done == image.layers[index].size)
                #expect(own.allSatisfy { $0.count == 2 && $0.layer == image.layers[index].digest })
            }
        }
    }

    @Test("a cancelled pull ends soon and leaves only what it can go on with")
    func cancellation() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[TarEntry(name: "f", content: noise(400_000))]], in: directory)
        let gate = Shared(false)
        let registry = try FakeRegistry { request in
            var response = FakeRegistry.Response.of(image, request)
            if request.path.hasSuffix(image.layers[0].digest.hex), !gate.value.withLock({ $0 }) {
                // The rest never comes, until the test ends.
                response.cutAfter = 200_000
                response.afterwards = { while !gate.value.withLock({ $0 }) { usleep(2000) } }
            }
            return response
        }
        defer { gate.value.withLock { $0 = true } }
        let store = try directory.store()
        let reference = try ImageReference("\(registry.host)/app")
        let (started, signal) = AsyncStream<Void>.makeStream()
        let task = Task {
            try await store.fetch(reference) { if $0.phase == .downloading, $0.done > 0 { signal.yield() } }
        }
        for await _ in started { break }
        task.cancel()
        let error = await imageError { _ = try await task.value }
        #expect(error == .cancelled)
        #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
        #expect(try listDirectory("\(directory.path)/images/partial").count == 1)
    }
}
