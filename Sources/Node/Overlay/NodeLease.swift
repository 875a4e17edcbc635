// Overlay: pods of all nodes reach each other by their own addresses. Every node has a lease: its name, its public
// addresses, its pod networks. From the leases follows what this host needs (`Plan`), the kernel says what is there
// (`KernelState`), the difference between the two is a list of changes, and `Overlay` keeps making it until there is
// none. docs/overlay.md tells the way of a packet.
import Netlink

/// An address family: of a pod network, or of the network that carries it.
public enum IPFamily: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case v4 = 4
    case v6 = 6

    /// `IPv4`
    public var description: String { "IPv\(rawValue)" }

    /// The other one.
    var other: IPFamily { self == .v4 ? .v6 : .v4 }
}

extension IPAddress {
    var ipFamily: IPFamily {
        switch self {
        case .v4: .v4
        case .v6: .v6
        }
    }
}

/// What one node has, and all that the others need to know to reach its pods.
public struct NodeLease: Sendable, Hashable {
    /// Unique, as in Kubernetes.
    public var name: String
    /// Where other nodes send encapsulated packets to; at least one of the two.
    public var publicIPv4: IPv4Address?
    public var publicIPv6: IPv6Address?
    /// The networks of its pods: at most one per family.
    public var podCIDRs: [CIDR]
    /// The Ethernet address of its VXLAN device over IPv4; nil: ``derivedMAC(of:_:)``.
    public var vtepMAC: MACAddress?
    /// The same over IPv6.
    public var vtepMACv6: MACAddress?

    public init(
        name: String, publicIPv4: IPv4Address? = nil, publicIPv6: IPv6Address? = nil, podCIDRs: [CIDR],
        vtepMAC: MACAddress? = nil, vtepMACv6: MACAddress? = nil
    ) {
        self.name = name
        self.publicIPv4 = publicIPv4
        self.publicIPv6 = publicIPv6
        self.podCIDRs = podCIDRs
        self.vtepMAC = vtepMAC
        self.vtepMACv6 = vtepMACv6
    }

    /// The address of `family` that encapsulated packets go to.
    public func publicAddress(_ family: IPFamily) -> IPAddress? {
        switch family {
        case .v4: publicIPv4.map(IPAddress.v4)
        case .v6: publicIPv6.map(IPAddress.v6)
        }
    }

    /// The network of its pods in `family`.
    public func podCIDR(_ family: IPFamily) -> CIDR? { podCIDRs.first { $0.address.ipFamily == family } }

    /// The Ethernet address of its VXLAN device over `underlay`.
    public func mac(over underlay: IPFamily) -> MACAddress {
        (underlay == .v4 ? vtepMAC : vtepMACv6) ?? Self.derivedMAC(of: name, underlay)
    }

    /// The Ethernet address that every node computes for the node `name`: 46 bits of a hash, locally administered, not a
    /// group's. The same in every process and version, for others have programmed it.
    public static func derivedMAC(of name: String, _ underlay: IPFamily) -> MACAddress {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ UInt64(underlay.rawValue)) &* 0x100_0000_01b3
        // The last bytes of a name change the low bits most: fold the high ones in (murmur3's finalizer).
        hash = (hash ^ hash >> 33) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ hash >> 33) &* 0xc4ce_b9fe_1a85_ec53
        hash ^= hash >> 33
        return MACAddress(hash & 0xfcff_ffff_ffff | 0x0200_0000_0000)
    }
}
