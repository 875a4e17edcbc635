import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// Leases and the underlay change while the overlay runs, and what earlier runs left.
@Suite struct ConvergenceTests {
    /// Three dual-stack hosts that reach each other.
    private func fabric(_ backend: OverlayBackend = .vxlan) async throws -> TestFabric {
        let fabric = try TestFabric(hosts: 3)
        for host in fabric.hosts { try host.makeDualStack() }
        for host in fabric.hosts { try host.start(backend) }
        try await update(fabric)
        return fabric
    }

    private func update(_ fabric: TestFabric) async throws {
        for host in fabric.hosts {
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
    }

    private func talk(_ fabric: TestFabric) throws {
        for (one, other) in [(1, 2), (2, 3), (3, 1)] {
            try TestHost.talk(fabric[one], fabric[other])
            try TestHost.talk(fabric[one], fabric[other], v6: true)
        }
    }

    @Test(arguments: [OverlayBackend.vxlan, .vxlanDirect, .hostGateway, .tunnel])
    func aChangedPublicAddressConverges(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend)
        try fabric[2].run("ip address delete 192.0.2.2/24 dev eth0")
        try fabric[2].run("ip address add 192.0.2.22/24 dev eth0")
        try fabric[2].run("ip address delete 2001:db8::2/64 dev eth0")
        try fabric[2].run("ip address add 2001:db8::22/64 dev eth0 nodad")
        fabric[2].lease.publicIPv4 = IPv4Address("192.0.2.22")
        fabric[2].lease.publicIPv6 = IPv6Address("2001:db8::22")
        try await update(fabric)
        try talk(fabric)
        let census = try fabric[1].census()
        #expect(!census.contains { $0.contains("192.0.2.2 ") || $0.contains("2001:db8::2 ") }, "\(census.sorted())")
    }

