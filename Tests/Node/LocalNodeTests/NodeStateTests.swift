import ControlSocket
import JSONTree
import Linux
import Logging
import Overlay
import Resources
import Synchronization
import Testing

@testable import LocalNode

@Suite("A node's directories")
struct NodeStateTests {
    @Test("of a newer release are refused with both numbers")
    func newerFormat() throws {
        let directory = try TemporaryDirectory()
        try DataDirectory.open(directory.path)
        #expect(try readText("\(directory.path)/version") == "1\n")
        try DataDirectory.open(directory.path)
        try directory.write("version", "2\n")
        let expected = NodeError(
            "\(directory.path)/version: the data directory has format 2, this release of swiftlet knows up to 1: "
                + "use a newer swiftlet")
        #expect(throws: expected) { try DataDirectory.open(directory.path) }
        #expect(throws: expected) { try DataDirectory.checkReadable(directory.path) }
        try directory.write("version", "soon\n")
        #expect(throws: NodeError.self) { try DataDirectory.open(directory.path) }
    }

    @Test("belong to one agent at a time, which a second one can name; its end frees them")
    func lock() throws {
        let directory = try TemporaryDirectory()
        let (run, data) = ("\(directory.path)/run", "\(directory.path)/data")
        do {
            let lock = try AgentLock(runDirectory: run, dataDirectory: data)
            #expect(throws: NodeError("an agent uses \(run) already (pid \(getpid()))")) {
                _ = try AgentLock(runDirectory: run, dataDirectory: "\(directory.path)/other")
            }
            #expect(throws: NodeError("an agent uses \(data) already (pid \(getpid()))")) {
                _ = try AgentLock(runDirectory: "\(directory.path)/other", dataDirectory: data)
            }
            _ = consume lock
        }
        _ = try AgentLock(runDirectory: run, dataDirectory: data)
    }

    @Test("keep what the node was told")
    func settings() throws {
        let directory = try TemporaryDirectory()
        #expect(try NodeSettings.read(dataDirectory: directory.path, runDirectory: "/run/x") == nil)
        var settings = NodeSettings(dataDirectory: directory.path, runDirectory: "/run/x", nodeName: "alpha")
        settings.network.mode = .bridge
        settings.network.podCIDRs = ["10.50.0.0/24", "fd42::/64"]
        settings.network.overlay = .vxlanDirect
        settings.network.leasesFile = "/etc/swiftlet/leases.yaml"
        settings.network.vni = 4096
        settings.network.overlayPort = 4789
        settings.network.overlayInterface = "eth1"
        settings.network.cniConfigurationDirectory = "/etc/cni"
        settings.network.cniPluginDirectories = ["/opt/cni/bin"]
        settings.clusterDNS = ["10.43.0.10"]
        settings.podPidsLimit = 100
        settings.logDirectory = "/var/log/pods"
        settings.network.mtu = 1400
        settings.registriesFile = "/etc/registries.yaml"
        try settings.write()
        #expect(try NodeSettings.read(dataDirectory: directory.path, runDirectory: "/run/x") == settings)
        try directory.write("node.json", "{")
        #expect(throws: NodeError.self) { try NodeSettings.read(dataDirectory: directory.path, runDirectory: "/run/x") }
        // As version 0.1.0 wrote it.
        try directory.write("node.json", #"{"nodeName": "alpha", "podCIDR": "10.60.0.0/24"}"#)
        let old = try NodeSettings.read(dataDirectory: directory.path, runDirectory: "/run/x")
        #expect(old?.network.podCIDRs == ["10.60.0.0/24"] && old?.network.overlay == OverlayBackend.none)
    }

    @Test("take one pod network of each family")
    func podNetworks() throws {
        var network = NetworkSettings()
        network.podCIDRs = ["fd42::/64", "10.50.0.0/24"]
        #expect(try network.podNetworks().map(\.description) == ["10.50.0.0/24", "fd42::/64"])
        for wrong in [["10.50.0.0/24", "10.51.0.0/24"], ["10.50.0.1/24"], ["pods"]] {
            network.podCIDRs = wrong
            #expect(throws: NodeError.self) { try network.podNetworks() }
        }
    }

    @Test("name pods by name, namespace and uid")
    func find() throws {
        let directory = try TemporaryDirectory()
        for (uid, namespace, name) in [
            ("aaaa1111", "default", "web"), ("aaaa2222", "test", "web"), ("bbbb3333", "test", "api"),
        ] {
            try directory.write(
                "pods/\(uid)/pod.json",
                "{\"uid\":\"\(uid)\",\"pod\":{\"metadata\":{\"name\":\"\(name)\",\"namespace\":\"\(namespace)\"},\"spec\":{}}}"
            )
        }
        try directory.write("pods/half/pod.json", "{")
        let pods = PodOnDisk.all(dataDirectory: directory.path)
        #expect(pods.map(\.uid) == ["aaaa1111", "bbbb3333", "aaaa2222"])
        #expect(try PodOnDisk.find("web", among: pods).uid == "aaaa1111")
        #expect(try PodOnDisk.find("test/web", among: pods).uid == "aaaa2222")
        #expect(try PodOnDisk.find("api", among: pods).uid == "bbbb3333")
        #expect(try PodOnDisk.find("bbbb", among: pods).uid == "bbbb3333")
        #expect(throws: NodeError("\"aaaa\" means more than one pod: default/web, test/web")) {
            try PodOnDisk.find("aaaa", among: pods)
        }
        #expect(throws: NodeError("pod \"nothing\" not found")) { try PodOnDisk.find("nothing", among: pods) }
    }

    @Test("are idle while nothing is asked for, and closed only then")
    func idleness() {
        let idleness = Idleness()
        #expect(idleness.begin())
        #expect(idleness.seconds == 0)
        #expect(!idleness.close())
        idleness.end()
        #expect(idleness.close())
        #expect(!idleness.begin())
    }
}

