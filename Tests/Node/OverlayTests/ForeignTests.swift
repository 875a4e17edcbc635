import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What others made is never deleted or replaced, whatever it is called and wherever it stands.
@Suite struct ForeignTests {
    /// Two dual-stack hosts that reach each other.
    private func fabric() async throws -> TestFabric {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack() }
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        return fabric
    }

    private func collision(_ host: TestHost) async throws -> String {
        try await reached(within: 3) {
            guard try host.state.problems.map(\.kind) == [.collision] else { throw TestFailure("\(try host.problems)") }
        }
        return try host.problems[0]
    }

    @Test(arguments: [
        ("10.42.2.0/24", "via 192.0.2.77", "replace"), ("10.42.2.0/24", "dev swiftlet.1", "replace"),
        ("fd42:0:0:2::/64", "via 2001:db8::77", "replace"), ("fd42:0:0:2::/64", "via 2001:db8::77", "append"),
        ("fd42:0:0:2::/64", "nexthop via 2001:db8::77 nexthop via 2001:db8::78", "replace"),
    ])
    func aRouteOfOthersStaysAndOursComesBackAfterIt(_ network: String, _ way: String, _ verb: String) async throws {
        let fabric = try await fabric()
        let before = try fabric[1].census()
        let family = network.contains(":") ? "-6" : "-4"
        try fabric[1].run("ip \(family) route \(verb) \(network) \(way)")
        #expect(
            try await collision(fabric[1]).hasPrefix("node node-2: pod network \(network) is in use on this host: "))
        // Nor is it masqueraded no more.
        let cidr = try #require(CIDR(network))
        #expect(!(try fabric[1].state.networks.contains(cidr)))
        #expect(try fabric[1].state.networks.count == 3)
        let gateway = way.split(separator: " ")[way.hasPrefix("nexthop") ? 2 : 1]
        #expect(try fabric[1].run("ip \(family) route show \(network)").contains(gateway))
        try fabric[1].run("ip \(family) route delete \(network) \(way)")
        try await fabric[1].isBack(to: before)
        try TestHost.talk(fabric[1], fabric[2], v6: family == "-6")
        try await reached(within: 3) { try fabric[1].requireNoProblems() }
    }

    @Test(arguments: ["via 2001:db8::77", "nexthop via 2001:db8::77 nexthop via 2001:db8::78"])
    func aRouteThatWasThereFirstGivesWayWhenItGoes(_ way: String) async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack() }
        try fabric[1].run("ip -6 route add fd42:0:0:2::/64 \(way)")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        _ = try await collision(fabric[1])
        try fabric[1].run("ip -6 route delete fd42:0:0:2::/64")
        try await fabric[1].shows("route fd42:0:0:2::/64 fd42:0:0:2:: swiftlet6.1")
        try await reached(within: 3) { try fabric[1].requireNoProblems() }
    }

    @Test func aRouteThatIsPreferredToOursIsToldOf() async throws {
        let fabric = try await fabric()
        try fabric[1].run("ip -6 route add fd42:0:0:2::/64 via 2001:db8::77 metric 50")
        #expect(
            try await collision(fabric[1])
                == "node node-2: packets to fd42:0:0:2::/64 go another way: route fd42:0:0:2::/64 via 2001:db8::77 dev eth0, "
                + "which is preferred for its metric 50: remove it")
        let view = try await (try #require(fabric[1].overlay)).inspect()
        #expect(view.nodes[1].networks[1].route == .wrong("via 2001:db8::77 dev eth0 metric 50"))
        #expect(view.nodes[1].networks[0].route == .ok)
        try fabric[1].run("ip -6 route delete fd42:0:0:2::/64 metric 50")
        try await reached(within: 3) { try fabric[1].requireNoProblems() }
        try TestHost.talk(fabric[1], fabric[2], v6: true)
    }

    @Test func theCheckSeesARouteThatHidesBehindTheFirstAddress() async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack() }
        // Which makes a route to the first address alone.
        try fabric[1].run("ip -6 route add fd42::/32 via 2001:db8::9")
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
        }
        try fabric[1].stopRepairing()
        try fabric[1].run("ip -6 rule add to fd42:0:0:2::1 lookup 77 prio 10")
        try fabric[1].run("ip -6 route add fd42:0:0:2::/64 via 2001:db8::77 table 77")
        var found: [String] = []
        for await step in (try #require(fabric[1].overlay)).check("node-2") where step.outcome == .failed {
            found.append("\(step.subject): \(step.finding)")
        }
        #expect(found == ["the kernel's route to fd42:0:0:2::1: it leads through eth0, table 77"])
    }

    @Test(arguments: [
        ("swiftlet.7", "ip link add swiftlet.7 type vxlan id 7 dstport 4789"),
        ("swiftlet.7", "ip link add swiftlet.7 type vxlan id 8 dev eth0 local 192.0.2.1 dstport 4789 nolearning"),
        ("sl.8", "ip link add sl.8 type vxlan id 8 dev eth0 local 192.0.2.1 dstport 4789 nolearning"),
    ])
    func aDeviceOfOthersStaysWhateverItIsCalled(_ name: String, _ command: String) async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].run(command)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        try fabric[1].requireNoProblems()
        #expect(try fabric[1].linkIndex(name) != nil)
        try fabric[1].stop()
        try Overlay.removeEverything(in: fabric[1].namespace.descriptor)
        #expect(try fabric[1].linkIndex(name) != nil)
        #expect(try fabric[1].linkIndex("swiftlet.1") == nil)
    }

    @Test(arguments: ["nolearning", "learning"])
    func aDeviceOfOurNameIsOnlyOursIfWeLeftItHalfMade(_ learning: String) async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].run("ip link add swiftlet.1 type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 \(learning)")
        if learning == "learning" { try fabric[1].run("ip link set swiftlet.1 up") }
        let index = try fabric[1].linkIndex("swiftlet.1")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        #expect(try fabric[1].linkIndex("swiftlet.1") == index)
        guard learning == "learning" else { return try fabric[1].requireNoProblems() }
        #expect(try fabric[1].state.problems.map(\.kind) == [.inUse])
    }
}
