import CNetlink
import Glibc

/// An address of an interface (rtnetlink(7), RTM_NEWADDR).
public struct Address: Hashable, Sendable, CustomStringConvertible {
    public var link: Int32
    public var address: IPAddress
    /// 0 to 32, or 0 to 128.
    public var prefixLength: Int
    public var scope: RouteScope

    public init(link: Int32, address: IPAddress, prefixLength: Int, scope: RouteScope = .universe) {
        self.link = link
        self.address = address
        self.prefixLength = prefixLength
        self.scope = scope
    }

    public var description: String { "\(address)/\(prefixLength) dev #\(link)" }
}

/// How far a destination or address reaches (`/etc/iproute2/rt_scopes`).
public struct RouteScope: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let universe = RouteScope(rawValue: 0)
    public static let link = RouteScope(rawValue: 253)
    public static let host = RouteScope(rawValue: 254)
    public static let nowhere = RouteScope(rawValue: 255)
}

/// Who made a route (`/etc/iproute2/rt_protos`); programs choose a number of their own to know their routes again.
public struct RouteProtocol: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let kernel = RouteProtocol(rawValue: 2)
    public static let boot = RouteProtocol(rawValue: 3)
    public static let `static` = RouteProtocol(rawValue: 4)
}

/// What happens to a packet that takes the route (linux/rtnetlink.h, RTN_*).
public enum RouteKind: UInt8, Hashable, Sendable {
    case unspecified, unicast, local, broadcast, anycast, multicast, blackhole, unreachable, prohibit, `throw`, nat
    case xresolve
}

/// A route (rtnetlink(7), RTM_NEWROUTE) with at most one next hop.
public struct Route: Hashable, Sendable, CustomStringConvertible {
    public var destination: CIDR
    public var kind: RouteKind
    public var gateway: IPAddress?
    /// The gateway is taken to be a neighbour on ``link`` whatever the addresses say.
    public var isOnLink: Bool
    public var link: Int32?
    /// Source address of packets of this host that have none yet.
    public var source: IPAddress?
    /// 254 is the main table.
    public var table: UInt32
    public var origin: RouteProtocol
    public var scope: RouteScope
    /// Lower wins; nil: 0 for IPv4, 1024 for IPv6.
    public var metric: UInt32?

    public init(
        to destination: CIDR, kind: RouteKind = .unicast, gateway: IPAddress? = nil, isOnLink: Bool = false,
        link: Int32? = nil, source: IPAddress? = nil, table: UInt32 = 254, origin: RouteProtocol = .boot,
        scope: RouteScope = .universe, metric: UInt32? = nil
    ) {
        self.destination = destination
        self.kind = kind
        self.gateway = gateway
        self.isOnLink = isOnLink
        self.link = link
        self.source = source
        self.table = table
        self.origin = origin
        self.scope = scope
        self.metric = metric
    }

    public var description: String {
        (kind == .unicast ? "" : "\(kind) ") + "\(destination)" + (gateway.map { " via \($0)" } ?? "")
            + (link.map { " dev #\($0)" } ?? "")
    }
}

/// Who answers at an address on a link (rtnetlink(7), RTM_NEWNEIGH): an entry of the ARP or neighbour discovery table.
public struct Neighbour: Hashable, Sendable, CustomStringConvertible {
    public var link: Int32
    public var address: IPAddress
    /// nil: not known (yet).
    public var mac: MACAddress?
    public var state: NeighbourState

    public init(link: Int32, address: IPAddress, mac: MACAddress?, state: NeighbourState = .permanent) {
        self.link = link
        self.address = address
        self.mac = mac
        self.state = state
    }

    public var description: String { "\(address) dev #\(link)" }
}

