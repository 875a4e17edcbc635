import NFTables
import Netlink

/// How the pods of one host are connected.
public struct PodNetworkConfiguration: Sendable, Hashable {
    /// Where pods get their addresses from, one of each: an IPv4 network of /8 to /30, an IPv6 network of /16 to /126, or
    /// both, in the order in which pods are to list theirs. A network's first address and the last of an IPv4 network are
    /// never given out, the second is the node's own.
    public var podCIDRs: [CIDR]
    /// Bytes of the largest packet of a pod's interface: 576 to 65535, with IPv6 at least 1280.
    public var mtu: UInt32
    /// What the names of the host's ends begin with: one to four letters or digits. A hash of the pod's uid follows. Two
    /// pod networks in one network namespace need prefixes of which neither begins with the other.
    public var hostInterfacePrefix: String
    public var mode: PodNetworkMode
    /// Networks besides ``podCIDRs`` that see a pod's own address: traffic to them is not masqueraded.
    public var unmasqueraded: [CIDR]
    /// Whether what pods send to the outside carries the host's address.
    public var masquerades: Bool
    /// Names the tables `swiftlet-<owner>` and is part of each interface's alias, so that several pod networks can live in
    /// one network namespace: 1 to 32 of a-z, 0-9 and `-`. `pods` is the agent's own.
    public var owner: String

    public init(
        podCIDRs: [CIDR], mtu: UInt32 = 1500, hostInterfacePrefix: String = "sl",
        mode: PodNetworkMode = .pointToPoint, unmasqueraded: [CIDR] = [], masquerades: Bool = true,
        owner: String = Self.defaultOwner
    ) {
        self.podCIDRs = podCIDRs
        self.mtu = mtu
        self.hostInterfacePrefix = hostInterfacePrefix
        self.mode = mode
        self.unmasqueraded = unmasqueraded
        self.masquerades = masquerades
        self.owner = owner
    }

    /// Of one family.
    public init(
        podCIDR: CIDR, mtu: UInt32 = 1500, hostInterfacePrefix: String = "sl", unmasqueraded: [CIDR] = []
    ) {
        self.init(
            podCIDRs: [podCIDR], mtu: mtu, hostInterfacePrefix: hostInterfacePrefix, unmasqueraded: unmasqueraded)
    }

    /// What point-to-point pods have as their IPv4 gateway (RFC 3927, 2.1 keeps this block out of use).
    public static let gateway = IPAddress.v4(IPv4Address(0xa9fe_0101))
    /// What point-to-point pods have as their IPv6 gateway: the address of every host end, fe80::1.
    public static let gatewayIPv6 = IPAddress.v6(IPv6Address(high: 0xfe80 << 48, low: 1))
    /// The address of every host end and of the bridge. One for all, so that a pod's neighbour entry holds whatever
    /// happens to the host's interface; each has a link of its own, where it is unique.
    public static let gatewayMAC = MACAddress(0x0253_4c00_0001)
    /// Routes of this module carry this protocol number (unassigned in `/etc/iproute2/rt_protos`).
    public static let routeProtocol = RouteProtocol(rawValue: 94)
    /// The agent's own pod network.
    public static let defaultOwner = "pods"
    /// The IPv4 table of the agent's own pod network.
    public static let table = TableName(.ipv4, "swiftlet-\(defaultOwner)")

    /// The tables that this configuration has, of those that a pod network may have: `ip`, `ip6` and `bridge`.
    public var tables: [TableName] {
        var families = podCIDRs.map { $0.isIPv4 ? Family.ipv4 : .ipv6 }
        if case .bridge = mode { families.append(.bridge) }
        return families.map { TableName($0, "swiftlet-\(owner)") }
    }

    /// What follows `swiftlet-` in the names of tables of other modules.
    static let otherTables = ["proxy", "overlay", "policy"]

    var blocks: [AddressBlock] { podCIDRs.map(AddressBlock.init) }

    /// The CIDR of the address's family.
    func block(of address: IPAddress) -> AddressBlock? { blocks.first { $0.cidr.isIPv4 == address.isIPv4 } }

    /// The node's own address of the family; nil where pods have none of it.
    func nodeAddress(isIPv4: Bool) -> IPAddress? { blocks.first { $0.cidr.isIPv4 == isIPv4 }?.node }

    /// Where pods send what is for others than themselves.
    func gateway(for address: IPAddress) -> IPAddress {
        switch mode {
        case .pointToPoint: address.isIPv4 ? Self.gateway : Self.gatewayIPv6
        case .bridge: nodeAddress(isIPv4: address.isIPv4) ?? address
        }
    }

