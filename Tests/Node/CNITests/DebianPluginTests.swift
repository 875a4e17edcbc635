import Glibc
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport
import Testing

@testable import CNI

/// The runtime's side with other people's plugins: Debian's containernetworking-plugins, against the real kernel.
@Suite struct DebianPluginTests {
    private static func list(_ directory: String) -> String {
        """
        {"cniVersion":"1.0.0","name":"debian","plugins":[
          {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"capabilities":{"ips":true,"mac":true},
           "ipam":{"type":"host-local","dataDir":"\(directory)/ipam","ranges":[[{"subnet":"10.77.0.0/24"}]],
                   "routes":[{"dst":"0.0.0.0/0"}]}},
          {"type":"portmap","capabilities":{"portMappings":true}},
          {"type":"bandwidth","capabilities":{"bandwidth":true}},
          {"type":"tuning","sysctl":{"net.core.somaxconn":"500"}}]}
        """
    }

    /// Whatever containers have on the host: interfaces but the bridge, traffic control, rules, reservations, records,
    /// mounts.
    private static func leftovers(_ host: PluginHost) throws -> String {
        try host.shell(
            """
            ip -o link | grep -vE ': (lo|up0@|cni0)' || true
            tc qdisc show | grep -E 'tbf|ingress' || true
            nft list ruleset 2>/dev/null | grep -E '10\\.77\\.0\\.|dport (8080|53)' || true
            find \(host.directory)/ipam -name '10.77.*'
            find \(host.directory)/cni/results -type f
            grep /run/swiftlet/netns /proc/thread-self/mountinfo || true
            """)
    }

    @Test("Debian's bridge, host-local, portmap, bandwidth and tuning serve pods, and detaching leaves nothing")
    func wholeChain() async throws {
        try await PluginHost.with { host in
            let network = try host.network(Self.list(host.directory))
            let (web, client) = (try TestNamespace(), try TestNamespace())
            var pod = CNINetwork.Pod(uid: "uid-web", namespace: "default", name: "web")
            pod.runtime.hostPorts = [
                HostPort(port: 8080, containerPort: 80), HostPort(port: 53, transport: .udp, containerPort: 53),
            ]
            pod.runtime.ingressBandwidth = 100_000_000
            pod.runtime.egressBandwidth = 50_000_000
            pod.runtime.addresses = IPAddress("10.77.0.9").map { [.init($0)] } ?? []
            pod.runtime.mac = MACAddress("0a:00:00:00:00:09")
            let attached = try network.attachNow(pod, web.descriptor)
            try requireEqual(attached.network, "debian")
            try requireEqual(attached.addresses.map(\.description), ["10.77.0.9"])
            var clientPod = CNINetwork.Pod(uid: "uid-client", namespace: "default", name: "client")
            clientPod.runtime.ingressBandwidth = 200_000_000
            let other = try network.attachNow(clientPod, client.descriptor)
            try requireEqual(other.addresses.map(\.description), ["10.77.0.10"])
            try require(try web.output(of: ["ip", "link", "show", "eth0"]).contains("0a:00:00:00:00:09"))
            try requireEqual(try web.output(of: ["sysctl", "-n", "net.core.somaxconn"]), "500\n")
            let shaping = try host.shell("tc qdisc show")
            try require(shaping.contains("rate 100Mbit") && shaping.contains("rate 50Mbit"), shaping)

            try requireEqual(try peerSeen(from: client, to: "10.77.0.9", 82, at: web, 82), "10.77.0.10", "pod to pod")
            try requireEqual(
                try peerSeen(from: host.namespace, to: "10.77.0.9", 81, at: web, 81), "10.77.0.1", "host to pod")
            try requireEqual(
                try peerSeen(from: host.outside, to: PluginHost.address, 8080, at: web, 80),
                PluginHost.outsideAddress, "host port")
            try requireEqual(
                try peerSeen(from: client, to: PluginHost.outsideAddress, 80, at: host.outside, 80),
                PluginHost.address, "pod to the outside, masqueraded")

            // Of the pod without host ports but with a bandwidth: portmap 1.1.1 looks for IPv6 rules of host ports that are
            // IPv4's alone, bandwidth 1.1.1 dies where there is none.
            try network.chain().check(containerID: "uid-client", interface: "eth0")
            try client.output(of: ["ip", "route", "delete", "default"])
            let complaint = failure { try network.chain().check(containerID: "uid-client", interface: "eth0") }
            try require(complaint.hasPrefix("CNI plugin 'bridge', CHECK: "), complaint)

            for uid in ["uid-web", "uid-client"] { try network.detachNow(uid: uid) }
            try requireEqual(try Self.leftovers(host), "")
        }
    }

    @Test("A new agent takes back what pods had that died with the old one, though their namespaces are gone")
    func reconciliation() async throws {
        try await PluginHost.with { host in
            let network = try host.network(Self.list(host.directory))
            for uid in ["uid-1", "uid-2"] {
                _ = try network.attachNow(
                    .init(uid: uid, namespace: "default", name: uid), try TestNamespace().descriptor)
            }
            // A reboot takes the mounts, and with them the namespaces.
            try require(umount2("/run/swiftlet/netns/uid-1", Int32(MNT_DETACH)) == 0)
            let report = try CNINetwork(network.configuration).reconcileNow(live: ["uid-2"])
            try require(report.removed == ["uid-1"] && report.lost.isEmpty && report.problems.isEmpty, "\(report)")
            let reservations = "\(host.directory)/ipam/debian"
            try requireEqual(try listDirectory(reservations).filter { $0.hasPrefix("10.") }, ["10.77.0.3"])
            let rest = try CNINetwork(network.configuration).reconcileNow(live: [])
            try requireEqual(rest.removed, ["uid-2"])
            try requireEqual(try listDirectory(reservations).filter { $0.hasPrefix("10.") }, [])
        }
    }

    @Test("A host port that is refused late in the chain leaves nothing of what came before it")
    func lateRefusal() async throws {
        try await PluginHost.with { host in
            let network = try host.network(Self.list(host.directory))
            var pod = CNINetwork.Pod(uid: "uid-web", namespace: "default", name: "web")
            // No container has a port 0: portmap refuses when bridge and host-local have done their work.
            pod.runtime.hostPorts = [HostPort(port: 8080, containerPort: 0)]
            let complaint = failure { _ = try network.attachNow(pod, try TestNamespace().descriptor) }
            try require(complaint.hasPrefix("CNI plugin 'portmap', ADD: "), complaint)
            try requireEqual(try Self.leftovers(host), "")
        }
    }
}
