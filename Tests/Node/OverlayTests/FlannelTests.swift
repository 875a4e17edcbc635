import Netlink
import TestSupport
import Testing

@testable import Overlay

/// The other host is programmed as flannel does it, by `ip` and `bridge`, and runs nothing of ours.
@Suite struct FlannelTests {
    private let mac = "5a:11:22:33:44:55"
    private let macv6 = "5a:11:22:33:44:66"

    /// Host 2 as flanneld with the vxlan backend leaves it (pkg/backend/vxlan: device.go, vxlan_network.go).
    private func makeFlannelHost(_ host: TestHost, peer: TestHost, v6: Bool, directRouting: Bool = false) throws {
        let lease = peer.lease
        try host.run(
            "ip link add flannel.1 address \(mac) mtu 1450 type vxlan id 1 dev eth0 local 192.0.2.2 dstport 8472 nolearning "
                + "noudpcsum")
        try host.run("ip address add 10.42.2.0/32 dev flannel.1")
        try host.run("ip link set flannel.1 up")
        try host.run("ip neighbour replace 10.42.1.0 lladdr \(lease.mac(over: .v4)) dev flannel.1 nud permanent")
        try host.run("bridge fdb replace \(lease.mac(over: .v4)) dev flannel.1 dst 192.0.2.1 self permanent")
        try host.run(
            directRouting
                ? "ip route replace 10.42.1.0/24 via 192.0.2.1 dev eth0"
                : "ip route replace 10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink")
        guard v6 else { return }
        try host.run(
            "ip link add flannel-v6.1 address \(macv6) mtu 1430 type vxlan id 1 dev eth0 local 2001:db8::2 dstport 8472 "
                + "nolearning")
        try host.run("ip -6 address add fd42:0:0:2::/128 dev flannel-v6.1 nodad")
        try host.run("ip link set flannel-v6.1 up")
        try host.run(
            "ip -6 neighbour replace fd42:0:0:1:: lladdr \(lease.mac(over: .v6)) dev flannel-v6.1 nud permanent")
        try host.run("bridge fdb replace \(lease.mac(over: .v6)) dev flannel-v6.1 dst 2001:db8::1 self permanent")
        try host.run("ip -6 route replace fd42:0:0:1::/64 via fd42:0:0:1:: dev flannel-v6.1 onlink")
    }

    /// Addresses and MACs of a flannel node as its annotations have them.
    private func prepare(_ fabric: TestFabric, v6: Bool) throws {
        if v6 { for host in fabric.hosts { try host.makeDualStack() } }
        fabric[2].lease.vtepMAC = MACAddress(mac)
        fabric[2].lease.vtepMACv6 = MACAddress(macv6)
    }

    @Test func podsTalkWithThoseOfAFlannelHost() async throws {
        let fabric = try TestFabric(hosts: 2)
        try prepare(fabric, v6: true)
        try makeFlannelHost(fabric[2], peer: fabric[1], v6: true)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        try fabric[1].requireNoProblems()
        for v6 in [false, true] {
            try TestHost.talk(fabric[1], fabric[2], v6: v6)
            try TestHost.talk(fabric[1], fabric[2], v6: v6, size: 60000)
            try TestHost.talk(fabric[1], fabric[2], v6: v6, size: 1_000_000, tcp: true)
        }
        // Host to pod: the device's address is the source, as flannel's masquerading rules expect it.
        #expect(try TestHost.exchange(fabric[2], "10.42.2.0", fabric[1], fabric[1].pod) == "10.42.2.0")
        #expect(try TestHost.exchange(fabric[1], "10.42.1.0", fabric[2], fabric[2].pod) == "10.42.1.0")
        try await ping(fabric)
    }

    /// ICMP both ways, full packets that must not be cut.
    private func ping(_ fabric: TestFabric) async throws {
        try await blocking {
            for (from, to) in [(fabric[1], fabric[2]), (fabric[2], fabric[1])] {
                for (source, destination, size) in [(from.pod, to.pod, 1450), (from.pod6, to.pod6, 1430)] {
                    let address = try #require(IPAddress(destination))
                    var probe = try EchoProbe(to: address, in: from.namespace.descriptor, source: IPAddress(source))
                    let answer = try probe.ask(payload: EchoProbe.payload(ofPacketSize: size, to: address))
                    guard case .reply = answer else { throw TestFailure("\(source) to \(destination): \(answer)") }
                }
            }
        }
    }

    @Test func directRoutingSpeaksWithFlannelsDirectRouting() async throws {
        let fabric = try TestFabric(hosts: 2)
        try prepare(fabric, v6: false)
        try makeFlannelHost(fabric[2], peer: fabric[1], v6: false, directRouting: true)
        try fabric[1].start(.vxlanDirect)
        try await fabric[1].update(fabric.leases)
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], size: 200_000, tcp: true)
    }

    @Test func aFlannelThatRunsHereIsToldOfAndLeftAlone() async throws {
        let fabric = try TestFabric(hosts: 2)
        try makeFlannelHost(fabric[2], peer: fabric[1], v6: false)
        fabric[2].lease.podCIDRs = [try #require(CIDR("10.42.22.0/24"))]
        let before = try fabric[2].census()
        try fabric[2].start()
        try await fabric[2].update(fabric.leases)
        #expect(
            try fabric[2].problems == [
                "node node-1: pod network 10.42.1.0/24 is in use on this host: route 10.42.1.0/24 via 10.42.1.0 dev "
                    + "flannel.1: left out",
                "VNI 1 on UDP port 8472 belongs to flannel.1, which is not the overlay's: remove it (ip link delete "
                    + "flannel.1), or choose another VNI or port",
            ])
        #expect(before.isSubset(of: try fabric[2].census()))
        // When it is gone, the overlay takes its place.
        try fabric[2].run("ip link delete flannel.1")
        try await fabric[2].shows("route 10.42.1.0/24 10.42.1.0 swiftlet.1")
        try fabric[2].requireNoProblems()
    }
}
