import Netlink

/// How packets from this node to the pods of another travel: follows from both leases and the host, not from devices.
struct NodePaths: Hashable, Sendable {
    /// One pod network of the node, and how to get there.
    struct Path: Hashable, Sendable {
        var network: CIDR
        var way: Way
    }

    enum Way: Hashable, Sendable {
        /// Encapsulated, over this family of public addresses.
        case encapsulated(IPFamily)
        /// As it is, to the node's public address.
        case direct(IPAddress)
    }

    let lease: NodeLease
    private(set) var paths: [Path] = []
    private(set) var problems: [OverlayProblem] = []
    /// Networks of the lease that are not, or not only, the node's: others' routes or addresses on this host.
    private(set) var collided: [CIDR] = []
    /// In words, where encapsulated packets would leave by another interface than the underlay's.
    private(set) var detour: String?

    /// - Parameter isHeld: whether our route to the network is there already.
    init(
        to lease: NodeLease, from own: NodeLease, _ surroundings: Surroundings, _ configuration: OverlayConfiguration,
        isHeld: (CIDR) -> Bool
    ) {
        self.lease = lease
        for address in IPFamily.allCases.compactMap({ lease.publicAddress($0) }) {
            guard let own = surroundings.holder(of: address) else { continue }
            problems.append(
                OverlayProblem(
                    .lease, lease.name,
                    "node \(lease.name): its public address \(address) is this host's own (\(own.owner)): left out"))
            return
        }
        for cidr in lease.podCIDRs {
            let family = cidr.address.ipFamily
            // Packets of a family that no pod here has come from nowhere.
            guard own.podCIDR(family) != nil else { continue }
            if let other = surroundings.collision(with: cidr, isHeld: isHeld(cidr)) {
                problems.append(
                    OverlayProblem(
                        .collision, lease.name,
                        "node \(lease.name): pod network \(cidr) is in use on this host: \(other.owner): left out"))
                collided.append(cidr)
                continue
            }
            if let other = surroundings.preferredRoute(to: cidr) {
                problems.append(
                    OverlayProblem(
                        .collision, lease.name,
                        "node \(lease.name): packets to \(cidr) go another way: \(other.owner), which is preferred for its "
                            + "metric \(other.precedence): remove it"))
                collided.append(cidr)
            }
            if let way = findWay(cidr, from: own, surroundings, configuration) {
                paths.append(Path(network: cidr, way: way))
            }
        }
    }

    private mutating func findWay(
        _ cidr: CIDR, from own: NodeLease, _ surroundings: Surroundings, _ configuration: OverlayConfiguration
    ) -> Way? {
        let backend = configuration.backend
        let family = cidr.address.ipFamily
        let shared = [family, family.other].filter {
            own.publicAddress($0) != nil && lease.publicAddress($0) != nil
        }
        guard let underlay = shared.first else {
            return unreachable(cidr, "it and this node have no public address of the same family")
        }
        // An address of this host that is nowhere yet has been reported.
        guard let link = surroundings.underlays[underlay], let address = lease.publicAddress(underlay) else {
            return nil
        }
        switch backend {
        case .none: return nil
        case .vxlan, .tunnel, .vxlanDirect:
            if backend == .vxlanDirect && underlay == family && surroundings.isOnLink(address) {
                return .direct(address)
            }
            // Told of once, for this node's pods have the same trouble.
            if family == .v6, surroundings.podMTU(over: underlay, configuration) ?? 0 < leastIPv6MTU { return nil }
            if configuration.interface == nil, let other = surroundings.detour(to: address) {
                detour =
                    "packets to node \(lease.name) (\(address)) leave by \(other), and this node's public address "
                    + "\(link.address) is on \(link.name)"
            }
            return .encapsulated(underlay)
        case .hostGateway:
            guard underlay == family else {
                return unreachable(cidr, "backend host-gw needs an \(family) public address of it and of this node")
            }
            guard link.isUp else { return nil }
            guard surroundings.isOnLink(address) else {
                return unreachable(
                    cidr,
                    "\(address) is not on the link of \(link.name); backend host-gw needs it to be, vxlan does not")
            }
            return .direct(address)
        }
    }

    private mutating func unreachable(_ cidr: CIDR, _ why: String) -> Way? {
        problems.append(OverlayProblem(.unreachable, lease.name, "node \(lease.name): no way to \(cidr): \(why)"))
        return nil
    }
}

extension NodePaths {
    /// What is used of devices: which family of packets over which family of public addresses.
    var carriages: Set<Carriage> {
        var result: Set<Carriage> = []
        for path in paths {
            guard case .encapsulated(let underlay) = path.way else { continue }
            result.insert(Carriage(family: path.network.address.ipFamily, underlay: underlay))
        }
        return result
    }

    /// What the kernel must have for these paths, where `devices` are there. Each key is this node's alone, for the leases
    /// of one ``LeaseTable`` share no network and no Ethernet address.
    func entries(
        devices: [IPFamily: Int32], _ surroundings: Surroundings,
        _ configuration: OverlayConfiguration
    )
        -> [Entry]
    {
        var entries: [Entry] = []
        for path in paths {
            var route = Route(to: path.network, origin: OverlayConfiguration.routeProtocol)
            let family = path.network.address.ipFamily
            route.metric = family == .v6 ? 1024 : nil
            switch path.way {
            case .direct(let gateway):
                guard let link = surroundings.underlays[family]?.link else { continue }
                (route.gateway, route.link) = (gateway, link)
            case .encapsulated(let underlay):
                guard let device = devices[underlay], let address = lease.publicAddress(underlay) else { continue }
                route.link = device
                if configuration.backend == .tunnel {
                    route.scope = family == .v4 ? .link : .universe
                    // IPv6 receivers refuse UDP without a checksum (RFC 6935).
                    route.encapsulation = RouteEncapsulation(
                        id: UInt64(configuration.vni), destination: address,
                        source: surroundings.underlays[underlay]?.address,
                        udpChecksum: underlay == .v6)
                    route.mtu = surroundings.routeMTU(over: underlay, configuration)
                } else {
                    let mac = lease.mac(over: underlay)
                    entries.append(.neighbour(Neighbour(link: device, address: path.network.address, mac: mac)))
                    let forwarding = Entry.forwarding(ForwardingEntry(link: device, mac: mac, destination: address))
                    if !entries.contains(forwarding) { entries.append(forwarding) }
                    (route.gateway, route.isOnLink) = (path.network.address, true)
                    if family == .v6, surroundings.hasRoute(around: path.network) {
                        // Such a gateway is taken only where it is known to be on the device (ip6_route_check_nh_onlink).
                        var first = Route(to: CIDR(path.network.address), link: device, origin: route.origin)
                        first.metric = route.metric
                        entries.append(.route(first))
                    }
                }
            }
            entries.append(.route(route))
        }
        return entries
    }
}

/// A family of packets inside of packets of a family.
struct Carriage: Hashable, Sendable {
    var family: IPFamily
    var underlay: IPFamily
}
