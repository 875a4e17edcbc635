import CNetlink
import Glibc

/// One thing to be different in a network namespace. `RouteSocket.apply` sends several at once.
public enum Change: Sendable {
    case createVeth(VethPair)
    case changeLink(LinkReference, LinkChange)
    /// Deleting one end of a veth pair deletes the other; the interface's addresses, routes and neighbours go with it.
    case deleteLink(LinkReference)
    /// Fails with EEXIST where the address is there.
    case addAddress(Address)
    /// Adds, or changes what is there.
    case setAddress(Address)
    case deleteAddress(Address)
    case addRoute(Route)
    case setRoute(Route)
    case deleteRoute(Route)
    case addNeighbour(Neighbour)
    case setNeighbour(Neighbour)
    case deleteNeighbour(Neighbour)

    /// What an error says was asked: an operation and its subject.
    var words: (operation: String, subject: String) {
        switch self {
        case .createVeth(let pair): ("create veth", "\(pair.name) (peer \(pair.peerName))")
        case .changeLink(let link, _): ("change link", "\(link)")
        case .deleteLink(let link): ("delete link", "\(link)")
        case .addAddress(let address): ("add address", "\(address)")
        case .setAddress(let address): ("set address", "\(address)")
        case .deleteAddress(let address): ("delete address", "\(address)")
        case .addRoute(let route): ("add route", "\(route)")
        case .setRoute(let route): ("set route", "\(route)")
        case .deleteRoute(let route): ("delete route", "\(route)")
        case .addNeighbour(let neighbour): ("add neighbour", "\(neighbour)")
        case .setNeighbour(let neighbour): ("set neighbour", "\(neighbour)")
        case .deleteNeighbour(let neighbour): ("delete neighbour", "\(neighbour)")
        }
    }
}

private let create = Int32(NLM_F_CREATE | NLM_F_EXCL)
private let replace = Int32(NLM_F_CREATE | NLM_F_REPLACE)

extension NetlinkBatch {
    /// Appends the message that asks for `change`, to be acknowledged.
    mutating func append(_ change: Change, sequence: UInt32) throws(NetlinkError) {
        switch change {
        case .createVeth(let pair):
            try append(
                type: RTM_NEWLINK, flags: create | NLM_F_ACK, sequence: sequence, header: linkHeader(isUp: pair.isUp)
            ) { $0.put(pair) }
        case .changeLink(let link, let change):
            try append(
                type: RTM_NEWLINK, flags: NLM_F_ACK, sequence: sequence, header: linkHeader(link, isUp: change.isUp)
            ) { $0.put(change, of: link) }
        case .deleteLink(let link):
            try append(type: RTM_DELLINK, flags: NLM_F_ACK, sequence: sequence, header: linkHeader(link)) {
                $0.put(nameOf: link)
            }
        case .addAddress(let address): try append(address, RTM_NEWADDR, create, sequence)
        case .setAddress(let address): try append(address, RTM_NEWADDR, replace, sequence)
        case .deleteAddress(let address): try append(address, RTM_DELADDR, 0, sequence)
        case .addRoute(let route): try append(route, RTM_NEWROUTE, create, sequence)
        case .setRoute(let route): try append(route, RTM_NEWROUTE, replace, sequence)
        case .deleteRoute(let route): try append(route, RTM_DELROUTE, 0, sequence)
        case .addNeighbour(let neighbour): try append(neighbour, RTM_NEWNEIGH, create, sequence)
        case .setNeighbour(let neighbour): try append(neighbour, RTM_NEWNEIGH, replace, sequence)
        case .deleteNeighbour(let neighbour): try append(neighbour, RTM_DELNEIGH, 0, sequence)
        }
    }

    private mutating func append(
        _ address: Address, _ type: Int, _ flags: Int32, _ sequence: UInt32
    ) throws(NetlinkError) {
        let header = ifaddrmsg(
            ifa_family: address.address.family, ifa_prefixlen: UInt8(clamping: address.prefixLength), ifa_flags: 0,
            ifa_scope: address.scope.rawValue, ifa_index: UInt32(bitPattern: address.link))
        try append(type: type, flags: flags | NLM_F_ACK, sequence: sequence, header: header) {
            $0.put(IFA_LOCAL, address.address.bytes)
            $0.put(IFA_ADDRESS, address.address.bytes)
        }
    }

