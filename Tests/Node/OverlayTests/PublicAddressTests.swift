import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// Public addresses that are not simply those of the interface that packets leave by.
@Suite struct PublicAddressTests {
    @Test(arguments: [OverlayBackend.vxlan, .hostGateway])
    func aPeerWithAnAddressOfThisHostIsRefused(_ backend: OverlayBackend) async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].run("ip address add 192.0.2.2/32 dev eth0")
        try fabric[1].start(backend)
        try await fabric[1].update(fabric.leases)
        #expect(
            try fabric[1].problems == [
                "node node-2: its public address 192.0.2.2 is this host's own (192.0.2.2/32 on eth0): left out"
            ])
        #expect(!(try fabric[1].census().contains { $0.hasPrefix("route 10.42.2.0/24") }))
        try fabric[1].run("ip address delete 192.0.2.2/32 dev eth0")
        try await fabric[1].shows("route 10.42.2.0/24 \(backend == .vxlan ? "10.42.2.0 swiftlet.1" : "192.0.2.2 eth0")")
        try fabric[1].requireNoProblems()
    }

    @Test(arguments: ["lo", "vip"])
    func anAddressOfTheHostAsAWholeLeavesByTheDefaultRoute(_ holder: String) async throws {
        let fabric = try TestFabric(hosts: 2)
        if holder == "vip" {
            try fabric[1].run("ip link add vip type veth peer name piv")
            try fabric[1].run("ip link set vip up")
        }
        try fabric[1].run("ip address add 198.51.100.1/32 dev \(holder)")
        try fabric[1].run("ip route add default via 192.0.2.2")
        try fabric[2].run("ip route add 198.51.100.1/32 via 192.0.2.1")
        fabric[1].lease.publicIPv4 = IPv4Address("198.51.100.1")
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        #expect(try fabric[1].run("ip -d link show swiftlet.1").contains("local 198.51.100.1 dev eth0"))
        try TestHost.talk(fabric[1], fabric[2])
        try fabric[1].run("ip route delete default")
        try await reached(within: 3) {
            guard try fabric[1].problems.first?.contains("198.51.100.1") == true else {
                throw TestFailure("\(try fabric[1].problems)")
            }
        }
    }

    @Test func anInterfaceThatPacketsDoNotLeaveByIsToldOf() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].run("ip link add vip type veth peer name piv")
        try fabric[1].run("ip link set vip up")
        try fabric[1].run("ip address add 198.51.100.1/24 dev vip")
        fabric[1].lease.publicIPv4 = IPv4Address("198.51.100.1")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        #expect(
            try fabric[1].problems.contains(
                "packets to node node-2 (192.0.2.2) leave by eth0, and this node's public address 198.51.100.1 is on vip: "
                    + "name the interface (--overlay-interface), or give nodes another public address"))
    }
}
