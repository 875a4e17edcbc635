import Netlink
import TestSupport
import Testing

@testable import Overlay

/// The overlay between hosts that all run it.
@Suite struct VXLANTests {
    @Test func podsOfThreeHostsReachEachOther() async throws {
        let fabric = try TestFabric(hosts: 3)
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        for (one, other) in [(1, 2), (2, 3), (1, 3)] {
            try TestHost.talk(fabric[one], fabric[other])
            try TestHost.talk(fabric[one], fabric[other], size: 60000)
            try TestHost.talk(fabric[one], fabric[other], size: 1_000_000, tcp: true)
        }
        let state = try fabric[1].state
        #expect(state.podMTU == 1450)
        #expect(state.networks.map(\.description) == ["10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24"])
        #expect(state.devices == ["swiftlet.1"])
        #expect(state.nodes == 2)
        #expect(state.counters.repairs == 0)
    }

    @Test func whatTheKernelHasIsWhatFlannelWouldProgram() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        try fabric[1].requireNoProblems()
        let mac = fabric[2].lease.mac(over: .v4)
        let own = fabric[1].lease.mac(over: .v4)
        let census = try fabric[1].census()
        for entry in [
            "link swiftlet.1 \(own) 1450 true swiftlet overlay", "address 10.42.1.0/32 swiftlet.1",
            "neighbour 10.42.2.0 \(mac) swiftlet.1", "forwarding \(mac) 192.0.2.2 swiftlet.1",
            "route 10.42.2.0/24 10.42.2.0 swiftlet.1", "table inet swiftlet-overlay",
        ] { #expect(census.contains(entry), "\(entry) in \(census.sorted())") }
        let details = try fabric[1].run("ip -d link show swiftlet.1")
        #expect(details.contains("vxlan id 1 local 192.0.2.1 dev eth0"))
        #expect(details.contains("dstport 8472 nolearning"))
        #expect(details.contains("addrgenmode none"))
        #expect(try fabric[1].run("ip route show proto 95").contains("onlink"))
    }

    @Test func aSecondUpdateWithTheSameLeasesChangesNothing() async throws {
        let fabric = try TestFabric(hosts: 3)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        let counters = try fabric[1].state.counters
        try await fabric[1].update(fabric.leases)
        #expect(try fabric[1].state.counters == counters)
    }
}
