import CLinux
import CNetlink
import Glibc
import Linux

/// What a namespace's interfaces, addresses, routes and neighbours do, told by the kernel as it happens.
///
/// Events are hints: those that do not fit into the receive buffer are lost, of which ``RouteEvent/overrun`` tells, so
/// a reader that must be right compares with a ``RouteSocket``'s lists. Changes of one's own are told like those of
/// others. One user at a time, which `mutating` makes the compiler see to.
public struct RouteEvents: ~Copyable, Sendable {
    /// The socket, which does not block: readable when there are events.
    public let descriptor: OwnedDescriptor

    /// At most so many datagrams, mostly of one event each, in one answer.
    private static let datagramsAtOnce = 256

    /// Subscribes to `groups` in the network namespace that the descriptor `networkNamespace` refers to.
    /// - Parameter receiveBuffer: bytes that wait at most, as the kernel counts them (about 1 KiB an event); more than
    ///   net.core.rmem_max only with CAP_NET_ADMIN.
    public init(
        in networkNamespace: borrowing OwnedDescriptor, groups: RouteEventGroups, receiveBuffer: Int32 = 8 << 20
    ) throws(SystemError) {
        let number = cl_socket_in_netns(
            networkNamespace.number, AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue), NETLINK_ROUTE)
        let descriptor = OwnedDescriptor(owning: try check(number, "socket", "NETLINK_ROUTE in namespace"))
        // The kernel doubles what it is told (socket(7)).
        var size = receiveBuffer / 2
        if setsockopt(descriptor.number, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size)) < 0 {
            let result = setsockopt(
                descriptor.number, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
            try check(result, "setsockopt", "SO_RCVBUF")
        }
        // A socket without a number of its own counts as the kernel's, which is not told what the kernel does.
        var own = sockaddr_nl()
        own.nl_family = sa_family_t(AF_NETLINK)
        let result = withUnsafePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor.number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        try check(result, "bind", "NETLINK_ROUTE")
        for var group in groups.numbers {
            let result = setsockopt(
                descriptor.number, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, socklen_t(MemoryLayout<Int32>.size))
            try check(result, "setsockopt", "NETLINK_ADD_MEMBERSHIP \(group)")
        }
        self.descriptor = descriptor
    }

    /// What happened since it was asked last, oldest first; nil where that is nothing. There may be more: ask until nil.
    public mutating func next() throws(NetlinkError) -> [RouteEvent]? {
        var events: [RouteEvent] = []
        let buffer = ReceiveBuffer()
        for count in 0..<Self.datagramsAtOnce {
            let size = buffer.receive(from: descriptor)
            if size >= 0 {
                try buffer.forEachMessage(size) { message throws(NetlinkError) in
                    if let event = RouteEvent(message) { events.append(event) }
                }
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return count == 0 ? nil : events
            // Told once; what came before it was too much is still there to be read.
            case ENOBUFS: events.append(.overrun)
            default: throw NetlinkError(operation: "receive", subject: "NETLINK_ROUTE events", errno: errno)
            }
        }
        return events
    }
}

/// What to be told about.
public struct RouteEventGroups: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let link = RouteEventGroups(rawValue: 1)
    public static let ipv4Address = RouteEventGroups(rawValue: 1 << 1)
    public static let ipv6Address = RouteEventGroups(rawValue: 1 << 2)
    public static let ipv4Route = RouteEventGroups(rawValue: 1 << 3)
    public static let ipv6Route = RouteEventGroups(rawValue: 1 << 4)
    /// Neighbours of both families, and forwarding entries.
    public static let neighbour = RouteEventGroups(rawValue: 1 << 5)
    public static let all: RouteEventGroups = [
        .link, .ipv4Address, .ipv6Address, .ipv4Route, .ipv6Route, .neighbour,
    ]

    /// RTNLGRP_* (linux/rtnetlink.h)
    fileprivate var numbers: [Int32] {
        let groups: [(RouteEventGroups, rtnetlink_groups)] = [
            (.link, RTNLGRP_LINK), (.ipv4Address, RTNLGRP_IPV4_IFADDR), (.ipv6Address, RTNLGRP_IPV6_IFADDR),
            (.ipv4Route, RTNLGRP_IPV4_ROUTE), (.ipv6Route, RTNLGRP_IPV6_ROUTE), (.neighbour, RTNLGRP_NEIGH),
        ]
        return groups.filter { contains($0.0) }.map { Int32($0.1.rawValue) }
    }
}

/// One thing that happened: something is there, new or changed, or something that was there is gone.
public enum RouteEvent: Hashable, Sendable {
    case link(Link)
    case linkGone(Link)
    case address(Address)
    case addressGone(Address)
    case route(Route)
    case routeGone(Route)
    case neighbour(Neighbour)
    case neighbourGone(Neighbour)
    case forwardingEntry(ForwardingEntry)
    case forwardingEntryGone(ForwardingEntry)
    /// Some events were lost: everything is to be read anew.
    case overrun
}

extension RouteEvent {
    init?(_ message: NetlinkMessage) {
        let event: RouteEvent? =
            switch message.type {
            case RTM_NEWLINK: Link(message).map { .link($0) }
            case RTM_DELLINK: Link(message).map { .linkGone($0) }
            case RTM_NEWADDR: Address(message).map { .address($0) }
            case RTM_DELADDR: Address(message).map { .addressGone($0) }
            case RTM_NEWROUTE: Route(message).map { .route($0) }
            case RTM_DELROUTE: Route(message).map { .routeGone($0) }
            case RTM_NEWNEIGH:
                ForwardingEntry(message).map { .forwardingEntry($0) } ?? Neighbour(message).map { .neighbour($0) }
            case RTM_DELNEIGH:
                ForwardingEntry(message).map { .forwardingEntryGone($0) }
                    ?? Neighbour(message).map { .neighbourGone($0) }
            default: nil
            }
        guard let event else { return nil }
        self = event
    }
}
