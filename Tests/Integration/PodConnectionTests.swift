// How a node's pods are connected, where the default is not what a person wants, and other nodes are there: bandwidth,
// chosen addresses, a bridge.
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
    }
}
