import Netlink

/// One thing in the kernel that packets to a node need.
enum Entry: Hashable, Sendable {
    /// Who has the first address of a pod network.
    case neighbour(Neighbour)
    /// At which public address that one is.
    case forwarding(ForwardingEntry)
    /// That the pod network is behind it.
    case route(Route)

    var key: EntryKey {
        switch self {
        case .neighbour(let it): .neighbour(link: it.link, it.address)
        case .forwarding(let it): .forwarding(link: it.link, it.mac)
        case .route(let it): .route(it.destination)
        }
    }
}

/// What an entry is found by. Of our desired entries there is one for each key.
enum EntryKey: Hashable, Sendable {
    case neighbour(link: Int32, IPAddress)
    case forwarding(link: Int32, MACAddress)
    case route(CIDR)

    /// Packets need them in this order: a route that comes first leads to an unknown neighbour.
    var rank: Int {
        switch self {
        case .neighbour: 0
        case .forwarding: 1
        case .route(let network): network.hostBits == 0 ? 2 : 3
        }
    }
}

extension Neighbour {
    /// Whether `found`, from the kernel, is this.
    func isMet(by found: Neighbour?) -> Bool {
        guard let found else { return false }
        return found.mac == mac && found.state.contains(.permanent)
    }

    /// Entries that the kernel makes by itself, of multicast addresses and of what it asked for, are left alone.
    var isSetByHand: Bool {
        guard state.contains(.permanent) else { return false }
        return switch address {
        case .v4(let address): address.value >> 28 != 14
        case .v6(let address): address.high >> 56 != 0xff
        }
    }
}

extension ForwardingEntry {
    func isMet(by found: ForwardingEntry) -> Bool {
        found.destination == destination && found.state.contains(.permanent) && found.port == nil && found.vni == nil
    }
}

extension Route {
    /// Whether `found`, from the kernel, is this: what the kernel adds by itself does not count.
    func isMet(by found: Route) -> Bool {
        found.origin == origin && found.kind == kind && found.gateway == gateway && found.link == link
            && found.isOnLink == isOnLink && found.mtu == mtu && found.encapsulation == encapsulation
            && found.table == table && found.precedence == precedence
    }

    /// The metric in numbers.
    var precedence: UInt32 { metric ?? KernelState.precedence(of: destination) }
}

extension KernelState {
    /// What a route to `network` has where no metric is said, as our routes have it.
    static func precedence(of network: CIDR) -> UInt32 { network.address.ipFamily == .v4 ? 0 : 1024 }
}
