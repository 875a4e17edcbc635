// A node of Swiftlet beside one that speaks flannel's VXLAN: the peer is programmed by plain ip(8) and bridge(8), step by
// step as flannel does it.
import Glibc
import Linux
import TestSupport
import Testing

/// What flannel does on h2 for its own subnet and h1's, of one family. The pod is a network namespace with a veth pair.
private struct FlannelPeer {
    let device: String
    let localMAC: String
    let remoteMAC: String
    let local: String
    let remote: String
    let subnet: String
    let remoteSubnet: String
    let pod: String
    let gateway: String
    let length: Int

    var script: String {
        """
        ip link add \(device) type vxlan id 1 local \(local) dev uplink0 dstport 8472 nolearning
        ip link set \(device) address \(localMAC) addrgenmode none
        ip address add \(subnet)/\(length == 24 ? 32 : 128) dev \(device)
        ip link set \(device) up
        ip neigh replace \(remoteSubnet) lladdr \(remoteMAC) dev \(device) nud permanent
        bridge fdb append \(remoteMAC) dev \(device) dst \(remote)
        ip route replace \(remoteSubnet)/\(length) via \(remoteSubnet) dev \(device) onlink
        ip address add \(gateway)/\(length) dev cni0 \(length == 64 ? "nodad" : "")
        ip -n pod address add \(pod)/\(length) dev eth0 \(length == 64 ? "nodad" : "")
        ip -n pod route add default via \(gateway)
        """
    }

    static let base = """
        ip netns add pod
        ip link add cni0 type veth peer name eth0 netns pod
        ip -n pod link set lo up
        ip -n pod link set eth0 mtu 1430 up
        ip link set cni0 mtu 1430 up
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        """
}

extension NodeTests {
    @Suite("A node that speaks flannel", .serialized) struct FlannelPeers {
        @Test func reachesPodsOfOursAndIsReached() async throws {
            try await Testbed.with(hosts: 2) { testbed in
                let host = testbed.hosts[0]
                let node = Node(
                    host: host, data: "\(host.directory)/data", run: "\(host.directory)/run",
                    manifests: "\(host.directory)/manifests")
                try makeDirectories(node.manifests)
                try await node.swiftlet("image", "import", "--name", Node.busybox, TestImages.layout("busybox"))
                    .orFail()
                let cluster = Cluster(testbed: testbed, nodes: [node])
                // flannel's MAC is random; it tells the others by an annotation, here by the lease.
                let macs = ["02:f1:a0:00:00:04", "02:f1:a0:00:00:06"]
                try await testbed.changeLease(of: testbed.hosts[1], "vtepMAC=\(macs[0])", "vtepMACv6=\(macs[1])")
                try await cluster.startAgent(of: node)
                let pod = try await cluster.startPods()[0]

                func mac(_ device: String) async throws -> String {
                    var mac = ""
                    try await eventually("\(device) is there") {
                        mac = try await host.shell("cat /sys/class/net/\(device)/address").orFail().trimmed
                        return true
                    }
                    return mac
                }
                let four = FlannelPeer(
                    device: "flannel.1", localMAC: macs[0], remoteMAC: try await mac("swiftlet.1"), local: "192.0.2.12",
                    remote: "192.0.2.11", subnet: "10.42.2.0", remoteSubnet: "10.42.1.0", pod: "10.42.2.5",
                    gateway: "10.42.2.1", length: 24)
                let six = FlannelPeer(
                    device: "flannel-v6.1", localMAC: macs[1], remoteMAC: try await mac("swiftlet6.1"),
                    local: "2001:db8::12", remote: "2001:db8::11", subnet: "fd42:0:0:2::", remoteSubnet: "fd42:0:0:1::",
                    pod: "fd42:0:0:2::5", gateway: "fd42:0:0:2::1", length: 64)
                try await testbed.hosts[1].shell("set -e\n\(FlannelPeer.base)\n\(four.script)\n\(six.script)").orFail()
                let peer = Place(host: testbed.hosts[1], name: "pod", prefix: ["ip", "netns", "exec", "pod"])
                try await peer.serve()

                for (theirs, ours) in zip([four.pod, six.pod], pod.addresses) {
                    try await eventually("ours to theirs, \(theirs)") { try await pod.place.pings(theirs) }
                    try await eventually("theirs to ours, \(ours)") { try await peer.pings(ours) }
                    try await pod.place.stream(to: theirs)
                    try await peer.stream(to: ours)
                    #expect(try await pod.place.datagrams(to: theirs, size: 65000) == 5)
                    #expect(try await peer.seen(at: ours, over: "udp") == theirs)
                    #expect(try await pod.place.seen(at: theirs, over: "tcp") == ours)
                }
                // It restarts with another MAC, as flannel does where nothing keeps it. With the old one go its neighbours.
                let other = "02:f1:a0:00:00:99"
                let again = """
                    ip link set flannel.1 address \(other)
                    ip neigh replace \(four.remoteSubnet) lladdr \(four.remoteMAC) dev flannel.1 nud permanent
                    """
                try await testbed.hosts[1].shell("set -e; \(again)").orFail()
                try await testbed.changeLease(of: testbed.hosts[1], "vtepMAC=\(other)")
                try await eventually("the new MAC is known", seconds: 5) { try await pod.place.pings(four.pod) }
            }
        }
    }
}
