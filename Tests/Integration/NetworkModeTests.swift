// The ways in which one node connects its pods: point to point, a bridge, somebody else's plugins; one family or both;
// what annotations ask for.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

extension JSONValue {
    /// `status.podIPs`, in order.
    fileprivate var podIPs: [String] {
        self["status"]?["podIPs"]?.arrayValue?.compactMap { $0["ip"]?.stringValue } ?? []
    }
}

private let answer = "while :; do echo here | nc -l -p 80; done"

extension NodeTests {
    @Suite("connects its pods", .serialized)
    struct NetworkModes {
        private static let plugins = """
            {"cniVersion": "1.0.0", "name": "test", "plugins": [
              {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
               "ipam": {"type": "host-local", "dataDir": "DIRECTORY/ipam", "ranges": [[{"subnet": "10.77.0.0/24"}]],
                        "routes": [{"dst": "0.0.0.0/0"}]}},
              {"type": "portmap", "capabilities": {"portMappings": true}},
              {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}]}
            """

        @Test("by a chain of CNI plugins, through the agent's death, and takes back all of it")
        func plugins() async throws {
            try await Node.with(agent: false) { node in
                let directory = "\(node.host.directory)/net.d"
                try makeDirectories(directory)
                let options = ["--network", "cni", "--cni-conf-dir", directory]
                let agent = try await node.startAgent(options[0], options[1], options[2], options[3])
                try await eventually("the agent says that no plugin can be called") {
                    try readText(node.log).contains("no pod can be connected until this is mended")
                }
                let list = Self.plugins.replacing("DIRECTORY", with: node.host.directory)
                _ = try node.file("net.d/10-test.conflist", list)

                let port = "ports: [{containerPort: 80, hostPort: 8080}]"
                try await node.runPod(Node.manifest("web", answer, container: port)).orFail()
                try await node.runPod(Node.manifest("host", "sleep 1000", pod: "hostNetwork: true")).orFail()
                let web = try await node.wait(for: "web", phase: "Running")
                #expect(web.podIP.hasPrefix("10.77.0."))
                #expect(try await node.exec("web", "cat /proc/sys/net/core/somaxconn") == "500")
                let outside = try await node.host.shell(
                    "busybox nc -w 2 \(TestHost.address) 8080 </dev/null", outside: true)
                #expect(outside.trimmed == "here", "\(outside)")

                try await agent.stop(SIGKILL)
                try await node.startAgent(options[0], options[1], options[2], options[3])
                for name in ["web", "host"] {
                    #expect(try await node.pod(name)?.container("main")?.restarts == 0, "\(name) was started anew")
                }
                #expect(try await node.pod("web")?.podIP == web.podIP)

                try await node.swiftlet("pod", "rm", "-f", "web", "host").orFail()
                #expect(try await node.host.shell("ls \(node.host.directory)/ipam/test | grep ^10").output == "")
                #expect(try await node.host.shell("ip -o link show type veth | grep -v uplink0").output == "")
                #expect(try await node.host.shell("mount | grep \(node.run)/netns").output == "")
            }
        }

