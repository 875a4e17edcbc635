// Several nodes on a testbed: the built `swiftlet` on each host, driven as a person drives it.
import Glibc
import JSONTree
import Linux
import Synchronization
import TestSupport
import Testing

/// Nodes `h1` … on the hosts of a testbed, each with an agent, and with one pod called as the node where a test asks for it.
struct Cluster: Sendable {
    let testbed: Testbed
    let nodes: [Node]
    private let agents = Agents()

    /// By the node's name.
    private final class Agents: Sendable {
        let running = Mutex<[String: RunningProgram]>([:])
    }

    init(testbed: Testbed, nodes: [Node]) {
        self.testbed = testbed
        self.nodes = nodes
    }

    /// Where `scripts/lib/traffic` answers in pods, on hosts and outside.
    static let port = 7000
    static let backends = ["vxlan", "vxlan-direct", "host-gw", "tunnel"]

    /// Runs `body` on nodes whose agents run and answer. When it fails, what the agents said last goes into the report.
    static func with(
        hosts: Int = 3, overlay: String = "vxlan", topology: Testbed.Topology = .bridge, mtu: [String: Int] = [:],
        families: Testbed.Families = .dual, podFamilies: Testbed.Families = .dual, options: [String] = [],
        isolation: isolated (any Actor)? = #isolation, _ body: (Cluster) async throws -> Void
    ) async throws {
        guard access(Node.binary, X_OK) == 0 else { throw TestFailure("no \(Node.binary): run scripts/build first") }
        try await Testbed.with(
            hosts: hosts, topology: topology, mtu: mtu, families: families, podFamilies: podFamilies
        ) { testbed in
            let nodes = testbed.hosts.map {
                Node(
                    host: $0, data: "\($0.directory)/data", run: "\($0.directory)/run",
                    manifests: "\($0.directory)/manifests")
            }
            let cluster = Cluster(testbed: testbed, nodes: nodes)
            do {
                for node in nodes {
                    try makeDirectories(node.manifests)
                    try await node.swiftlet(
                        "image", "import", "--name", Node.busybox, TestImages.layout("busybox")
                    ).orFail()
                    try await cluster.startAgent(of: node, overlay, options)
                }
                try await body(cluster)
            } catch {
                for node in nodes {
                    let log = (try? readText(node.log)) ?? "none"
                    Issue.record("the log of \(cluster.name(of: node)), its end: \(log.suffix(2500))")
                }
                throw error
            }
        }
    }

    func name(of node: Node) -> String { node.host.directory.split(separator: "/").last.map(String.init) ?? "" }

    /// The host as a place, and the world outside.
    func place(_ index: Int) -> Place { Place(host: nodes[index].host) }
    var outside: Place { Place(host: testbed.outside, name: "outside") }

    /// What `overlay show -o json` says on a node.
    func overlay(on node: Node) async throws -> JSONValue {
        try JSONValue.parse(try await node.swiftlet("overlay", "show", "-o", "json").orFail().output)
    }

    /// Starts the agent of a node that has none, and waits until it answers.
    @discardableResult
    func startAgent(of node: Node, _ overlay: String = "vxlan", _ options: [String] = []) async throws -> RunningProgram
    {
        let options = ["--node-name", name(of: node), "--overlay", overlay, "--leases", testbed.leases] + options
        let agent = try await node.startAgent(options: options)
        agents.running.withLock { $0[name(of: node)] = agent }
        return agent
    }

    /// Ends a node's agent by SIGKILL, and waits until it is gone.
    func killAgent(of node: Node) async throws {
        let agent = agents.running.withLock { $0.removeValue(forKey: name(of: node)) }
        try await agent?.stop(SIGKILL)
    }

    /// One pod on each node, called as the node; `serving` answers on ``port`` in each of them.
    func startPods(serving: Bool = true) async throws -> [PodAcross] {
        var pods: [PodAcross] = []
        for node in nodes {
            let name = name(of: node)
            try await node.runPod(Node.manifest(name, "sleep 100000")).orFail()
            pods.append(try await pod(name, on: node))
            if serving { try await pods[pods.count - 1].serve() }
        }
        return pods
    }

