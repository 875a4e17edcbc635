import CNetlink
import Glibc

/// A network interface as the kernel lists it (rtnetlink(7), RTM_NEWLINK).
public struct Link: Hashable, Sendable {
    /// Unique in its namespace, 1 or greater; 1 is the loopback.
    public var index: Int32
    public var name: String
    /// The driver: `veth`, `bridge`, `vxlan`, `dummy` …; nil for hardware and the loopback.
    public var kind: String?
    /// Bytes of the largest packet.
    public var mtu: UInt32
    /// nil where the interface has no Ethernet address.
    public var mac: MACAddress?
    public var flags: LinkFlags
    public var operationalState: OperationalState
    /// What a person or program wrote on it (`ip link set … alias`), at most 255 bytes.
    public var alias: String?
    /// Index of the bridge or bond that it is a port of.
    public var master: Int32?
    /// Index of the other end of a veth pair, or of the device below a tunnel or VLAN, in the namespace of that device.
    public var peer: Int32?
    /// Whether ``peer`` lies in another namespace.
    public var peerIsElsewhere: Bool
    /// nil where it has no IPv6.
    public var addrGenMode: AddressGenerationMode?
    /// How it is set up, if it is a VXLAN device.
    public var vxlan: VXLANSettings?
    /// How it is set up, if it is a bridge.
    public var bridge: BridgeSettings?
    /// How its bridge treats it, if it is a bridge's port.
    public var bridgePort: BridgePortSettings?
    /// Only where it was asked for.
    public var statistics: LinkStatistics?

    /// Whether the administrator wants it up.
    public var isUp: Bool { flags.contains(.up) }
}

/// netdevice(7), SIOCGIFFLAGS.
public struct LinkFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let up = LinkFlags(rawValue: 1)
    public static let broadcast = LinkFlags(rawValue: 1 << 1)
    public static let loopback = LinkFlags(rawValue: 1 << 3)
    public static let pointToPoint = LinkFlags(rawValue: 1 << 4)
    /// The link works: carrier present, operational state up.
    public static let running = LinkFlags(rawValue: 1 << 6)
    public static let multicast = LinkFlags(rawValue: 1 << 12)
    public static let lowerUp = LinkFlags(rawValue: 1 << 16)
}

/// Whether packets can pass (RFC 2863, 3.1.14; linux/if.h, IF_OPER_*). Many drivers leave it unknown, tunnels always.
public enum OperationalState: UInt8, Hashable, Sendable {
    case unknown, notPresent, down, lowerLayerDown, testing, dormant, up
}

/// How a request names an interface.
public enum LinkReference: Hashable, Sendable, CustomStringConvertible {
    case index(Int32)
    case name(String)

    public var description: String {
        switch self {
        case .index(let index): "#\(index)"
        case .name(let name): name
        }
    }
}

extension Link {
    /// The kernel tells the counters of a single interface even to those who do not want them.
    init?(_ message: NetlinkMessage, withStatistics: Bool = false) {
        guard message.type == RTM_NEWLINK || message.type == RTM_DELLINK, let header = message.header(ifinfomsg.self),
            // A bridge tells of its ports under its own family, which is no more than a part of the interface.
            header.ifi_family == UInt8(AF_UNSPEC)
        else { return nil }
        index = header.ifi_index
        flags = LinkFlags(rawValue: header.ifi_flags)
        name = ""
        mtu = 0
        operationalState = .unknown
        peerIsElsewhere = false
        let ethernet = header.ifi_type == UInt16(ARPHRD_ETHER)
        for attribute in message.attributes(after: ifinfomsg.self) {
            switch Int(attribute.type) {
            case IFLA_IFNAME: name = attribute.string
            case IFLA_MTU: mtu = attribute.uint32 ?? 0
            case IFLA_ADDRESS where ethernet: mac = attribute.mac
            case IFLA_OPERSTATE: operationalState = attribute.uint8.flatMap(OperationalState.init) ?? .unknown
            case IFLA_IFALIAS: alias = attribute.string
            case IFLA_MASTER: master = attribute.number()
            case IFLA_LINK: peer = attribute.number()
            case IFLA_LINK_NETNSID: peerIsElsewhere = true
            case IFLA_LINKINFO: readInfo(attribute.nested)
            case IFLA_AF_SPEC: readFamilies(attribute.nested)
            case IFLA_STATS64 where withStatistics: statistics = LinkStatistics(attribute)
            default: break
            }
        }
    }

    /// IFLA_LINKINFO; the kernel puts a kind before its data.
    private mutating func readInfo(_ attributes: Attributes) {
        var masterKind: String?
        for attribute in attributes {
            switch Int(attribute.type) {
            case IFLA_INFO_KIND: kind = attribute.string
            case IFLA_INFO_DATA where kind == "vxlan": vxlan = VXLANSettings(attribute.nested)
            case IFLA_INFO_DATA where kind == "bridge": bridge = BridgeSettings(attribute.nested)
            case IFLA_INFO_SLAVE_KIND: masterKind = attribute.string
            case IFLA_INFO_SLAVE_DATA where masterKind == "bridge":
                bridgePort = BridgePortSettings(attribute.nested)
            default: break
            }
        }
    }

    private mutating func readFamilies(_ attributes: Attributes) {
        for family in attributes where Int(family.type) == Int(AF_INET6) {
            for attribute in family.nested where Int(attribute.type) == IFLA_INET6_ADDR_GEN_MODE {
                addrGenMode = attribute.uint8.flatMap(AddressGenerationMode.init)
            }
        }
    }
}