    /// The host end's name: the prefix and 64 bits of a hash of the uid in base 32.
    func interfaceName(of uid: String) -> String {
        // FNV-1a: the same in every process and version, as the name must be. The agent's own names stay as they were
        // when it was the only owner.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ text: String) {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        if owner != Self.defaultOwner { add("\(owner)/") }
        add(uid)
        let digits = Array("0123456789abcdefghijklmnopqrstuv")
        var name = hostInterfacePrefix
        for shift in stride(from: 0, to: min(64, (15 - hostInterfacePrefix.utf8.count) * 5), by: 5) {
            name.append(digits[Int(hash >> UInt64(shift) & 31)])
        }
        return name
    }

    /// Whether a pod attached under an earlier configuration fits this one. A pod may lack an address of a family that
    /// came later.
    func allows(_ lease: Lease) -> Bool {
        lease.addresses.allSatisfy { block(of: $0)?.isForPods($0) ?? false }
            && lease.interface == interfaceName(of: lease.uid)
    }

    /// The pod end's Ethernet address unless one was asked for: 0a:58 and four bytes, as other runtimes have it; those
    /// of the IPv4 address, or a hash of the IPv6 one.
    static func podMAC(_ address: IPAddress) -> MACAddress {
        switch address {
        case .v4(let address): return MACAddress(derivedMACs | UInt64(address.value))
        case .v6(let address):
            var hash: UInt32 = 0x811c_9dc5
            for byte in address.bytes { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
            return MACAddress(derivedMACs | UInt64(hash))
        }
    }

    static let derivedMACs: UInt64 = 0x0a58_0000_0000
}

/// How pods of one host are joined.
public enum PodNetworkMode: Sendable, Hashable, CustomStringConvertible {
    /// A link of its own for each pod: every packet, between two pods of one host too, is forwarded by the host, where
    /// policy and the service proxy see it.
    case pointToPoint
    /// Pods are ports of the bridge of this name (1 to 15 characters), which is made, and has the gateway's address.
    /// What two pods of one host say to each other over IPv4 does not pass the host's forward hook.
    case bridge(String)

    /// The bridge's name.
    public var bridge: String? {
        if case .bridge(let name) = self { name } else { nil }
    }

    /// `point-to-point`, `bridge slbr0`
    public var description: String { bridge.map { "bridge \($0)" } ?? "point-to-point" }
}

extension PodNetworkConfiguration {
    func validate() throws(PodNetworkError) {
        try Self.validate(podCIDRs: podCIDRs, mtu: mtu)
        guard (1...4).contains(hostInterfacePrefix.utf8.count), hostInterfacePrefix.utf8.allSatisfy(\.isAlphanumeric)
        else {
            throw .invalidConfiguration("interface prefix '\(hostInterfacePrefix)': need one to four letters or digits")
        }
        let isOwnerPlain = owner.utf8.allSatisfy { $0 == UInt8(ascii: "-") || ($0.isAlphanumeric && !$0.isUppercase) }
        guard (1...32).contains(owner.utf8.count), isOwnerPlain else {
            throw .invalidConfiguration("owner '\(owner)': need 1 to 32 of a-z, 0-9 and -")
        }
        guard owner != "pod", !Self.otherTables.contains(owner) else {
            throw .invalidConfiguration("owner '\(owner)': Swiftlet uses this name for something else")
        }
        if let bridge = mode.bridge {
            let isPlain = bridge.utf8.allSatisfy { $0.isAlphanumeric || "-_.".utf8.contains($0) }
            guard (1...15).contains(bridge.utf8.count), isPlain, bridge != ".", bridge != "..", bridge != "lo",
                !bridge.hasPrefix(hostInterfacePrefix)
            else {
                throw .invalidConfiguration(
                    "bridge '\(bridge)': need an interface name of its own that does not begin with "
                        + "'\(hostInterfacePrefix)'")
            }
        }
    }

    static func validate(podCIDRs: [CIDR], mtu: UInt32) throws(PodNetworkError) {
        guard (1...2).contains(podCIDRs.count), Set(podCIDRs.map(\.isIPv4)).count == podCIDRs.count else {
            let list = podCIDRs.map(\.description).joined(separator: ", ")
            throw .invalidConfiguration("pod CIDRs '\(list)': need one network, or one of each family")
        }
        for cidr in podCIDRs {
            let range = cidr.isIPv4 ? 8...30 : 16...126
            guard range.contains(cidr.prefixLength) else {
                let family = cidr.isIPv4 ? "IPv4" : "IPv6"
                throw .invalidConfiguration(
                    "pod CIDR \(cidr): need an \(family) network of /\(range.lowerBound) to /\(range.upperBound)")
            }
        }
        // RFC 8200, 5: IPv6 needs links that carry 1280 bytes; the kernel takes it away from smaller ones.
        let least: UInt32 = podCIDRs.allSatisfy(\.isIPv4) ? 576 : 1280
        guard (least...65535).contains(mtu) else {
            throw .invalidConfiguration("MTU \(mtu): need \(least) to 65535")
        }
    }
}

extension UInt8 {
    fileprivate var isUppercase: Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) }
    fileprivate var isAlphanumeric: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || isUppercase
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self)
    }
}
