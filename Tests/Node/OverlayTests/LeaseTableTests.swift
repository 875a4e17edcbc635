import Netlink
import Testing

@testable import Overlay

/// Which leases can be used together.
@Suite struct LeaseTableTests {
    private func lease(
        _ name: String, _ address: String?, _ networks: String..., mac: String? = nil
    ) throws -> NodeLease {
        NodeLease(
            name: name, publicIPv4: address.flatMap { IPv4Address($0) },
            publicIPv6: address.flatMap { IPv6Address($0) },
            podCIDRs: try networks.map { try #require(CIDR($0)) }, vtepMAC: mac.flatMap { MACAddress($0) })
    }

    @Test func leasesThatFitTogetherAreAllUsed() throws {
        let table = LeaseTable(
            [
                try lease("a", "192.0.2.1", "10.42.1.0/24", "fd42:0:0:1::/64"),
                try lease("b", "192.0.2.2", "10.42.2.0/24"), try lease("c", "2001:db8::3", "10.42.0.0/24"),
            ], ownName: "b")
        #expect(table.problems.isEmpty)
        #expect(table.leases.count == 3)
        #expect(table.own?.name == "b")
        #expect(
            table.cidrs.map(\.description) == ["10.42.0.0/24", "10.42.1.0/24", "10.42.2.0/24", "fd42:0:0:1::/64"])
    }

    /// Each with `a` (192.0.2.1, 10.42.1.0/24) before it, which is never touched.
    @Test func aLeaseThatContradictsOneBeforeItIsLeftOut() throws {
        let cases: [(NodeLease, String)] = [
            (try lease("a", "192.0.2.9", "10.42.9.0/24"), "node a: there is a lease of this name before it: left out"),
            (try lease("", "192.0.2.9", "10.42.9.0/24"), "node : a lease needs a name: left out"),
            (try lease("b", nil, "10.42.9.0/24"), "node b: it has no public address: left out"),
            (
                try lease("b", "192.0.2.1", "10.42.9.0/24"),
                "node b: its public address 192.0.2.1 is node a's: left out"
            ),
            (try lease("b", "127.0.0.1", "10.42.9.0/24"), "node b: 127.0.0.1 is no public address: left out"),
            (try lease("b", "fe80::1", "10.42.9.0/24"), "node b: fe80::1 is no public address: left out"),
            (
                try lease("b", "192.0.2.9", "10.42.9.0/24", mac: "02:00:00:00:00:01"),
                "node b: its VTEP MAC 02:00:00:00:00:01 is node a's: left out"
            ),
            (
                try lease("b", "192.0.2.9", "10.42.9.0/24", mac: "01:00:5e:00:00:01"),
                "node b: 01:00:5e:00:00:01 is no address of a device: left out"
            ),
        ]
        for (bad, problem) in cases {
            let good = try lease("a", "192.0.2.1", "10.42.1.0/24", mac: "02:00:00:00:00:01")
            let table = LeaseTable([good, bad, try lease("z", "192.0.2.26", "10.42.26.0/24")], ownName: "z")
            #expect(table.problems.map(\.message) == [problem])
            #expect(table.leases.count == 2)
            #expect(table.leases["a"] == good)
        }
    }

    @Test(arguments: [
        ("10.42.1.0/24", "pod network 10.42.1.0/24 overlaps with 10.42.1.0/24 of node a"),
        ("10.42.0.0/16", "pod network 10.42.0.0/16 overlaps with 10.42.1.0/24 of node a"),
        ("10.42.1.128/25", "pod network 10.42.1.128/25 overlaps with 10.42.1.0/24 of node a"),
        ("fd42::/48", "pod network fd42::/48 overlaps with fd42:0:0:1::/64 of node a"),
        ("10.42.9.0/31", "pod network 10.42.9.0/31: need /8 to /30"),
        ("127.1.0.0/16", "pod network 127.1.0.0/16 lies in 127.0.0.0/8, which is no network for pods"),
        ("169.254.0.0/24", "pod network 169.254.0.0/24 lies in 169.254.0.0/16, which is no network for pods"),
        ("224.0.0.0/24", "pod network 224.0.0.0/24 lies in 224.0.0.0/3, which is no network for pods"),
        ("fe80::/64", "pod network fe80::/64 lies in fe80::/10, which is no network for pods"),
    ])
    func aNetworkThatCannotBeUsedIsLeftOutAndTheRestOfItsLeaseUsed(_ network: String, _ problem: String) throws {
        let other = network.contains(":") ? "10.42.7.0/24" : "fd42:0:0:7::/64"
        let table = LeaseTable(
            [
                try lease("a", "192.0.2.1", "10.42.1.0/24", "fd42:0:0:1::/64"),
                try lease("b", "192.0.2.2", network, other),
            ], ownName: "a")
        #expect(table.problems.map(\.message) == ["node b: \(problem): left out"])
        #expect(table.leases["b"]?.podCIDRs.map(\.description) == [other])
    }

    @Test func thisNodesLeaseComesFirst() throws {
        let table = LeaseTable(
            [try lease("a", "192.0.2.1", "10.42.1.0/24"), try lease("b", "192.0.2.1", "10.42.1.0/24")], ownName: "b")
        #expect(Array(table.leases.keys) == ["b"])
        #expect(table.problems.map(\.message) == ["node a: its public address 192.0.2.1 is node b's: left out"])
    }

    @Test func aNetworkWithAPublicAddressInItWouldEncapsulateForEver() throws {
        let table = LeaseTable(
            [
                try lease("a", "192.0.2.1", "10.42.1.0/24"), try lease("b", "192.0.2.2", "192.0.2.0/24", "fd42::/64"),
            ], ownName: "a")
        #expect(table.leases["b"]?.podCIDRs.map(\.description) == ["fd42::/64"])
        #expect(
            table.problems.map(\.message) == [
                "node b: pod network 192.0.2.0/24 has the public address 192.0.2.1 of node a in it: left out"
            ])
        let own = LeaseTable(
            [try lease("a", "192.0.2.1", "10.42.1.0/24"), try lease("b", "10.42.1.9", "10.42.2.0/24")], ownName: "a")
        #expect(Array(own.leases.keys) == ["a"])
        #expect(own.cidrs.map(\.description) == ["10.42.1.0/24"])
    }

    @Test func onlyOneNetworkOfAFamilyIsUsed() throws {
        let table = LeaseTable([try lease("a", "192.0.2.1", "10.42.1.0/24", "10.43.1.0/24")], ownName: "a")
        #expect(table.cidrs.map(\.description) == ["10.42.1.0/24"])
        #expect(
            table.problems.map(\.message) == [
                "node a: a second IPv4 pod network 10.43.1.0/24 beside 10.42.1.0/24: left out"
            ])
    }
}
