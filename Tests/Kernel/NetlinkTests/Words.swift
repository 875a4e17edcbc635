// Shorthand of these tests.
import Netlink
import TestSupport
import Testing

func ip(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
func cidr(_ text: String) throws -> CIDR { try #require(CIDR(text)) }
func mac(_ text: String) throws -> MACAddress { try #require(MACAddress(text)) }

extension RouteSocket {
    /// The index of the interface named `name`.
    mutating func index(of name: String) throws -> Int32 { try #require(try link(.name(name))).index }
}

/// A namespace with a veth pair `under` and `other` that has the addresses 192.168.50.1/24 and fd50::1/64.
struct Underlay {
    let namespace: TestNamespace
    let index: Int32

    init() throws {
        namespace = try TestNamespace()
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([
            .createVeth(VethPair(name: "under", peerName: "other")),
            .changeLink(.name("other"), LinkChange(isUp: true)), .changeLink(.name("lo"), LinkChange(isUp: true)),
        ])
        index = try socket.index(of: "under")
        try socket.apply([
            .addAddress(Address(link: index, address: try ip("192.168.50.1"), prefixLength: 24)),
            .addAddress(Address(link: index, address: try ip("fd50::1"), prefixLength: 64, flags: .noDAD)),
        ])
    }
}
