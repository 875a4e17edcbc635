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
    /// What a person or program wrote on it (`ip link set … alias`), at most 255 bytes.
    public var alias: String?
    /// Index of the bridge or bond that it is a port of.
    public var master: Int32?
    /// Index of the other end of a veth pair, or of the device below a tunnel or VLAN, in the namespace of that device.
    public var peer: Int32?
    /// Whether ``peer`` lies in another namespace.
    public var peerIsElsewhere: Bool

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

/// A veth pair to be made, one end here, the other at once in another namespace under its final name: nothing is
/// renamed or moved afterwards (veth(4)).
public struct VethPair: Sendable {
    public var name: String
    public var mac: MACAddress?
    /// Whether the end here starts up; the peer cannot, as it comes first and has no other end yet (veth_open, ENOTCONN).
    public var isUp: Bool
    public var peerName: String
    public var peerMAC: MACAddress?
    /// Descriptor of the peer's network namespace; it stays the caller's. nil: this namespace.
    public var peerNamespace: Int32?
    /// Bytes, for both ends; nil: the kernel's 1500.
    public var mtu: UInt32?

    public init(
        name: String, mac: MACAddress? = nil, isUp: Bool = true, peerName: String, peerMAC: MACAddress? = nil,
        peerNamespace: Int32? = nil, mtu: UInt32? = nil
    ) {
        self.name = name
        self.mac = mac
        self.isUp = isUp
        self.peerName = peerName
        self.peerMAC = peerMAC
        self.peerNamespace = peerNamespace
        self.mtu = mtu
    }
}

/// What shall be different about an interface; nil leaves a property as it is.
public struct LinkChange: Hashable, Sendable {
    public var isUp: Bool?
    /// A rename needs an interface referred to by index.
    public var name: String?
    public var alias: String?
    public var mtu: UInt32?
    public var mac: MACAddress?
    /// 0 takes the interface out of its bridge or bond.
    public var master: Int32?
    /// This interface's own IPv4 settings, as below /proc/sys/net/ipv4/conf.
    public var ipv4: [IPv4Setting: UInt32]

    public init(
        isUp: Bool? = nil, name: String? = nil, alias: String? = nil, mtu: UInt32? = nil, mac: MACAddress? = nil,
        master: Int32? = nil, ipv4: [IPv4Setting: UInt32] = [:]
    ) {
        self.isUp = isUp
        self.name = name
        self.alias = alias
        self.mtu = mtu
        self.mac = mac
        self.master = master
        self.ipv4 = ipv4
    }
}

/// Per interface settings that travel in IFLA_AF_SPEC (linux/ip.h, IPV4_DEVCONF_*): no file below /proc/sys is opened.
public enum IPv4Setting: UInt16, Hashable, Sendable {
    case forwarding = 1
    case proxyARP = 3
    /// 0 off, 1 strict (RFC 3704): a packet is dropped unless its source is reached through the interface it came from.
    case reversePathFilter = 8
    /// 1: 127.0.0.0/8 may be routed over this interface.
    case routeLocalnet = 26
}

extension Link {
    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWLINK, let header = message.header(ifinfomsg.self) else { return nil }
        index = header.ifi_index
        flags = LinkFlags(rawValue: header.ifi_flags)
        name = ""
        mtu = 0
        peerIsElsewhere = false
        let ethernet = header.ifi_type == UInt16(ARPHRD_ETHER)
        for attribute in message.attributes(after: ifinfomsg.self) {
            switch Int(attribute.type) {
            case IFLA_IFNAME: name = attribute.string
            case IFLA_MTU: mtu = attribute.uint32 ?? 0
            case IFLA_ADDRESS where ethernet: mac = MACAddress(bytes: attribute.bytes)
            case IFLA_IFALIAS: alias = attribute.string
            case IFLA_MASTER: master = attribute.uint32.map(Int32.init(bitPattern:))
            case IFLA_LINK: peer = attribute.uint32.map(Int32.init(bitPattern:))
            case IFLA_LINK_NETNSID: peerIsElsewhere = true
            case IFLA_LINKINFO:
                for inner in attribute.nested where Int(inner.type) == IFLA_INFO_KIND { kind = inner.string }
            default: break
            }
        }
    }
}
