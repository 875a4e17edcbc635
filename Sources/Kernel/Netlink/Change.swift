import CNetlink
import Glibc

/// One thing to be different in a network namespace. `RouteSocket.apply` sends several at once.
public enum Change: Sendable {
    case createVeth(VethPair)
    /// Fails with EEXIST where there is one of that name, or of that VNI on that port.
    indirect case createLink(NewLink)
    indirect case changeLink(LinkReference, LinkChange)
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
    case addForwardingEntry(ForwardingEntry)
    /// Adds, or changes where the Ethernet address is found.
    case setForwardingEntry(ForwardingEntry)
    case deleteForwardingEntry(ForwardingEntry)
    /// Puts the queue in place of whatever the interface of this index has; a token bucket there changes its numbers and
    /// loses no packet.
    case setRootQdisc(Int32, TokenBucket)
    /// Back to what the kernel has by itself; fails with ENOENT where that is there.
    case deleteRootQdisc(Int32)

    /// What an error says was asked: an operation and its subject.
    var words: (operation: String, subject: String) {
        switch self {
        case .createVeth(let pair): ("create veth", "\(pair.name) (peer \(pair.peerName))")
        case .createLink(let link): ("create \(link.kind.name)", link.name)
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
        case .addForwardingEntry(let entry): ("add forwarding entry", "\(entry)")
        case .setForwardingEntry(let entry): ("set forwarding entry", "\(entry)")
        case .deleteForwardingEntry(let entry): ("delete forwarding entry", "\(entry)")
        case .setRootQdisc(let link, _): ("set queue", "dev #\(link)")
        case .deleteRootQdisc(let link): ("delete queue", "dev #\(link)")
        }
    }

    /// What is left to be done once the kernel has made the change.
    var completion: [Change] {
        guard case .createLink(let link) = self else { return [] }
        return link.completion.map { .changeLink(.name(link.name), $0) }
    }
}

private let create = Int32(NLM_F_CREATE | NLM_F_EXCL)
private let replace = Int32(NLM_F_CREATE | NLM_F_REPLACE)

extension NetlinkBatch {
    /// Appends the message that asks for `change`. The kernel answers where it fails.
    mutating func append(_ change: Change, sequence: UInt32) throws(NetlinkError) {
        switch change {
        case .createVeth(let pair):
            try append(RTM_NEWLINK, create, sequence, linkHeader(isUp: pair.isUp), pair.put)
        case .createLink(let link):
            let isUp = link.completion.isEmpty && link.isUp
            try append(RTM_NEWLINK, create, sequence, linkHeader(isUp: isUp), link.put)
        case .changeLink(let link, let change):
            try append(RTM_NEWLINK, 0, sequence, linkHeader(link, isUp: change.isUp)) {
                change.put(of: link, in: &$0)
            }
        case .deleteLink(let link):
            try append(RTM_DELLINK, 0, sequence, linkHeader(link)) { $0.put(nameOf: link) }
        case .addAddress(let it): try append(RTM_NEWADDR, create, sequence, it.header, it.put)
        case .setAddress(let it): try append(RTM_NEWADDR, replace, sequence, it.header, it.put)
        case .deleteAddress(let it): try append(RTM_DELADDR, 0, sequence, it.header, it.put)
        case .addRoute(let it): try append(RTM_NEWROUTE, create, sequence, it.header, it.put)
        case .setRoute(let it): try append(RTM_NEWROUTE, replace, sequence, it.header, it.put)
        case .deleteRoute(let it): try append(RTM_DELROUTE, 0, sequence, it.header, it.putIdentity)
        case .addNeighbour(let it): try append(RTM_NEWNEIGH, create, sequence, it.header, it.put)
        case .setNeighbour(let it): try append(RTM_NEWNEIGH, replace, sequence, it.header, it.put)
        case .deleteNeighbour(let it): try append(RTM_DELNEIGH, 0, sequence, it.header, it.put)
        case .addForwardingEntry(let it): try append(RTM_NEWNEIGH, create, sequence, it.header, it.put)
        case .setForwardingEntry(let it): try append(RTM_NEWNEIGH, replace, sequence, it.header, it.put)
        case .deleteForwardingEntry(let it): try append(RTM_DELNEIGH, 0, sequence, it.header, it.put)
        case .setRootQdisc(let link, let bucket):
            try append(RTM_NEWQDISC, replace, sequence, rootQdiscHeader(of: link)) {
                $0.put(TCA_KIND, "tbf")
                $0.nest(TCA_OPTIONS, bucket.put)
            }
        case .deleteRootQdisc(let link):
            try append(RTM_DELQDISC, 0, sequence, rootQdiscHeader(of: link)) { _ in }
        }
    }

    private mutating func append<Header: BitwiseCopyable>(
        _ type: Int, _ flags: Int32, _ sequence: UInt32, _ header: Header,
        _ put: (inout MessageWriter) -> Void
    ) throws(NetlinkError) {
        try append(type: type, flags: flags, sequence: sequence, header: header, put)
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
}
