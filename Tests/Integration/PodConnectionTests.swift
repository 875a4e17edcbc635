// How a node's pods are connected, where the default is not what a person wants: bandwidth, chosen addresses, a bridge, a
// chain of CNI plugins.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

extension Node {
    /// ``manifest(_:_:restartPolicy:pod:container:)`` of a pod that stays, with annotations.
    fileprivate static func manifest(_ name: String, annotations: [String: String]) -> String {
        let lines = annotations.sorted { $0.key < $1.key }.map { "    \($0.key): \"\($0.value)\"" }
        return manifest(name, "sleep 100000").replacing(
            "  labels: {app: \(name)}", with: "  annotations:\n\(lines.joined(separator: "\n"))")
    }
}

extension NodeTests {
    @Suite("A pod's connection", .serialized) struct PodConnections {
        /// 4 MB at 16 Mbit/s are 2 s, less what a token bucket lets through at once.
        @Test(arguments: ["ingress", "egress"])
        func isAsFastAsItsAnnotationSays(_ direction: String) async throws {
            try await Cluster.with(hosts: 2, families: .ipv4) { cluster in
                let limit = ["kubernetes.io/\(direction)-bandwidth": "16M"]
                try await cluster.nodes[0].runPod(Node.manifest("slow", annotations: limit)).orFail()
                try await cluster.nodes[1].runPod(Node.manifest("fast", "sleep 100000")).orFail()
                let slow = try await cluster.pod("slow", on: cluster.nodes[0])
                let fast = try await cluster.pod("fast", on: cluster.nodes[1])
                for pod in [slow, fast] { try await pod.serve() }
                let clock = ContinuousClock()
                for address in fast.addresses {
                    // There and back: one way is limited, the other is not.
                    let time = try await clock.measure { try await slow.place.stream(to: address) }
                    #expect((.seconds(1)...Duration.seconds(8)).contains(time), "\(direction), \(address): \(time)")
                }
                // Shaped where packets leave: towards the pod on the host's end, from it on its own.
                let sender = direction == "ingress" ? cluster.place(0) : slow.place
                let qdiscs = try await sender.run("tc", "qdisc").orFail().output
                #expect(qdiscs.contains("tbf") && qdiscs.contains("16Mbit"), "\(qdiscs)")
                try await cluster.nodes[0].swiftlet("pod", "rm", "-f", "slow").orFail()
                #expect(try await !cluster.place(0).run("tc", "qdisc").orFail().output.contains("tbf"))
            }
        }

        @Test func hasTheAddressesAndTheMACThatItsAnnotationsChoose() async throws {
            try await Cluster.with(hosts: 2) { cluster in
                let chosen = [
                    "swiftlet.dev/addresses": "10.42.1.77,fd42:0:0:1::77", "swiftlet.dev/mac": "02:00:00:00:77:77",
                ]
                try await cluster.nodes[0].runPod(Node.manifest("chosen", annotations: chosen)).orFail()
                try await cluster.nodes[1].runPod(Node.manifest("other", "sleep 100000")).orFail()
                let pod = try await cluster.pod("chosen", on: cluster.nodes[0])
                #expect(pod.addresses == ["10.42.1.77", "fd42:0:0:1::77"])
                #expect(
                    try await pod.place.run("ip", "-o", "link", "show", "eth0").output.contains("02:00:00:00:77:77"))
                try await cluster.expectAllReachAll([pod, try await cluster.pod("other", on: cluster.nodes[1])])

                let said = try await cluster.nodes[0].submitPod(Node.manifest("thief", annotations: chosen))
                let status = try await cluster.nodes[0].pod("thief")?["status"]?.text() ?? ""
                #expect((said + status).contains("taken by pod default/chosen"), "\(said), \(status)")
                #expect(try await cluster.nodes[0].pod("thief")?.phase != "Running")
            }
        }