@Suite("Serving Services")
struct ServiceRunnerTests {
    /// A proxy that only remembers, and pods that only exist here.
    private final class World: Sendable {
        struct State: Sendable {
            var pods: [EndpointCandidate] = []
            var failures = 0
        }
        let directory: TemporaryDirectory
        let state = Mutex(State())
        let applied: AsyncStream<[ServedService]>
        private let note: AsyncStream<[ServedService]>.Continuation

        init() throws {
            directory = try TemporaryDirectory()
            (applied, note) = AsyncStream.makeStream(of: [ServedService].self)
        }

        func runner() throws -> ServiceRunner {
            try ServiceRunner(
                dataDirectory: directory.path, range: try #require(ServiceRange("10.43.0.0/16")),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                candidates: { self.state.withLock { $0.pods } }
            ) { services in
                try self.state.withLock { state in
                    if state.failures > 0 {
                        state.failures -= 1
                        throw NodeError("not now")
                    }
                }
                self.note.yield(services)
            }
        }

        func add(_ name: String, _ address: String) {
            state.withLock {
                $0.pods.append(
                    EndpointCandidate(
                        namespace: "default", name: name, labels: ["app": "web"], address: address, isReady: true,
                        ports: []))
            }
        }
    }

    private let web = SourcedService(service: service("web", selector: ["app": "web"]), source: "/m/a.yaml")

    @Test("follows Services and pods, and does nothing when nothing changed", .timeLimit(.minutes(1)))
    func following() async throws {
        let world = try World()
        let runner = try world.runner()
        let work = Task { await runner.run() }
        defer { work.cancel() }
        var applied = world.applied.makeAsyncIterator()
        #expect(await applied.next() == [])
        await runner.take([web], unread: [])
        #expect(await applied.next()?.first?.endpoints == [[]])
        runner.podsChanged()
        world.add("a", "10.42.0.2")
        runner.podsChanged()
        #expect(await applied.next()?.first?.endpoints == [[Endpoint(address: "10.42.0.2", port: 80)]])
    }

    @Test("goes on with what was asked for before, also of a file that is wrong now", .timeLimit(.minutes(1)))
    func restart() async throws {
        let world = try World()
        let first = try world.runner()
        await first.take([web], unread: [])
        let address = await first.services.first?.spec.clusterIP
        let second = try world.runner()
        let work = Task { await second.run() }
        defer { work.cancel() }
        var applied = world.applied.makeAsyncIterator()
        #expect(await applied.next()?.first?.service.spec.clusterIP == address)
        await second.take([], unread: ["/m/a.yaml"])
        #expect(await second.services.map(\.metadata.name) == ["web"])
        await second.take([], unread: [])
        #expect(await applied.next() == [])
    }

    @Test(
        "sets the rules anew after a failure, also when what is wanted is again what it was before",
        .timeLimit(.minutes(1)))
    func backAgain() async throws {
        let world = try World()
        let runner = try world.runner()
        await runner.take([web], unread: [])
        let work = Task { await runner.run() }
        defer { work.cancel() }
        var applied = world.applied.makeAsyncIterator()
        #expect(await applied.next()?.first?.endpoints == [[]])
        // A pod comes, the rules cannot be set, and the pod is gone before they are tried again: nobody knows what the
        // kernel has now.
        world.state.withLock { $0.failures = 1 }
        world.add("a", "10.42.0.2")
        runner.podsChanged()
        while world.state.withLock({ $0.failures }) > 0 { await Task.yield() }
        world.state.withLock { $0.pods = [] }
        runner.podsChanged()
        #expect(await applied.next()?.first?.endpoints == [[]])
    }

    @Test("tries again when the rules could not be set", .timeLimit(.minutes(1)))
    func retry() async throws {
        let world = try World()
        world.state.withLock { $0.failures = 1 }
        let runner = try world.runner()
        await runner.take([web], unread: [])
        let work = Task { await runner.run() }
        defer { work.cancel() }
        var applied = world.applied.makeAsyncIterator()
        #expect(await applied.next()?.count == 1)
    }
}
