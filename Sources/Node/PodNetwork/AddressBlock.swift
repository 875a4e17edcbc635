import Netlink

/// A pod CIDR as a row of addresses: the first is the network's (an overlay's device has it), the second the node's own,
/// and the last of an IPv4 network its broadcast address. All others are for pods.
struct AddressBlock: Sendable, Hashable {
    let cidr: CIDR

    init(_ cidr: CIDR) { self.cidr = cidr }

    /// How many addresses are looked at when one is chosen. More than any node has pods for; the rest of a large IPv6
    /// network can be asked for by name.
    var count: UInt32 { cidr.hostBits >= 24 ? 1 << 24 : 1 << UInt32(cidr.hostBits) }

    /// The node's own address.
    var node: IPAddress { self[1] }

    /// The address number `offset`, from 0.
    subscript(offset: UInt32) -> IPAddress {
        switch cidr.address {
        case .v4(let first): .v4(IPv4Address(first.value + offset))
        case .v6(let first): .v6(IPv6Address(high: first.high, low: first.low + UInt64(offset)))
        }
    }

    /// Where an address stands; nil outside of the network, and beyond what is looked at.
    func offset(of address: IPAddress) -> UInt32? {
        guard cidr.contains(address) else { return nil }
        let distance: UInt64
        switch (cidr.address, address) {
        case (.v4(let first), .v4(let address)): distance = UInt64(address.value - first.value)
        case (.v6(let first), .v6(let address)):
            guard address.high == first.high else { return nil }
            distance = address.low - first.low
        default: return nil
        }
        return distance < UInt64(count) ? UInt32(distance) : nil
    }

    /// Whether pods may have it.
    func isForPods(_ address: IPAddress) -> Bool {
        guard cidr.contains(address), address != cidr.address, address != node else { return false }
        guard case .v4(let address) = address, case .v4(let first) = cidr.address else { return true }
        return address.value != first.value + (1 << UInt32(cidr.hostBits)) - 1
    }
}

extension IPAddress {
    var isIPv4: Bool { bitWidth == 32 }
}

extension CIDR {
    var isIPv4: Bool { address.isIPv4 }

    /// `networks` without those that lie in others, in order: what an interval set can hold.
    static func disjoint(_ networks: [CIDR]) -> [CIDR] {
        var kept: [CIDR] = []
        for network in networks.sorted(by: { $0.prefixLength < $1.prefixLength })
        where !kept.contains(where: { $0.contains(network.address) }) {
            kept.append(network)
        }
        return kept.sorted { $0.address.bytes.lexicographicallyPrecedes($1.address.bytes) }
    }
}
