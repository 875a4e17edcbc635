// Services: packets to a ClusterIP or NodePort reach a pod that the selector matches, by nftables rules alone.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

/// A pod that answers HTTP on port 8080 with its own name.
private func server(_ name: String, app: String = "web") -> String {
    Node.manifest(
        name, "mkdir /www; hostname >/www/index.html; exec httpd -f -p 8080 -h /www",
        container: "ports: [{name: http, containerPort: 8080}]"
    ).replacing("labels: {app: \(name)}", with: "labels: {app: \(app)}")
}

private func service(_ name: String = "web", app: String = "web", type: String = "NodePort", port: String) -> String {
    """
    apiVersion: v1
    kind: Service
    metadata: {name: \(name)}
    spec:
      type: \(type)
      selector: {app: \(app)}
      ports: [\(port)]
    """
}

extension Node {
    /// Puts files into the directory of static manifests.
    fileprivate func place(_ files: [(String, String)]) throws {
        for (name, text) in files {
            try writeFileAtomically("\(manifests)/\(name)", Array(text.utf8), mode: 0o644)
        }
    }

    /// The cluster IP of `service`, as `proxy show -o json` says.
    fileprivate func clusterIP(_ service: String) async throws -> String {
        var address: String?
        try await eventually("Service \(service) has an address") {
            let outcome = try await swiftlet("proxy", "show", service, "-o", "json").orFail()
            address = try JSONValue.parse(outcome.output).first(named: "clusterIP")
            return address != nil
        }
        return address ?? ""
    }

    fileprivate func fetch(_ url: String, outside: Bool = false) async throws -> Outcome {
        try await host.run(["curl", "-sS", "--fail", "--max-time", "3", url], outside: outside)
    }
}

extension JSONValue {
    /// The first string under the key `name`, wherever it is.
    fileprivate func first(named name: String) -> String? {
        if let value = self[name]?.stringValue { return value }
        for value in arrayValue ?? objectValue?.map(\.value) ?? [] {
            if let found = value.first(named: name) { return found }
        }
        return nil
    }
}

extension NodeTests {
    @Suite("Services") struct Services {
        private static let port = "{name: http, port: 80, targetPort: http, nodePort: 30080}"

        @Test func areReachedFromTheHostFromPodsAndFromOutside() async throws {
            try await Node.with { node in
                try node.place([
                    ("service.yaml", service(port: Self.port)), ("one.yaml", server("one")),
                    ("two.yaml", server("two")),
                ])
                try await node.wait(for: "one", phase: "Running")
                try await node.wait(for: "two", phase: "Running")
                let address = try await node.clusterIP("web")
                for (url, outside) in [
                    ("http://\(address)/", false), ("http://\(TestHost.address):30080/", false),
                    ("http://\(TestHost.address):30080/", true),
                ] {
                    var answers: Set<String> = []
                    try await eventually("\(url) answers from both pods, outside: \(outside)") {
                        answers.insert(try await node.fetch(url, outside: outside).orFail().trimmed)
                        return answers == ["one", "two"]
                    }
                }
                // From a pod: to the others, and to itself (hairpin), which comes with another source address.
                var answers: Set<String> = []
                try await eventually("a pod reaches all, itself too") {
                    answers.insert(try await node.exec("one", "timeout 3 wget -q -O - http://\(address)/"))
                    return answers == ["one", "two"]
                }
                let rules = try await node.host.run(["nft", "list", "table", "ip", "swiftlet-proxy"]).orFail().output
                #expect(rules.contains(address) && rules.contains("default/web:http"))
                #expect(try await node.swiftlet("proxy", "show").orFail().output.contains(address))
                #expect(try await node.swiftlet("proxy", "show", "--nft").orFail().output.contains(address))
            }
        }

        @Test func followTheirPodsAsTheyComeAndGo() async throws {
            try await Node.with { node in
                try node.place([("service.yaml", service(port: Self.port))])
                let url = "http://\(try await node.clusterIP("web"))/"
                try await eventually("refused at once, not dropped") {
                    // 7: connection refused; 28 would be curl's patience over.
                    try await node.fetch(url).exitCode == 7
                }
                try node.place([("one.yaml", server("one"))])
                try await eventually("the pod answers") { try await node.fetch(url).trimmed == "one" }
                try node.place([("two.yaml", server("two"))])
                try check(unlink("\(node.manifests)/one.yaml"), "unlink")
                try await eventually("only the other answers", seconds: 30) {
                    for _ in 0..<5 where try await node.fetch(url).trimmed != "two" { return false }
                    return true
                }
                try check(unlink("\(node.manifests)/two.yaml"), "unlink")
                try await eventually("refused again", seconds: 30) { try await node.fetch(url).exitCode == 7 }
                try check(unlink("\(node.manifests)/service.yaml"), "unlink")
                try await eventually("the Service is gone from the rules") {
                    try await !node.host.run(["nft", "list", "ruleset"]).output.contains("default/web")
                }
            }
        }

