import CNetlink
import Glibc

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
    /// Bytes of the largest packet that may take the route; nil: the link's.
    public var mtu: UInt32?
    /// What is put around the packets, where ``link`` is an external tunnel device.
    public var encapsulation: RouteEncapsulation?

    public init(
        to destination: CIDR, kind: RouteKind = .unicast, gateway: IPAddress? = nil, isOnLink: Bool = false,
        link: Int32? = nil, source: IPAddress? = nil, table: UInt32 = 254, origin: RouteProtocol = .boot,
        scope: RouteScope = .universe, metric: UInt32? = nil, mtu: UInt32? = nil,
        encapsulation: RouteEncapsulation? = nil
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
        self.mtu = mtu
        self.encapsulation = encapsulation
    }

    public var description: String {
        (kind == .unicast ? "" : "\(kind) ") + "\(destination)" + (encapsulation.map { " \($0)" } ?? "")
            + (gateway.map { " via \($0)" } ?? "") + (link.map { " dev #\($0)" } ?? "")
    }
}

extension Route {
    var header: rtmsg {
        var header = rtmsg()
        header.rtm_family = destination.address.family
        header.rtm_dst_len = UInt8(destination.prefixLength)
        header.rtm_table = table < 256 ? UInt8(table) : UInt8(RT_TABLE_UNSPEC.rawValue)
        header.rtm_protocol = origin.rawValue
        header.rtm_scope = scope.rawValue
        header.rtm_type = kind.rawValue
        header.rtm_flags = isOnLink ? UInt32(RTNH_F_ONLINK) : 0
        return header
    }

    func put(in message: inout MessageWriter) {
        putIdentity(in: &message)
        if let mtu { message.nest(Int(RTA_METRICS.rawValue)) { $0.put(Int(RTAX_MTU), mtu) } }
        encapsulation?.put(in: &message)
    }

    /// What the kernel finds a route by that shall go. It would look for the rest as well, were it there, and find
    /// nothing where somebody changed a detail.
    func putIdentity(in message: inout MessageWriter) {
        if destination.prefixLength > 0 { message.put(Int(RTA_DST.rawValue), destination.address) }
        if let gateway { message.put(Int(RTA_GATEWAY.rawValue), gateway) }
        if let link { message.put(Int(RTA_OIF.rawValue), link) }
        if let source { message.put(Int(RTA_PREFSRC.rawValue), source) }
        if let metric { message.put(Int(RTA_PRIORITY.rawValue), metric) }
        if table >= 256 { message.put(Int(RTA_TABLE.rawValue), table) }
    }

    /// nil for what is no route of a table: routes of other families, and what was cached for one destination.
    init?(_ message: NetlinkMessage) {
        guard let header = message.header(rtmsg.self), header.rtm_flags & UInt32(RTM_F_CLONED) == 0 else { return nil }
        self.init(anyOf: message)
    }

    /// As ``init(_:)``, cached ones too: such is the answer to what route a packet takes.
    init?(anyOf message: NetlinkMessage) {
        guard message.type == RTM_NEWROUTE || message.type == RTM_DELROUTE, let header = message.header(rtmsg.self),
            header.rtm_family == UInt8(AF_INET) || header.rtm_family == UInt8(AF_INET6)
        else { return nil }
        let any = header.rtm_family == UInt8(AF_INET) ? IPAddress.v4(.init(0)) : .v6(.init(high: 0, low: 0))
        var destination = any
        var route = Route(to: CIDR(any), table: UInt32(header.rtm_table))
        var encapsulation: (type: UInt16?, attributes: Attributes?)
        for attribute in message.attributes(after: rtmsg.self) {
            switch UInt32(attribute.type) {
            case RTA_DST.rawValue: destination = attribute.ipAddress ?? any
            case RTA_GATEWAY.rawValue: route.gateway = attribute.ipAddress
            case RTA_OIF.rawValue: route.link = attribute.number()
            case RTA_PREFSRC.rawValue: route.source = attribute.ipAddress
            case RTA_TABLE.rawValue: route.table = attribute.uint32 ?? route.table
            case RTA_PRIORITY.rawValue: route.metric = attribute.uint32
            case RTA_METRICS.rawValue:
                for metric in attribute.nested where Int(metric.type) == Int(RTAX_MTU) { route.mtu = metric.uint32 }
            case RTA_ENCAP_TYPE.rawValue: encapsulation.type = attribute.number()
            case RTA_ENCAP.rawValue: encapsulation.attributes = attribute.nested
            default: break
            }
        }
        guard let network = CIDR(containing: destination, prefixLength: Int(header.rtm_dst_len)) else { return nil }
        route.destination = network
        route.kind = RouteKind(rawValue: header.rtm_type) ?? .unspecified
        route.isOnLink = header.rtm_flags & UInt32(RTNH_F_ONLINK) != 0
        route.origin = RouteProtocol(rawValue: header.rtm_protocol)
        route.scope = RouteScope(rawValue: header.rtm_scope)
        if let type = encapsulation.type, let attributes = encapsulation.attributes {
            route.encapsulation = RouteEncapsulation(type: type, attributes)
        }
        self = route
    }
}
