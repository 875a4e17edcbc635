import JSONTree
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What `overlay show` and `overlay check` say.
@Suite struct CheckTests {
    private func fabric(_ backend: OverlayBackend = .vxlan, mtu: Int = 1500) async throws -> TestFabric {
        let fabric = try TestFabric(hosts: 2, mtu: mtu)
        for host in fabric.hosts { try host.makeDualStack() }
        for host in fabric.hosts {
            try host.start(backend)
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        return fabric
    }

    private func check(_ host: TestHost, _ node: String = "node-2") async throws -> [CheckStep] {
        var steps: [CheckStep] = []
        for await step in (try #require(host.overlay)).check(node) { steps.append(step) }
        return steps
    }

    @Test(arguments: [OverlayBackend.vxlan, .tunnel, .vxlanDirect, .hostGateway])
    func aNodeThatIsReachedPassesEveryStep(_ backend: OverlayBackend) async throws {
        let fabric = try await fabric(backend)
        if backend == .hostGateway {
            // What PodNetwork has on every node.
            try fabric[2].run("ip address add 10.42.2.1/32 dev lo")
            try fabric[2].run("ip address add fd42:0:0:2::1/128 dev lo nodad")
        }
        let steps = try await check(fabric[1])
        #expect(steps.allSatisfy { $0.outcome == .ok }, "\(steps.map(\.text))")
        #expect(steps.contains { $0.subject.hasSuffix("bytes pass unfragmented") })
        let expected = [OverlayBackend.vxlan: 17, .tunnel: 13, .vxlanDirect: 11, .hostGateway: 11]
        #expect(steps.count == expected[backend], "\(steps.map(\.text))")
    }

    @Test func theFirstThingThatFailsIsNamed() async throws {
        let fabric = try await fabric()
        try fabric[1].stopRepairing()
        func lastFailure() async throws -> CheckStep? { try await check(fabric[1]).first { $0.outcome == .failed } }

        #expect(try await check(fabric[1], "nobody").map(\.subject) == ["lease of node nobody"])
        try fabric[1].run("ip rule add to 10.42.2.0/24 lookup 77 prio 10")
        try fabric[1].run("ip route add 10.42.2.0/24 dev eth0 table 77")
        #expect(try await lastFailure()?.finding == "it leads through eth0, table 77")
        try fabric[1].run("ip rule delete prio 10")

        try fabric[2].run("ip link set swiftlet.1 down")
        try fabric[2].stopRepairing()
        try fabric[2].run("ip link set swiftlet.1 down")
        #expect(try await lastFailure()?.subject == "10.42.2.0 answers through the overlay")

        try fabric[1].run("bridge fdb replace \(fabric[2].lease.mac(over: .v4)) dev swiftlet.1 dst 192.0.2.77")
        #expect(try await lastFailure()?.finding == "found 192.0.2.77")
        try fabric[1].run("ip neighbour delete 10.42.2.0 dev swiftlet.1")
        #expect(try await lastFailure()?.subject == "neighbour 10.42.2.0")
        try fabric[1].run("ip link set swiftlet.1 mtu 1300")
        #expect(try await lastFailure()?.finding == "found MTU 1300")
        try fabric[1].run("ip link delete swiftlet.1")
        #expect(try await lastFailure()?.text.hasPrefix("failed     device swiftlet.1: missing\n") == true)
    }

    @Test func aSmallerMTUOnTheWayIsFound() async throws {
        let fabric = try await fabric()
        // The switch carries less than the hosts believe, and says nothing.
        for number in 1...2 { try fabric.bridge.output(of: ["ip", "link", "set", "host\(number)", "mtu", "1400"]) }
        let failed = try await check(fabric[1]).filter { $0.outcome == .failed }
        #expect(failed.map(\.subject) == ["1450 bytes pass unfragmented", "1430 bytes pass unfragmented"])
    }

    @Test func anInspectionComparesWithTheKernel() async throws {
        let fabric = try await fabric()
        try TestHost.talk(fabric[1], fabric[2])
        let overlay = try #require(fabric[1].overlay)
        let view = try await overlay.inspect()
        #expect(view.isComplete)
        #expect(view.nodes.map(\.name) == ["node-1", "node-2"])
        #expect(view.nodes[1].networks.map(\.way) == ["swiftlet.1 to 192.0.2.2", "swiftlet6.1 to 2001:db8::2"])
        #expect((view.devices[0].counters?.sentPackets ?? 0) > 0)
        #expect(view.text.contains("node-2   192.0.2.2 2001:db8::2   10.42.2.0/24"))
        try fabric[1].stopRepairing()
        try fabric[1].run("ip route delete 10.42.2.0/24")
        try fabric[1].run("bridge fdb replace \(fabric[2].lease.mac(over: .v4)) dev swiftlet.1 dst 192.0.2.77")
        try fabric[1].run("ip neighbour replace 10.42.2.0 lladdr 02:00:00:00:00:99 dev swiftlet.1 nud permanent")
        try fabric[1].run("ip link set swiftlet6.1 down")
        let broken = try await overlay.inspect()
        #expect(!broken.isComplete)
        let network = broken.nodes[1].networks[0]
        #expect(network.route == .missing)
        #expect(network.neighbour == .wrong("02:00:00:00:00:99"))
        #expect(network.forwarding == .wrong("192.0.2.77"))
        for line in [
            "node node-2: route 10.42.2.0/24 is missing",
            "node node-2: neighbour 10.42.2.0 is wrong: found 02:00:00:00:00:99",
            "node node-2: forwarding entry for 10.42.2.0/24 is wrong: found 192.0.2.77",
            "device swiftlet6.1 is wrong: found down, without fd42:0:0:1::",
        ] { #expect(broken.text.contains(line), "\(line) in \(broken.text)") }
        #expect(broken.json["nodes"]?[1]?["networks"]?[0]?["forwarding"]?["found"]?.stringValue == "192.0.2.77")
        #expect(broken.json["devices"]?[0]?["counters"]?["sentPackets"]?.integerValue ?? 0 > 0)
    }
}