/// linux/neighbour.h, NUD_*.
public struct NeighbourState: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let incomplete = NeighbourState(rawValue: 0x01)
    public static let reachable = NeighbourState(rawValue: 0x02)
    public static let stale = NeighbourState(rawValue: 0x04)
    public static let delay = NeighbourState(rawValue: 0x08)
    public static let probe = NeighbourState(rawValue: 0x10)
    public static let failed = NeighbourState(rawValue: 0x20)
    public static let noARP = NeighbourState(rawValue: 0x40)
    public static let permanent = NeighbourState(rawValue: 0x80)
}

extension IPAddress {
    var family: UInt8 {
        switch self {
        case .v4: UInt8(AF_INET)
        case .v6: UInt8(AF_INET6)
        }
    }
}

extension Address {
    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWADDR, let header = message.header(ifaddrmsg.self) else { return nil }
        var found: IPAddress?
        var local: IPAddress?
        for attribute in message.attributes(after: ifaddrmsg.self) {
            switch Int(attribute.type) {
            case IFA_ADDRESS: found = IPAddress(bytes: attribute.bytes)
            case IFA_LOCAL: local = IPAddress(bytes: attribute.bytes)
            default: break
            }
        }
        // IFA_ADDRESS is the other end's address on a point-to-point link; IFA_LOCAL, where present, is ours.
        guard let address = local ?? found else { return nil }
        self.init(
            link: Int32(bitPattern: header.ifa_index), address: address, prefixLength: Int(header.ifa_prefixlen),
            scope: RouteScope(rawValue: header.ifa_scope))
    }
}

extension Route {
    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWROUTE, let header = message.header(rtmsg.self),
            header.rtm_family == UInt8(AF_INET) || header.rtm_family == UInt8(AF_INET6),
            header.rtm_flags & UInt32(RTM_F_CLONED) == 0
        else { return nil }
        let any = header.rtm_family == UInt8(AF_INET) ? IPAddress.v4(.init(0)) : .v6(.init(high: 0, low: 0))
        var destination = any
        var table = UInt32(header.rtm_table)
        var route = Route(to: CIDR(any))
        for attribute in message.attributes(after: rtmsg.self) {
            switch UInt32(attribute.type) {
            case RTA_DST.rawValue: destination = IPAddress(bytes: attribute.bytes) ?? any
            case RTA_GATEWAY.rawValue: route.gateway = IPAddress(bytes: attribute.bytes)
            case RTA_OIF.rawValue: route.link = attribute.uint32.map(Int32.init(bitPattern:))
            case RTA_PREFSRC.rawValue: route.source = IPAddress(bytes: attribute.bytes)
            case RTA_TABLE.rawValue: table = attribute.uint32 ?? table
            case RTA_PRIORITY.rawValue: route.metric = attribute.uint32
            default: break
            }
        }
        guard let network = CIDR(containing: destination, prefixLength: Int(header.rtm_dst_len)) else { return nil }
        route.destination = network
        route.table = table
        route.kind = RouteKind(rawValue: header.rtm_type) ?? .unspecified
        route.isOnLink = header.rtm_flags & UInt32(RTNH_F_ONLINK) != 0
        route.origin = RouteProtocol(rawValue: header.rtm_protocol)
        route.scope = RouteScope(rawValue: header.rtm_scope)
        self = route
    }
}

extension Neighbour {
    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWNEIGH, let header = message.header(ndmsg.self),
            header.ndm_family == UInt8(AF_INET) || header.ndm_family == UInt8(AF_INET6)
        else { return nil }
        var address: IPAddress?
        var mac: MACAddress?
        for attribute in message.attributes(after: ndmsg.self) {
            switch Int(attribute.type) {
            case NDA_DST: address = IPAddress(bytes: attribute.bytes)
            case NDA_LLADDR: mac = MACAddress(bytes: attribute.bytes)
            default: break
            }
        }
        guard let address else { return nil }
        self.init(
            link: header.ndm_ifindex, address: address, mac: mac, state: NeighbourState(rawValue: header.ndm_state))
    }
}