    private mutating func append(_ route: Route, _ type: Int, _ flags: Int32, _ sequence: UInt32) throws(NetlinkError) {
        var header = rtmsg()
        header.rtm_family = route.destination.address.family
        header.rtm_dst_len = UInt8(route.destination.prefixLength)
        header.rtm_table = route.table < 256 ? UInt8(route.table) : UInt8(RT_TABLE_UNSPEC.rawValue)
        header.rtm_protocol = route.origin.rawValue
        header.rtm_scope = route.scope.rawValue
        header.rtm_type = route.kind.rawValue
        header.rtm_flags = route.isOnLink ? UInt32(RTNH_F_ONLINK) : 0
        try append(type: type, flags: flags | NLM_F_ACK, sequence: sequence, header: header) {
            if route.destination.prefixLength > 0 { $0.put(Int(RTA_DST.rawValue), route.destination.address.bytes) }
            if let gateway = route.gateway { $0.put(Int(RTA_GATEWAY.rawValue), gateway.bytes) }
            if let link = route.link { $0.put(Int(RTA_OIF.rawValue), UInt32(bitPattern: link)) }
            if let source = route.source { $0.put(Int(RTA_PREFSRC.rawValue), source.bytes) }
            if let metric = route.metric { $0.put(Int(RTA_PRIORITY.rawValue), metric) }
            if route.table >= 256 { $0.put(Int(RTA_TABLE.rawValue), route.table) }
        }
    }

    private mutating func append(
        _ neighbour: Neighbour, _ type: Int, _ flags: Int32, _ sequence: UInt32
    ) throws(NetlinkError) {
        var header = ndmsg()
        header.ndm_family = neighbour.address.family
        header.ndm_ifindex = neighbour.link
        header.ndm_state = neighbour.state.rawValue
        try append(type: type, flags: flags | NLM_F_ACK, sequence: sequence, header: header) {
            $0.put(NDA_DST, neighbour.address.bytes)
            if let mac = neighbour.mac { $0.put(NDA_LLADDR, mac.bytes) }
        }
    }
}

/// The fixed part of a link message. A reference by name leaves the index 0; the name goes into an attribute.
func linkHeader(_ link: LinkReference? = nil, isUp: Bool? = nil) -> ifinfomsg {
    var header = ifinfomsg()
    if case .index(let index) = link { header.ifi_index = index }
    if let isUp {
        header.ifi_flags = isUp ? LinkFlags.up.rawValue : 0
        header.ifi_change = LinkFlags.up.rawValue
    }
    return header
}

extension MessageWriter {
    mutating func put(nameOf link: LinkReference) {
        if case .name(let name) = link { put(IFLA_IFNAME, name) }
    }

    /// Counters are most of what the kernel would say about an interface, and of what it costs to say it.
    mutating func putStatisticsUnwanted() { put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS)) }

    fileprivate mutating func put(_ pair: VethPair) {
        put(IFLA_IFNAME, pair.name)
        if let mac = pair.mac { put(IFLA_ADDRESS, mac.bytes) }
        if let mtu = pair.mtu { put(IFLA_MTU, mtu) }
        nest(IFLA_LINKINFO) {
            $0.put(IFLA_INFO_KIND, "veth")
            $0.nest(IFLA_INFO_DATA) {
                $0.nest(Int(VETH_INFO_PEER)) {
                    $0.putStruct(linkHeader())
                    $0.put(IFLA_IFNAME, pair.peerName)
                    if let mac = pair.peerMAC { $0.put(IFLA_ADDRESS, mac.bytes) }
                    if let mtu = pair.mtu { $0.put(IFLA_MTU, mtu) }
                    if let namespace = pair.peerNamespace { $0.put(IFLA_NET_NS_FD, UInt32(bitPattern: namespace)) }
                }
            }
        }
    }

    fileprivate mutating func put(_ change: LinkChange, of link: LinkReference) {
        put(nameOf: link)
        if let name = change.name, case .index = link { put(IFLA_IFNAME, name) }
        if let alias = change.alias { put(IFLA_IFALIAS, alias) }
        if let mtu = change.mtu { put(IFLA_MTU, mtu) }
        if let mac = change.mac { put(IFLA_ADDRESS, mac.bytes) }
        if let master = change.master { put(IFLA_MASTER, UInt32(bitPattern: master)) }
        if !change.ipv4.isEmpty {
            nest(IFLA_AF_SPEC) {
                $0.nest(Int(AF_INET)) {
                    $0.nest(Int(IFLA_INET_CONF)) {
                        for (setting, value) in change.ipv4 { $0.put(Int(setting.rawValue), value) }
                    }
                }
            }
        }
    }
}
