import CNetlink
import Glibc

extension RouteSocket {
    /// Every interface of the namespace.
    public mutating func links(withStatistics: Bool = false) throws(NetlinkError) -> [Link] {
        try dump("list links", RTM_GETLINK, ifinfomsg(), { if !withStatistics { $0.putStatisticsUnwanted() } }) {
            Link($0, withStatistics: withStatistics)
        }
    }

    /// The interface, or nil if there is none of that name or index.
    public mutating func link(
        _ reference: LinkReference, withStatistics: Bool = false
    ) throws(NetlinkError) -> Link? {
        try ask(
            "get link", "\(reference)", type: RTM_GETLINK, header: linkHeader(reference), absent: [ENODEV],
            {
                $0.put(nameOf: reference)
                if !withStatistics { $0.putStatisticsUnwanted() }
            }, { Link($0, withStatistics: withStatistics) })
    }

    /// Every address of every interface, or those of one.
    public mutating func addresses(of link: Int32? = nil) throws(NetlinkError) -> [Address] {
        var header = ifaddrmsg()
        header.ifa_index = UInt32(bitPattern: link ?? 0)
        return try dump("list addresses", RTM_GETADDR, header) { Address($0) }
    }

    /// The routes of every table; with `origin` only those that it made, with `link` only those over it.
    public mutating func routes(origin: RouteProtocol? = nil, of link: Int32? = nil) throws(NetlinkError) -> [Route] {
        var header = rtmsg()
        header.rtm_protocol = origin?.rawValue ?? 0
        return try dump("list routes", RTM_GETROUTE, header, { if let link { $0.put(Int(RTA_OIF.rawValue), link) } }) {
            // Families whose dump knows no filter tell everything.
            guard let route = Route($0), origin == nil || route.origin == origin, link == nil || route.link == link
            else { return nil }
            return route
        }
    }

    /// The route that a packet to `destination` takes, as `ip route get` says: its destination is that one address.
    /// - Parameters:
    ///   - source: the packet's source address.
    ///   - mark: the packet's mark.
    ///   - link: index of the interface that the packet comes in through; nil: this host sends it. Needs `source`.
    /// - Returns: nil where no route leads there.
    public mutating func route(
        to destination: IPAddress, from source: IPAddress? = nil, mark: UInt32? = nil, arrivingOn link: Int32? = nil
    ) throws(NetlinkError) -> Route? {
        var header = rtmsg()
        header.rtm_family = destination.family
        header.rtm_dst_len = UInt8(destination.bitWidth)
        header.rtm_src_len = UInt8(source?.bitWidth ?? 0)
        // Otherwise the answer has table 255 for everything; IPv6 knows no such flag and tells the table anyway.
        if case .v4 = destination { header.rtm_flags = UInt32(RTM_F_LOOKUP_TABLE) }
        return try ask(
            "find route", "\(destination)", type: RTM_GETROUTE, header: header, absent: [ENETUNREACH, EHOSTUNREACH],
            {
                $0.put(Int(RTA_DST.rawValue), destination)
                if let source { $0.put(Int(RTA_SRC.rawValue), source) }
                if let mark { $0.put(Int(RTA_MARK.rawValue), mark) }
                if let link { $0.put(Int(RTA_IIF.rawValue), link) }
            }, { Route(anyOf: $0) })
    }

    /// The neighbour tables of IPv4 and IPv6, or what they have of one interface.
    public mutating func neighbours(of link: Int32? = nil) throws(NetlinkError) -> [Neighbour] {
        try dump("list neighbours", RTM_GETNEIGH, ndmsg(), { if let link { $0.put(NDA_IFINDEX, link) } }) {
            Neighbour($0)
        }
    }

    /// The forwarding entries of every VXLAN device, or those of one.
    public mutating func forwardingEntries(of link: Int32? = nil) throws(NetlinkError) -> [ForwardingEntry] {
        var header = ndmsg()
        header.ndm_family = UInt8(AF_BRIDGE)
        return try dump("list forwarding entries", RTM_GETNEIGH, header, { if let link { $0.put(NDA_IFINDEX, link) } })
        {
            ForwardingEntry($0)
        }
    }
}
