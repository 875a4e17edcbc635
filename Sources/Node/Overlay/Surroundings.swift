import Netlink

/// What of this host decides how packets to other nodes travel: nothing that the overlay made itself.
struct Surroundings: Sendable, Hashable {
    /// The interface through which packets to other nodes leave, by family of this node's public address.
    private(set) var underlays: [IPFamily: Underlay] = [:]
    /// Networks and routes of this host that others made, outside of this node's own pod networks.
    private(set) var others: Set<OtherNetwork> = []
    private(set) var defaults: Set<OtherNetwork> = []
    private(set) var problems: [OverlayProblem] = []

    /// Everything else that a plan asks of the host. Interfaces of pods come and go without being part of it.
    struct Underlay: Sendable, Hashable {
        var link: Int32
        var name: String
        /// Bytes.
        var mtu: UInt32
        var isUp: Bool
        /// Source of encapsulated packets: this node's public address, or what it has in its stead behind a translation.
        var address: IPAddress
    }

    struct OtherNetwork: Sendable, Hashable {
        var network: CIDR
        /// Of an interface's network; nil for a route.
        var address: IPAddress?
        var gateway: IPAddress?
        var link: Int32?
        var linkName: String
        /// The metric of a route in numbers.
        var precedence: UInt32 = 0

        /// In words, for a person: `10.42.2.7/16 on eth0`.
        var owner: String {
            if let address { return "\(address)/\(network.prefixLength) on \(linkName)" }
            return "route \(network)" + (gateway.map { " via \($0)" } ?? "") + " dev \(linkName)"
        }
    }

    /// Nothing known, as before the first look.
    init() {}

    /// What `kernel` says for the node with the lease `own`.
    init(_ kernel: KernelState, own: NodeLease, configuration: OverlayConfiguration) {
        for family in IPFamily.allCases {
            guard let address = own.publicAddress(family) else { continue }
            underlays[family] = findUnderlay(address, kernel, configuration)
        }
        let ours = Set(kernel.links.values.filter(KernelState.isOurs).map(\.index))
        func name(_ link: Int32?) -> String { link.flatMap { kernel.links[$0]?.name } ?? "no interface" }
        // Link-local networks, which every pod's interface has, are nobody's pod network; nor is everything.
        func matters(_ cidr: CIDR) -> Bool {
            cidr.prefixLength > 0 && !own.podCIDRs.contains { $0.contains(cidr) } && !cidr.isSpecial
        }
        for address in kernel.addresses.values where !ours.contains(address.link) {
            guard let network = CIDR(containing: address.address, prefixLength: address.prefixLength),
                matters(network)
            else { continue }
            others.insert(
                OtherNetwork(
                    network: network, address: address.address, link: address.link, linkName: name(address.link)))
        }
        for route in kernel.foreignRoutes.values where route.destination.prefixLength == 0 && route.kind == .unicast {
            defaults.insert(
                OtherNetwork(
                    network: route.destination, gateway: route.gateway, link: route.link, linkName: name(route.link),
                    precedence: route.precedence))
        }
        for route in kernel.foreignRoutes.values where matters(route.destination) {
            // Of the addresses that somebody gave our devices, which go with them.
            if let link = route.link, ours.contains(link), route.origin == .kernel { continue }
            others.insert(
                OtherNetwork(
                    network: route.destination, gateway: route.gateway, link: route.link, linkName: name(route.link),
                    precedence: route.precedence))
        }
    }

    private mutating func findUnderlay(
        _ address: IPAddress, _ kernel: KernelState, _ configuration: OverlayConfiguration
    ) -> Underlay? {
        let links = kernel.links
        func isLoopback(_ link: Int32) -> Bool { links[link]?.flags.contains(.loopback) ?? false }
        // Of several the same one each time.
        let held = kernel.addresses.values.filter { $0.address == address && links[$0.link] != nil }
            .min { (isLoopback($0.link) ? 1 : 0, $0.link) < (isLoopback($1.link) ? 1 : 0, $1.link) }
        let holder = held?.link
        var found = holder
        var local = address
        if let name = configuration.interface {
            guard let link = kernel.link(named: name) else {
                problem(name, "interface \(name) is not there: the overlay waits for it")
                return nil
            }
            found = link.index
            if holder == nil {
                let stand = kernel.addresses.values.filter {
                    $0.link == link.index && $0.scope == .universe && $0.address.ipFamily == address.ipFamily
                }.map(\.address).min { "\($0)" < "\($1)" }
                if let stand {
                    local = stand
                } else {
                    problem(name, "interface \(name) has no \(address.ipFamily) address: the overlay waits for one")
                }
            }
        } else if holder == nil {
            problem("\(address)", "public address \(address) is on no interface of this host: the overlay waits for it")
            // An address that is being changed, or a cable pulled: what is there may stay until it is back.
            found = links.values.first { KernelState.isOurs($0) && $0.vxlan?.local == address }?.vxlan?.underlay
        } else if let held, held.prefixLength == address.bitWidth, !kernel.hasWay(over: held.link, address.ipFamily) {
            // An address that is the host's, not an interface's: packets leave as they do to anywhere.
            let way = kernel.defaultLink(address.ipFamily)
            found = way ?? (isLoopback(held.link) ? nil : held.link)
            if found == nil {
                problem(
                    "\(address)",
                    "public address \(address) is on \(links[held.link]?.name ?? "lo"), and there is no default route to "
                        + "say by which interface packets leave: name it (--overlay-interface)")
            }
        }
        guard let link = found.flatMap({ links[$0] }) else { return nil }
        if !link.isUp { problem(link.name, "interface \(link.name), which has \(local), is down") }
        return Underlay(link: link.index, name: link.name, mtu: link.mtu, isUp: link.isUp, address: local)
    }

