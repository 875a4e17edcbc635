import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What cannot work is told in a line each, and the rest works.
@Suite struct ProblemTests {
    /// Host 1 of two, with the leases of both; `prepare` spoils something first.
    private func fabric(
        _ backend: OverlayBackend = .vxlan, v6: Bool = false, _ prepare: (TestFabric) throws -> Void
    ) async throws -> TestFabric {
        let fabric = try TestFabric(hosts: 2)
        if v6 { for host in fabric.hosts { try host.makeDualStack() } }
        try prepare(fabric)
        try fabric[1].start(backend)
        try await fabric[1].update(fabric.leases)
        return fabric
    }

    private let mac = NodeLease.derivedMAC(of: "node-2", .v4)

    @Test(arguments: [
        ("ip address add 10.42.2.7/16 dev eth0", "10.42.2.7/16 on eth0"),
        ("ip address add 10.42.2.7/32 dev lo", "10.42.2.7/32 on lo"),
        ("ip route add 10.42.2.0/24 via 192.0.2.9", "route 10.42.2.0/24 via 192.0.2.9 dev eth0"),
        ("ip route add 10.42.2.64/26 dev eth0", "route 10.42.2.64/26 dev eth0"),
    ])
    func aLeaseThatCollidesWithThisHostIsLeftOutUntilItDoesNot(_ command: String, _ owner: String) async throws {
        let far = NodeLease(
            name: "far", publicIPv4: IPv4Address("192.0.2.99"), podCIDRs: [try #require(CIDR("10.43.9.0/24"))])
        let fabric = try await fabric { try $0[1].run(command) }
        try await fabric[1].update(fabric.leases + [far])
        #expect(
            try fabric[1].problems == [
                "node node-2: pod network 10.42.2.0/24 is in use on this host: \(owner): left out"
            ])
        #expect(try fabric[1].census().contains("route 10.43.9.0/24 10.43.9.0 swiftlet.1"))
        #expect(!(try fabric[1].census().contains("route 10.42.2.0/24 10.42.2.0 swiftlet.1")))
        try fabric[1].run(command.replacing(" add ", with: " delete "))
        try await fabric[1].shows("route 10.42.2.0/24 10.42.2.0 swiftlet.1")
        try fabric[1].requireNoProblems()
    }

    @Test func routesToLargerNetworksAreNoCollision() async throws {
        let fabric = try await fabric(v6: true) {
            try $0[1].run("ip route add 10.0.0.0/8 via 192.0.2.9")
            try $0[1].run("ip route add default via 192.0.2.9")
            try $0[1].run("ip -6 route add fd00::/8 via 2001:db8::9")
            try $0[1].run("ip -6 route add default via 2001:db8::9")
            try $0[1].run("ip -6 route add blackhole fd42::/32")
        }
        try fabric[1].requireNoProblems()
        try fabric[2].start()
        try await fabric[2].update(fabric.leases)
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], v6: true)
    }

    @Test func aPortThatAnotherProgramHasIsToldOf() async throws {
        let fabric = try TestFabric(hosts: 2)
        let socket = try fabric[1].namespace.datagrams(on: "0.0.0.0", port: 8472)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        let problems = try fabric[1].state.problems
        #expect(problems.map(\.kind) == [.inUse])
        #expect(problems.first?.message.hasPrefix("UDP port 8472 is in use by another program or tunnel") == true)
        _ = consume socket
        try await fabric[1].shows("route 10.42.2.0/24 10.42.2.0 swiftlet.1", within: 5)
    }

    @Test func aNameThatIsSomebodyElsesIsToldOf() async throws {
        let fabric = try await fabric { try $0[1].run("ip link add swiftlet.1 type bridge") }
        #expect(
            try fabric[1].problems == [
                "the name swiftlet.1 belongs to a bridge interface that is not the overlay's: rename or remove it, or "
                    + "choose another VNI"
            ])
        try fabric[1].run("ip link delete swiftlet.1")
        try await fabric[1].shows("neighbour 10.42.2.0 \(mac) swiftlet.1")
    }

    @Test func anExternalDeviceOnThePortIsToldOf() async throws {
        let fabric = try await fabric(.tunnel) {
            try $0[1].run("ip link add other type vxlan external gpe dstport 8472")
        }
        #expect(try fabric[1].state.problems.map(\.kind) == [.inUse])
        #expect(try fabric[1].problems[0].hasPrefix("VNI 1 on UDP port 8472 belongs to other"))
    }

    @Test func aPeerWithoutAFamilyInCommonIsToldOf() async throws {
        let fabric = try await fabric {
            $0[2].lease.publicIPv4 = nil
            $0[2].lease.publicIPv6 = IPv6Address("2001:db8::2")
        }
        #expect(
            try fabric[1].problems == [
                "node node-2: no way to 10.42.2.0/24: it and this node have no public address of the same family"
            ])
        #expect(try fabric[1].state.devices == ["swiftlet.1"])
    }

    @Test func hostGatewayNeedsTheFamilyOfThePods() async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack(publicly: false) }
        try fabric[1].start(.hostGateway)
        try await fabric[1].update(fabric.leases)
        #expect(
            try fabric[1].problems == [
                "node node-2: no way to fd42:0:0:2::/64: backend host-gw needs an IPv6 public address of it and of this node"
            ])
        #expect(try fabric[1].census().contains("route 10.42.2.0/24 192.0.2.2 eth0"))
    }

    @Test func anMTUThatIsTooSmallForIPv6IsToldOf() async throws {
        let fabric = try await fabric(v6: true) { try $0[1].run("ip link set eth0 mtu 1300") }
        let problems = try fabric[1].state.problems
        #expect(problems.map(\.kind) == [.mtu], "\(problems)")
        #expect(!(try fabric[1].census().contains { $0.contains("fd42:0:0:") && $0.contains(" swiftlet") }))
        #expect(try fabric[1].census().contains("route 10.42.2.0/24 10.42.2.0 swiftlet.1"))
    }

    @Test func whoeverKeepsUndoingIsToldOfAndSlowsTheRepairsDown() async throws {
        let fabric = try await fabric { _ in }
        let host = fabric[1]
        try await blocking {
            for _ in 0..<(RepairLedger.burst + 1) {
                try host.run("ip route delete 10.42.2.0/24")
                let end = ContinuousClock.now + .seconds(3)
                while try host.run("ip route show 10.42.2.0/24").isEmpty, ContinuousClock.now < end { usleep(2000) }
            }
        }
        try await reached(within: 3) {
            guard try host.state.problems.map(\.kind) == [.contested] else { throw TestFailure("\(try host.state)") }
        }
        #expect(try host.problems[0].hasPrefix("somebody keeps removing or changing route 10.42.2.0/24"))
        let repairs = try host.state.counters.repairs
        try host.run("ip route delete 10.42.2.0/24")
        try await host.shows("route 10.42.2.0/24 10.42.2.0 swiftlet.1", within: 5)
        #expect(try host.state.counters.repairs == repairs + 1)
    }

    @Test func aDeviceWithoutIPv6ByDefaultGetsIt() async throws {
        let fabric = try await fabric(v6: true) { try $0[1].run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1") }
        try fabric[1].requireNoProblems()
        try fabric[2].start()
        try await fabric[2].update(fabric.leases)
        try TestHost.talk(fabric[1], fabric[2], v6: true)
    }

    @Test func strictReversePathFiltersDoNotDrop() async throws {
        let fabric = try await fabric {
            for host in $0.hosts {
                try host.run("sysctl -qw net.ipv4.conf.all.rp_filter=1")
                try host.run("sysctl -qw net.ipv4.conf.default.rp_filter=1")
            }
        }
        try fabric[2].start()
        try await fabric[2].update(fabric.leases)
        try TestHost.talk(fabric[1], fabric[2])
        _ = try TestHost.exchange(fabric[1], "10.42.1.0", fabric[2], fabric[2].pod)
    }

    @Test(arguments: [OverlayBackend.vxlan, .tunnel])
    func behindATranslationTheNamedInterfacesAddressIsTheSource(_ backend: OverlayBackend) async throws {
        let fabric = try TestFabric(hosts: 2)
        // Others know host 1 by 203.0.113.1, which host 2 translates as a router in between would.
        fabric[1].lease.publicIPv4 = IPv4Address("203.0.113.1")
        try fabric[2].run("ip route add 203.0.113.1/32 dev eth0 src 192.0.2.2")
        try fabric[2].namespace.output(
            of: ["nft", "-f", "-"],
            input: """
                table ip net {
                    chain out { type filter hook output priority -400; ip daddr 203.0.113.1 ip daddr set 192.0.2.1; }
                }
                """)
        try fabric[2].run("ip neighbour add 203.0.113.1 lladdr \(try fabric[1].mac("eth0")) dev eth0")
        try fabric[1].start(backend) { $0.interface = "eth0" }
        try fabric[2].start(backend)
        for host in fabric.hosts {
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        try TestHost.talk(fabric[1], fabric[2])
    }

    @Test func anMTUThatDoesNotFitIsToldOf() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].start { $0.mtu = 1500 }
        try await fabric[1].update(fabric.leases)
        #expect(
            try fabric[1].problems == [
                "an MTU of 1500 was asked for, and the underlay has room for 1450: pods have that"
            ])
        #expect(try fabric[1].state.podMTU == 1450)
    }

    @Test func aMissingKernelFeatureSaysWhatToDo() {
        let repair = Repair(subject: .device("swiftlet.1"), changes: [])
        let configuration = OverlayConfiguration(nodeName: "a")
        let error = NetlinkError(
            operation: "create vxlan", subject: "swiftlet.1", errno: EOPNOTSUPP, message: "Unknown device type")
        let problem = error.problem(of: repair, "device swiftlet.1", configuration)
        #expect(problem.kind == .unsupported)
        #expect(
            problem.message
                == "this kernel makes no VXLAN devices: load its module (modprobe vxlan), or choose backend host-gw; create "
                + "vxlan swiftlet.1: Operation not supported (Unknown device type)")
    }

    @Test func changesAreToldOfToThoseWhoListen() async throws {
        let fabric = try await fabric { _ in }
        let overlay = try #require(fabric[1].overlay)
        var changes = overlay.changes().makeAsyncIterator()
        try fabric[1].run("ip link set eth0 mtu 1400")
        #expect(await changes.next() != nil)
        try await reached(within: 3) {
            guard overlay.state.podMTU == 1350 else { throw TestFailure("\(overlay.state)") }
        }
    }
}