    @Test(arguments: [OverlayBackend.vxlan, .tunnel])
    func aChangedMACConverges(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend)
        fabric[2].lease.vtepMAC = MACAddress("02:00:00:00:22:22")
        try await update(fabric)
        try talk(fabric)
        #expect(try fabric[1].state.counters.repairs == 0)
    }

    @Test(arguments: [OverlayBackend.vxlan, .hostGateway, .tunnel])
    func aChangedPodNetworkConverges(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend)
        fabric[2].lease.podCIDRs = [try #require(CIDR("10.42.22.0/24")), try #require(CIDR("fd42:0:0:22::/64"))]
        try fabric[2].run("ip address add 10.42.22.2/32 dev lo")
        try await update(fabric)
        _ = try TestHost.exchange(fabric[1], fabric[1].pod, fabric[2], "10.42.22.2")
        let census = try fabric[1].census()
        #expect(!census.contains { $0.contains("10.42.2.0") || $0.contains("fd42:0:0:2::") }, "\(census.sorted())")
        if backend != .hostGateway { #expect(try fabric[2].census().contains("address 10.42.22.0/32 swiftlet.1")) }
    }

    @Test func twoNodesThatSwapTheirNetworksConverge() async throws {
        let fabric = try await fabric()
        (fabric[2].lease.podCIDRs, fabric[3].lease.podCIDRs) = (fabric[3].lease.podCIDRs, fabric[2].lease.podCIDRs)
        for host in [fabric[2], fabric[3]] {
            try host.run("ip address delete \(host.pod)/32 dev lo")
            try host.run("ip address delete \(host.pod6)/128 dev lo")
        }
        try fabric[2].run("ip address add 10.42.3.2/32 dev lo")
        try fabric[3].run("ip address add 10.42.2.2/32 dev lo")
        try await update(fabric)
        _ = try TestHost.exchange(fabric[1], fabric[1].pod, fabric[2], "10.42.3.2")
        _ = try TestHost.exchange(fabric[2], "10.42.3.2", fabric[3], "10.42.2.2")
    }

    @Test func nodesComeAndGo() async throws {
        let fabric = try await fabric()
        let before = try fabric[1].census()
        let without = fabric.leases.filter { $0.name != "node-2" }
        try await fabric[1].update(without)
        let census = try fabric[1].census()
        #expect(!census.contains { $0.contains("10.42.2.") || $0.contains("192.0.2.2 ") }, "\(census.sorted())")
        try await fabric[1].update(fabric.leases)
        #expect(try fabric[1].census() == before)
        try talk(fabric)
    }

    @Test(arguments: [
        (OverlayBackend.vxlan, "1350", "1330"), (.tunnel, "1364", "1344"), (.hostGateway, "1400", "1400"),
    ])
    func theMTUFollowsTheUnderlay(_ backend: OverlayBackend, _ mtu: String, _ mtu6: String) async throws {
        let fabric = try await fabric(backend)
        try fabric[1].run("ip link set eth0 mtu 1400")
        try await reached(within: 3) {
            guard try fabric[1].state.podMTU == UInt32(mtu6) else { throw TestFailure("\(try fabric[1].state)") }
        }
        if backend.encapsulates {
            #expect(try fabric[1].run("ip link show swiftlet.1").contains("mtu \(mtu) "))
        }
        try talk(fabric)
        try fabric[1].run("ip link set eth0 mtu 1500")
        try await reached(within: 3) {
            guard try fabric[1].state.podMTU ?? 0 >= 1430 else { throw TestFailure("\(try fabric[1].state)") }
        }
    }

    @Test func theUnderlaysInterfaceMayGoAndComeBack() async throws {
        let fabric = try await fabric()
        try fabric[1].run("ip link set eth0 name gone")
        try talk(fabric)
        try fabric[1].run("ip link delete gone")
        try await reached(within: 3) {
            let problems = try fabric[1].problems
            guard
                problems.contains("public address 192.0.2.1 is on no interface of this host: the overlay waits for it")
            else { throw TestFailure("\(problems)") }
        }
        #expect(!(try fabric[1].census().contains { $0.hasPrefix("link swiftlet") }))
        try fabric[1].connect(to: fabric.bridge, as: "again1")
        try await reached(within: 3) { try fabric[1].requireNoProblems() }
        for number in 2...3 { try fabric[number].run("ip neighbour flush dev eth0") }
        try talk(fabric)
    }

    @Test func aNamedInterfaceIsWaitedFor() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].start { $0.interface = "wg0" }
        try await fabric[1].update(fabric.leases)
        #expect(try fabric[1].problems == ["interface wg0 is not there: the overlay waits for it"])
        try fabric[1].run("ip link set eth0 name wg0")
        try await fabric[1].shows("route 10.42.2.0/24 10.42.2.0 swiftlet.1")
        try fabric[1].requireNoProblems()
    }

    @Test func aPublicAddressThatMovesToAnotherInterfaceIsFollowed() async throws {
        let fabric = try await fabric()
        try fabric[1].run("ip link add link eth0 name sub type macvlan mode bridge")
        try fabric[1].run("ip link set sub up")
        try fabric[1].run("ip address delete 192.0.2.1/24 dev eth0")
        try fabric[1].run("ip address add 192.0.2.1/24 dev sub")
        try await reached(within: 3) {
            guard try fabric[1].run("ip -d link show swiftlet.1").contains("dev sub") else {
                throw TestFailure("not on the other interface")
            }
            try fabric[1].requireNoProblems()
        }
    }

    @Test func aNewRunAdoptsWhatItFinds() async throws {
        let fabric = try await fabric()
        let before = try fabric[1].census()
        let index = try #require(try fabric[1].linkIndex("swiftlet.1"))
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        #expect(try fabric[1].census() == before)
        #expect(try fabric[1].linkIndex("swiftlet.1") == index)
        let counters = try fabric[1].state.counters
        #expect(counters.repairs == 0)
        // Settings of both devices that no list shows.
        #expect(counters.changes == 2)
    }

    @Test func leftoversOfEarlierRunsAreRemoved() async throws {
        let fabric = try TestFabric(hosts: 2)
        let before = try fabric[1].census()
        try fabric[1].start { ($0.vni, $0.port) = (77, 4789) }
        try await fabric[1].update(fabric.leases)
        try fabric[1].run("ip route add 10.99.0.0/24 via 192.0.2.9 proto 95")
        try fabric[1].run(
            "ip link add swiftlet6.123 type vxlan id 123 dstport 8472 local 2001:db8::1 dev eth0 nolearning")
        try fabric[1].run("ip link set swiftlet.77 name renamed")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        try fabric[1].requireNoProblems()
        let links = try fabric[1].census().filter { $0.hasPrefix("link ") }
        #expect(links.count == 3, "\(links)")
        #expect(!(try fabric[1].census().contains { $0.contains("10.99.0.0") }))
        try fabric[1].stop()
        try Overlay.removeEverything(in: fabric[1].namespace.descriptor)
        #expect(try fabric[1].census() == before)
        try Overlay.removeEverything(in: fabric[1].namespace.descriptor)
    }

    @Test func withoutALeaseOfItsOwnANodeTakesNoPart() async throws {
        let fabric = try TestFabric(hosts: 2)
        let before = try fabric[1].census()
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        try await fabric[1].update([fabric[2].lease])
        #expect(try fabric[1].problems == ["node node-1 has no lease of its own: it takes no part in the overlay"])
        #expect(try fabric[1].census() == before)
    }

    @Test(arguments: [(OverlayBackend.vxlan, false), (.vxlan, true), (.tunnel, false), (.tunnel, true)])
    func packetsPassANarrowLinkBetweenTheHosts(_ backend: OverlayBackend, _ v6: Bool) async throws {
        let fabric = try TestFabric(hosts: 3)
        let (near, router, far) = (fabric[1], fabric[2], fabric[3])
        try router.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for (version, net, ends) in [("-4", "198.51.100.0/24", ".2 .3"), ("-6", "2001:db8:2::/64", "::2 ::3")] {
            let prefix = String(net.prefix { $0 != "/" }.dropLast(version == "-4" ? 2 : 2))
            let parts = ends.split(separator: " ").map { prefix + $0 }
            let length = net.split(separator: "/")[1]
            let noDAD = version == "-6" ? " nodad" : ""
            try far.run("ip \(version) address flush dev eth0 scope global")
            try far.run("ip \(version) address add \(parts[1])/\(length) dev eth0\(noDAD)")
            try router.run("ip \(version) address add \(parts[0])/\(length) dev eth0\(noDAD)")
            try far.run("ip \(version) route add default via \(parts[0])")
            try near.run("ip \(version) route add \(net) via \(version == "-4" ? "192.0.2.2" : "2001:db8::2")")
            try router.run("ip \(version) route add \(parts[1]) dev eth0 mtu lock 1400")
        }
        // Neighbours are to be led to the router, not to each other.
        for host in fabric.hosts {
            try host.run("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0")
            try host.run("sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0")
        }
        if v6 {
            (near.lease.publicIPv4, far.lease.publicIPv4) = (nil, nil)
            near.lease.publicIPv6 = IPv6Address("2001:db8::1")
            far.lease.publicIPv6 = IPv6Address("2001:db8:2::3")
        } else {
            far.lease.publicIPv4 = IPv4Address("198.51.100.3")
        }
        for host in [near, far] {
            try host.start(backend)
            try await host.update([near.lease, far.lease])
            try host.requireNoProblems()
        }
        try TestHost.talk(near, far, size: 1_000_000, tcp: true)
        try TestHost.talk(near, far, size: 60_000)
    }

    @Test func lostEventsAreMadeUpForByReading() async throws {
        let fabric = try await fabric()
        let before = try fabric[1].census()
        // The loop is held while more happens than the socket has room for.
        let gate = try await Gate(fabric[1].loop)
        var lines = ""
        for round in 0..<40000 {
            lines += "neighbour replace 10.42.9.9 lladdr 02:00:00:00:00:\(round % 2 == 0 ? "01" : "02") dev eth0\n"
        }
        lines += "route delete 10.42.2.0/24\nneighbour delete 10.42.9.9 dev eth0\n"
        try fabric[1].namespace.output(of: ["ip", "-batch", "-"], input: lines)
        let readings = try fabric[1].state.counters.readings
        gate.open()
        try await fabric[1].isBack(to: before, within: 5)
        #expect(try fabric[1].state.counters.readings > readings)
    }
}