    private mutating func problem(_ subject: String, _ message: String) {
        problems.append(OverlayProblem(.underlay, subject, message))
    }

    /// Whether `address` is on the underlay's own link, so that packets need no router to it.
    func isOnLink(_ address: IPAddress) -> Bool {
        guard let underlay = underlays[address.ipFamily], underlay.isUp else { return false }
        var best: OtherNetwork?
        for other in others where other.address == nil && other.network.contains(address) {
            if other.network.prefixLength > best?.network.prefixLength ?? -1 { best = other }
        }
        guard let best else { return false }
        return best.gateway == nil && best.link == underlay.link
    }

    /// The address of this host that `address` is.
    func holder(of address: IPAddress) -> OtherNetwork? { others.first { $0.address == address } }

    /// The interface by which packets to `address` leave, where that is not the underlay's: main table alone.
    func detour(to address: IPAddress) -> String? {
        guard let underlay = underlays[address.ipFamily] else { return nil }
        let ways = others.union(defaults).filter { $0.address == nil && $0.network.contains(address) }
        let longest = ways.map(\.network.prefixLength).max()
        let best = ways.filter { $0.network.prefixLength == longest }
        guard let way = best.min(by: { ($0.precedence, $0.owner) < ($1.precedence, $1.owner) }), way.link != nil,
            !best.contains(where: { $0.link == underlay.link })
        else { return nil }
        return way.linkName
    }

    /// Whether a route of others leads to a larger network that `cidr` is a part of; the default route does not count.
    func hasRoute(around cidr: CIDR) -> Bool { others.contains { $0.address == nil && $0.network.contains(cidr) } }

    /// The route of others to the same network that the kernel prefers to ours.
    func preferredRoute(to cidr: CIDR) -> OtherNetwork? {
        others.filter {
            $0.address == nil && $0.network == cidr && $0.precedence < KernelState.precedence(of: cidr)
        }.min { ($0.precedence, $0.owner) < ($1.precedence, $1.owner) }
    }

    /// The network of this host that packets to `cidr` would miss if the overlay took them, or that would take them from
    /// the overlay. `isHeld`: our route to `cidr` is there, beside which others with another metric may be.
    func collision(with cidr: CIDR, isHeld: Bool) -> OtherNetwork? {
        let found = others.filter { other in
            if other.address != nil { return other.network.overlaps(cidr) }
            if isHeld && other.network == cidr { return other.precedence == KernelState.precedence(of: cidr) }
            // A route to a larger network yields to the overlay's, as routes do.
            return cidr.contains(other.network)
        }
        // Of several the same one each time, an address before its route.
        return found.min { ($0.address == nil ? 1 : 0, $0.owner) < ($1.address == nil ? 1 : 0, $1.owner) }
    }
}

extension KernelState {
    /// Where packets of `family` go that no other route is for.
    fileprivate func defaultLink(_ family: IPFamily) -> Int32? {
        foreignRoutes.values.filter {
            $0.destination.prefixLength == 0 && $0.destination.address.ipFamily == family && $0.kind == .unicast
                && $0.link != nil
        }.min { ($0.precedence, $0.link ?? 0) < ($1.precedence, $1.link ?? 0) }?.link
    }

    /// Whether routes lead over `link` to other hosts.
    fileprivate func hasWay(over link: Int32, _ family: IPFamily) -> Bool {
        foreignRoutes.values.contains {
            $0.link == link && $0.destination.address.ipFamily == family && $0.destination.hostBits > 0
                && !$0.destination.isSpecial
        }
    }
}

extension CIDR {
    /// Whether `other` is this network or a part of it.
    func contains(_ other: CIDR) -> Bool { other.prefixLength >= prefixLength && contains(other.address) }
}
