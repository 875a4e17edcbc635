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
}