        @Test("by plugins that refuse, and says so of the pod")
        func pluginsThatRefuse() async throws {
            try await Node.with(agent: false) { node in
                try makeDirectories("\(node.host.directory)/net.d")
                _ = try node.file(
                    "net.d/10-test.conflist",
                    #"{"cniVersion": "1.0.0", "name": "test", "plugins": [{"type": "no-such-plugin"}]}"#)
                try await node.startAgent("--network", "cni", "--cni-conf-dir", "\(node.host.directory)/net.d")
                _ = try await node.submitPod(Node.manifest("web", answer))
                var message = ""
                try await eventually("the pod says why it is not connected") {
                    message = try await node.pod("web")?["status"]?["message"]?.stringValue ?? ""
                    return message.contains("no-such-plugin")
                }
                // The agent and its other pods go on.
                try await node.runPod(Node.manifest("host", "sleep 1000", pod: "hostNetwork: true")).orFail()
            }
        }

        @Test(
            "with IPv4, IPv6 or both, point to point or by a bridge",
            arguments: ["point-to-point", "bridge"], ["10.42.0.0/24", "fd42::/64", "10.42.0.0/24,fd42::/64"])
        func families(mode: String, cidrs: String) async throws {
            try await Node.with(agent: false) { node in
                try await node.startAgent("--network", mode, "--pod-cidr", cidrs)
                try await node.runPod(Node.manifest("web", answer)).orFail()
                try await node.runPod(Node.manifest("client", "sleep 1000")).orFail()
                let web = try await node.wait(for: "web", phase: "Running")
                #expect(web.podIPs.count == cidrs.split(separator: ",").count)
                for address in web.podIPs {
                    let fromPod = try await node.exec("client", "nc -w 2 \(address) 80 </dev/null")
                    #expect(fromPod == "here", "pod to pod at \(address)")
                    let fromHost = try await node.host.shell("busybox ping -c 1 -W 2 \(address)")
                    #expect(fromHost.succeeded, "host to pod: \(fromHost)")
                    #expect(try await node.exec("web", "cat /etc/hosts").contains("\(address)\tweb"))
                }
            }
        }

        @Test("with the bandwidth, addresses and MAC that annotations ask for")
        func annotations() async throws {
            try await Node.with(agent: false) { node in
                try await node.startAgent("--pod-cidr", "10.42.0.0/24,fd42::/64")
                func manifest(_ name: String, mac: String) -> String {
                    Node.manifest(name, "sleep 1000").replacing(
                        "  labels:",
                        with: """
                              annotations:
                                kubernetes.io/ingress-bandwidth: 8M
                                kubernetes.io/egress-bandwidth: 4M
                                swiftlet.dev/addresses: 10.42.0.99,fd42::99
                                swiftlet.dev/mac: "\(mac)"
                              labels:
                            """)
                }
                try await node.runPod(manifest("chosen", mac: "02:00:00:00:00:99")).orFail()
                let pod = try await node.wait(for: "chosen", phase: "Running")
                #expect(pod.podIPs == ["10.42.0.99", "fd42::99"])
                #expect(try await node.exec("chosen", "cat /sys/class/net/eth0/address") == "02:00:00:00:00:99")
                #expect(try await node.host.shell("tc qdisc show").output.contains("rate 8Mbit"))
                // A second pod cannot have the same ones.
                _ = try await node.submitPod(manifest("other", mac: "02:00:00:00:00:98"))
                var message = ""
                try await eventually("the second pod says who has its address") {
                    message = try await node.pod("other")?["status"]?["message"]?.stringValue ?? ""
                    return message.contains("10.42.0.99")
                }
                #expect(message.contains("default/chosen"), "\(message)")
            }
        }

        @Test(
            "and refuses what cannot be",
            arguments: [
                (["--pod-cidr", "10.42.0.0/24,10.43.0.0/24"], "one network of each family"),
                (["--pod-cidr", "10.43.7.0/24"], "overlap"), (["--pod-cidr", "10.42.0.1/24"], "need a network"),
                (["--overlay", "vxlan"], "needs --leases"), (["--leases", "/no/such/file"], "/no/such/file"),
                (["--network", "cni", "--mtu", "1400"], "leave out --pod-cidr"),
                (["--leases", "x", "--pod-cidr", "10.42.0.0/24"], "leave out --pod-cidr"),
            ])
        func refusals(options: [String], reason: String) async throws {
            try await Node.with(agent: false, images: []) { node in
                let outcome = try await node.command(["node"] + options, seconds: 10)
                #expect(!outcome.succeeded && !outcome.timedOut)
                #expect(outcome.errors.contains(reason), "\(outcome)")
                #expect(outcome.errors.split(separator: "\n").filter { $0.hasPrefix("error:") }.count <= 1)
            }
        }
    }
}