    /// A running pod, as seen by tests of the network.
    func pod(_ name: String, on node: Node) async throws -> PodAcross {
        let pod = try await node.wait(for: name, phase: "Running")
        let addresses = pod["status"]?["podIPs"]?.arrayValue?.compactMap { $0["ip"]?.stringValue } ?? [pod.podIP]
        // Any process of the pod will do to find its network namespace.
        let inode = try await node.exec(name, "readlink /proc/self/ns/net")
        let search =
            "for p in /proc/[0-9]*; do [ \"$(readlink $p/ns/net)\" != '\(inode)' ] || { echo ${p#/proc/}; exit; }; done"
        let pid = try await node.host.shell(search).orFail().trimmed
        return PodAcross(
            place: Place(host: node.host, name: name, prefix: ["nsenter", "--net=/proc/\(pid)/ns/net"]),
            addresses: addresses)
    }

    /// Waits until every pod reaches every other by each address, and says which does not.
    func expectAllReachAll(_ pods: [PodAcross], seconds: Double = 10) async throws {
        for (from, one) in pods.enumerated() {
            for (to, other) in pods.enumerated() where from != to {
                for address in other.addresses {
                    try await eventually("pod of h\(from + 1) to pod of h\(to + 1), \(address)", seconds: seconds) {
                        try await one.place.pings(address)
                    }
                }
            }
        }
    }
}

/// Where programs of a test run: on a host, or in a pod's network namespace on it.
struct Place: Sendable {
    let host: TestHost
    var name = "host"
    var prefix: [String] = []

    private static let traffic = "\(TestImages.repository)/scripts/lib/traffic"

    func run(_ command: String..., seconds: Double = 30) async throws -> Outcome {
        try await host.run(prefix + command, seconds: seconds)
    }

    /// One answer to an echo request of `size` bytes within a second?
    func pings(_ address: String, size: Int = 56) async throws -> Bool {
        try await run("busybox", "ping", "-c", "1", "-W", "1", "-s", "\(size)", address).succeeded
    }

    /// Answers on ``Cluster/port`` until it is stopped or the host ends.
    @discardableResult
    func serve() async throws -> RunningProgram {
        let log = "\(host.directory)/traffic-\(name).log"
        let program = try host.start(prefix + [Self.traffic, "serve", "\(Cluster.port)"], log: log)
        try await eventually("traffic is served") { try readText(log).contains("ready") }
        return program
    }

    /// Which address the server at `address` sees this place come from.
    func seen(at address: String, over kind: String, port: Int = Cluster.port) async throws -> String {
        try await run(Self.traffic, "who", kind, address, "\(port)").orFail().trimmed
    }

    /// Sends `bytes` over TCP and reads the same back.
    func stream(to address: String, bytes: Int = 4_000_000) async throws {
        try await run(Self.traffic, "stream", address, "\(Cluster.port)", "\(bytes)").orFail()
    }

    /// Sends datagrams, one by one, and reads each back; how many were not lost.
    func datagrams(to address: String, size: Int, count: Int = 5) async throws -> Int {
        let outcome = try await run(Self.traffic, "datagrams", address, "\(Cluster.port)", "\(size)", "\(count)")
        guard let back = Int(outcome.trimmed) else { throw TestFailure("\(outcome)") }
        return back
    }
}

/// A pod that others reach.
struct PodAcross: Sendable {
    let place: Place
    /// IPv4 first.
    let addresses: [String]

    @discardableResult
    func serve() async throws -> RunningProgram { try await place.serve() }

    func mtu() async throws -> Int? {
        let link = try await place.run("ip", "-o", "link", "show", "eth0").orFail().output
        return link.split(separator: " ").drop { $0 != "mtu" }.dropFirst().first.flatMap { Int($0) }
    }
}