        @Test func isABridgeWhereTheNodeIsToldSo() async throws {
            try await Cluster.with(hosts: 2, options: ["--network", "bridge"]) { cluster in
                for name in ["one", "two"] {
                    try await cluster.nodes[0].runPod(Node.manifest(name, "sleep 100000")).orFail()
                }
                try await cluster.nodes[1].runPod(Node.manifest("far", "sleep 100000")).orFail()
                let pods = [
                    try await cluster.pod("one", on: cluster.nodes[0]),
                    try await cluster.pod("two", on: cluster.nodes[0]),
                    try await cluster.pod("far", on: cluster.nodes[1]),
                ]
                #expect(
                    try await !cluster.nodes[0].host.run(["ip", "-o", "link", "show", "type", "bridge"]).lines.isEmpty)
                for pod in pods { try await pod.serve() }
                try await cluster.expectAllReachAll(pods)
                for to in [1, 2] {
                    for address in pods[to].addresses {
                        let seen = try await pods[0].place.seen(at: address, over: "tcp")
                        #expect(pods[0].addresses.contains(seen))
                    }
                }
                try await cluster.outside.serve()
                #expect(try await pods[0].place.seen(at: "192.0.2.1", over: "tcp") == "192.0.2.11")
                #expect(!(try await cluster.place(0).pings("10.42.1.250")))
                #expect(try await cluster.place(0).pings(pods[0].addresses[0]), "from the host itself")
            }
        }

        @Test(.enabled(if: access("/usr/lib/cni/bridge", X_OK) == 0, "containernetworking-plugins is not installed"))
        func isAChainOfPluginsWhereTheNodeIsToldSo() async throws {
            try await Testbed.with(hosts: 1) { testbed in
                let host = testbed.hosts[0]
                let node = Node(
                    host: host, data: "\(host.directory)/data", run: "\(host.directory)/run",
                    manifests: "\(host.directory)/manifests")
                try makeDirectories(node.manifests)
                let configuration = """
                    {"cniVersion": "1.0.0", "name": "debian", "plugins": [
                      {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
                       "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
                                "dataDir": "/run/cni-ipam"}},
                      {"type": "portmap", "capabilities": {"portMappings": true}},
                      {"type": "bandwidth", "capabilities": {"bandwidth": true}},
                      {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}
                    ]}
                    """
                let script = "mkdir -p /etc/cni/net.d; cat >/etc/cni/net.d/10-debian.conflist"
                try await host.run(["sh", "-c", script], input: configuration).orFail()
                try await node.swiftlet("image", "import", "--name", Node.busybox, TestImages.layout("busybox"))
                    .orFail()
                _ = try await node.startAgent("--network", "cni")
                let before = try await host.census()
                let ports = "ports: [{containerPort: 7000, hostPort: 7007}]"
                for name in ["one", "two"] {
                    try await node.runPod(
                        Node.manifest(name, "sleep 100000", container: name == "one" ? ports : "")
                    ).orFail()
                }
                let cluster = Cluster(testbed: testbed, nodes: [node])
                let one = try await cluster.pod("one", on: node)
                let two = try await cluster.pod("two", on: node)
                #expect(one.addresses[0].hasPrefix("10.77.0.") && two.addresses[0].hasPrefix("10.77.0."))
                #expect(try await one.place.run("sysctl", "-n", "net.core.somaxconn").trimmed == "500")
                let server = try await one.serve()
                #expect(try await two.place.seen(at: one.addresses[0], over: "tcp") == two.addresses[0])
                #expect(try await !cluster.outside.seen(at: "192.0.2.11", over: "tcp", port: 7007).isEmpty)
                _ = try await server.stop(SIGKILL)
                for name in ["one", "two"] { try await node.swiftlet("pod", "rm", "-f", name).orFail() }
                let left = try await host.census().left(since: before).filter {
                    // The bridge, and the plugins' chains for all pods, are the network's own; the quality classes' cgroups the
                    // node's.
                    !$0.contains("cni0") && !$0.hasPrefix("rule ") && !$0.hasPrefix("route ")
                        && (!$0.hasPrefix("cgroup ") || $0.contains("/pod"))
                }
                #expect(left == [])
            }
        }
    }
}