        @Test func carryDatagrams() async throws {
            try await Node.with { node in
                // The host's perl: busybox has no server of datagrams.
                let script =
                    "$s = IO::Socket::INET->new(LocalPort => 5353, Proto => q(udp)) or die; "
                    + "while ($s->recv($m, 999)) { $s->send($m) }"
                let pod = Node.manifest(
                    "echo", "exec chroot /host perl -MIO::Socket -e '\(script)'",
                    pod: "volumes: [{name: host, hostPath: {path: /}}]",
                    container: "volumeMounts: [{name: host, mountPath: /host}]")
                let port = "{port: 53, targetPort: 5353, protocol: UDP}"
                try node.place([
                    ("pod.yaml", pod), ("service.yaml", service(app: "echo", type: "ClusterIP", port: port)),
                ])
                try await node.wait(for: "echo", phase: "Running")
                let address = try await node.clusterIP("web")
                try await eventually("an echo") {
                    try await node.host.shell(
                        "exec 3<>/dev/udp/\(address)/53; echo ping >&3; timeout 1 head -n 1 <&3"
                    ).trimmed == "ping"
                }
            }
        }

        @Test func rulesStayWhenTheAgentStops() async throws {
            try await Node.with(agent: false) { node in
                try node.place([("service.yaml", service(port: Self.port)), ("one.yaml", server("one"))])
                let agent = try await node.startAgent()
                let url = "http://\(try await node.clusterIP("web"))/"
                try await eventually("the pod answers") { try await node.fetch(url).trimmed == "one" }
                let rules = try await node.host.run(["nft", "-s", "list", "ruleset"]).orFail().output
                _ = try await agent.stop(SIGTERM)
                #expect(try await node.fetch(url).trimmed == "one")
                #expect(try await node.host.run(["nft", "-s", "list", "ruleset"]).orFail().output == rules)
                _ = try await node.startAgent()
                #expect(try await node.fetch(url).trimmed == "one")
                try await eventually("the address is the same after the restart") {
                    try await "http://\(node.clusterIP("web"))/" == url
                }
            }
        }

        @Test func podsReachEachOtherAndTheOutsideMasqueraded() async throws {
            try await Node.with { node in
                try await node.runPod(server("one")).orFail()
                try await node.runPod(server("two")).orFail()
                let address = try await node.wait(for: "two", phase: "Running").podIP
                try await node.wait(for: "one", phase: "Running")
                try await eventually("pod to pod") {
                    try await node.exec("one", "timeout 3 wget -q -O - http://\(address):8080/") == "two"
                }
                #expect(try await node.fetch("http://\(address):8080/").trimmed == "two", "host to pod")
                // The world outside knows no pod's address: it can only answer the node's.
                let answer =
                    "$s = IO::Socket::INET->new(Listen => 1, LocalPort => 7000) or die; print { $c = $s->accept } $c->peerhost"
                let listener = try node.host.start(
                    ["perl", "-MIO::Socket", "-e", answer], log: "\(node.host.directory)/listener", outside: true)
                var peer = ""
                try await eventually("pod to outside") {
                    peer = try await node.exec("one", "nc -w 3 \(TestHost.outsideAddress) 7000 </dev/null")
                    return !peer.isEmpty
                }
                #expect(peer == TestHost.address, "the world sees the node's address")
                _ = try await listener.waitForEnd(seconds: 5)
            }
        }

        @Test func aHostPortLeadsToItsPodAndIsGivenToOneOnly() async throws {
            try await Node.with { node in
                let taking = server("one").replacing("containerPort: 8080", with: "containerPort: 8080, hostPort: 8088")
                try await node.runPod(taking).orFail()
                try await node.wait(for: "one", phase: "Running")
                for outside in [false, true] {
                    try await eventually("host port, outside: \(outside)") {
                        try await node.fetch("http://\(TestHost.address):8088/", outside: outside).trimmed == "one"
                    }
                }
                let said = try await node.submitPod(taking.replacing("name: one", with: "name: two"))
                let status = try await node.pod("two")?["status"]?.text() ?? ""
                #expect((said + status).contains("8088"), "\(said), \(status)")
                #expect(try await node.pod("two")?.phase != "Running")
                #expect(
                    try await node.fetch("http://\(TestHost.address):8088/").trimmed == "one", "the first is left alone"
                )
            }
        }
    }
}
