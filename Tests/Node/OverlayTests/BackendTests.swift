import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What each backend does, over IPv4 and over IPv6.
@Suite struct BackendTests {
    /// Two or three hosts, each updated with the leases of all.
    private func fabric(
        _ backend: OverlayBackend, hosts: Int = 2, mtu: Int = 1500, _ prepare: (TestHost) throws -> Void
    ) async throws -> TestFabric {
        let fabric = try TestFabric(hosts: hosts, mtu: mtu)
        for host in fabric.hosts { try prepare(host) }
        for host in fabric.hosts { try host.start(backend) }
        for host in fabric.hosts {
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        return fabric
    }

    @Test(arguments: [OverlayBackend.vxlan, .vxlanDirect, .hostGateway, .tunnel])
    func podsTalkInBothFamilies(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend) { try $0.makeDualStack() }
        for v6 in [false, true] {
            try TestHost.talk(fabric[1], fabric[2], v6: v6)
            try TestHost.talk(fabric[1], fabric[2], v6: v6, size: 64000)
            try TestHost.talk(fabric[1], fabric[2], v6: v6, size: 1_000_000, tcp: true)
        }
        for host in fabric.hosts { #expect(try host.state.counters.repairs == 0) }
    }

    @Test func dualStackHasADevicePerUnderlayAsFlannelHas() async throws {
        let fabric = try await fabric(.vxlan) { try $0.makeDualStack() }
        let census = try fabric[1].census()
        let macs = [fabric[2].lease.mac(over: .v4), fabric[2].lease.mac(over: .v6)]
        #expect(macs[0] != macs[1])
        for entry in [
            "link swiftlet6.1 \(fabric[1].lease.mac(over: .v6)) 1430 true swiftlet overlay",
            "address fd42:0:0:1::/128 swiftlet6.1", "neighbour fd42:0:0:2:: \(macs[1]) swiftlet6.1",
            "forwarding \(macs[1]) 2001:db8::2 swiftlet6.1", "route fd42:0:0:2::/64 fd42:0:0:2:: swiftlet6.1",
            "neighbour 10.42.2.0 \(macs[0]) swiftlet.1",
        ] { #expect(census.contains(entry), "\(entry) in \(census.sorted())") }
        #expect(!census.contains { $0.hasPrefix("address fe80::") && $0.hasSuffix("swiftlet6.1") })
        #expect(try fabric[1].state.podMTU == 1430)
    }

    @Test(arguments: [OverlayBackend.vxlan, .vxlanDirect, .tunnel])
    func ipv6PodsTravelOverAnIPv4Underlay(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend) { try $0.makeDualStack(publicly: false) }
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], v6: true)
        #expect(try fabric[1].state.devices == ["swiftlet.1"])
    }

    @Test(arguments: [OverlayBackend.vxlan, .tunnel])
    func ipv4PodsTravelOverAnIPv6Underlay(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend) {
            try $0.makeDualStack()
            $0.lease.publicIPv4 = nil
        }
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], v6: true)
        #expect(try fabric[1].state.podMTU == (backend == .vxlan ? 1430 : 1444))
    }

    /// Bytes of headers are what they are said to be: a packet as large as a pod may send fills the underlay's exactly.
    @Test(arguments: [
        (OverlayBackend.vxlan, IPFamily.v4, 1450), (.vxlan, .v6, 1430), (.tunnel, .v4, 1464), (.tunnel, .v6, 1444),
        (.hostGateway, .v4, 1500), (.hostGateway, .v6, 1500),
    ])
    func theLargestPacketFillsTheUnderlay(_ backend: OverlayBackend, _ family: IPFamily, _ mtu: Int) async throws {
        let fabric = try await fabric(backend) {
            if family == .v6 {
                try $0.makeDualStack()
                $0.lease.publicIPv4 = nil
                $0.lease.podCIDRs.removeFirst()
            }
        }
        #expect(try fabric[1].state.podMTU == UInt32(mtu))
        let headers = family == .v4 ? 28 : 48
        let tap = try PacketTap(fabric.bridge)
        try TestHost.talk(fabric[1], fabric[2], v6: family == .v6, size: mtu - headers)
        var largest = try tap.packets().map(\.bytes.count).max()
        #expect(largest == 1500)
        #expect(try tap.packets().allSatisfy { !$0.isFragment })
        // One byte more is two packets, made by the sender.
        try TestHost.talk(fabric[1], fabric[2], v6: family == .v6, size: mtu - headers + 1)
        largest = try tap.packets().map(\.bytes.count).max()
        #expect((largest ?? 0) <= 1500)
    }

    @Test func aTunnelOverBothFamiliesHasOneDeviceAndTheRightMTUForEach() async throws {
        let fabric = try await fabric(.tunnel, hosts: 3) { if $0.number != 2 { try $0.makeDualStack() } }
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[3], v6: true, size: 60000)
        let state = try fabric[1].state
        #expect(state.devices == ["swiftlet.1"])
        #expect(state.podMTU == 1444)
        let routes = try fabric[1].run("ip route") + (try fabric[1].run("ip -6 route"))
        #expect(routes.contains("10.42.2.0/24  encap ip id 1 src 192.0.2.1 dst 192.0.2.2"))
        #expect(routes.contains("fd42:0:0:3::/64  encap ip6 id 1 src 2001:db8::1 dst 2001:db8::3"))
        #expect(routes.split(separator: "\n").contains { $0.hasPrefix("fd42:0:0:3::/64") && $0.contains("mtu 1444") })
        #expect(try fabric[1].run("ip link show swiftlet.1").contains("mtu 1464"))
    }

    @Test func directRoutingIsOnlyForTheSameLink() async throws {
        let fabric = try TestFabric(hosts: 3)
        // The third host lies behind the second, which is its router.
        try fabric[2].run("sysctl -qw net.ipv4.ip_forward=1")
        try fabric[3].run("ip address flush dev eth0")
        try fabric[3].run("ip address add 198.51.100.3/24 dev eth0")
        try fabric[2].run("ip address add 198.51.100.2/24 dev eth0")
        try fabric[3].run("ip route add default via 198.51.100.2")
        try fabric[1].run("ip route add 198.51.100.0/24 via 192.0.2.2")
        fabric[3].lease.publicIPv4 = IPv4Address("198.51.100.3")
        for host in fabric.hosts {
            try host.start(.vxlanDirect)
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        let census = try fabric[1].census()
        #expect(census.contains("route 10.42.2.0/24 192.0.2.2 eth0"))
        #expect(census.contains("route 10.42.3.0/24 10.42.3.0 swiftlet.1"))
        try TestHost.talk(fabric[1], fabric[3])
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[2], fabric[3])
        // The third becomes a neighbour: no restart is needed.
        try fabric[1].run("ip route add 198.51.100.0/25 dev eth0")
        try await fabric[1].shows("route 10.42.3.0/24 198.51.100.3 eth0")
    }

    @Test func hostGatewayRefusesNodesBehindARouter() async throws {
        let fabric = try TestFabric(hosts: 2)
        let far = NodeLease(
            name: "far", publicIPv4: IPv4Address("203.0.113.9"), podCIDRs: [try #require(CIDR("10.42.9.0/24"))])
        try fabric[1].start(.hostGateway)
        try await fabric[1].update(fabric.leases + [far])
        #expect(
            try fabric[1].problems == [
                "node far: no way to 10.42.9.0/24: 203.0.113.9 is not on the link of eth0; backend host-gw needs it to "
                    + "be, vxlan does not"
            ])
        #expect(try fabric[1].census().contains("route 10.42.2.0/24 192.0.2.2 eth0"))
    }

    @Test func noneProgramsNothingAndStillKnowsNetworksAndMTU() async throws {
        let fabric = try TestFabric(hosts: 2, mtu: 1400)
        let before = try fabric[1].census()
        try fabric[1].start(.none)
        try await fabric[1].update(fabric.leases)
        try fabric[1].requireNoProblems()
        #expect(try fabric[1].census() == before)
        #expect(try fabric[1].state.podMTU == 1400)
        #expect(try fabric[1].state.networks.count == 2)
    }

    @Test func anotherBackendLeavesNothingOfTheFormer() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].makeDualStack()
        try fabric[2].makeDualStack()
        let before = try fabric[1].census()
        for backend in [OverlayBackend.vxlan, .tunnel, .hostGateway, .vxlan, .vxlanDirect, .none] {
            try fabric[1].start(backend)
            try await fabric[1].update(fabric.leases)
            try fabric[1].requireNoProblems()
            let census = try fabric[1].census()
            let hasDevice = census.contains { $0.hasPrefix("link swiftlet") }
            #expect(hasDevice == backend.encapsulates)
        }
        #expect(try fabric[1].census() == before)
    }
}
