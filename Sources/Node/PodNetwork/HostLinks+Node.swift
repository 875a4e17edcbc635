import Glibc
import Linux
import Netlink

/// What all pods of the host share: the node's own addresses, routes for addresses that no pod has, the bridge.
extension HostLinks {
    /// Throws if somebody else's network on this host shares addresses with a pod CIDR. `former` is what an earlier
    /// configuration had. Where there are no other pod networks (`isAlone`), all that looks like one's is this one's own,
    /// though nothing on disk may say so any more.
    mutating func checkForOverlap(former: NodeRecord?, isAlone: Bool) throws(PodNetworkError) {
        let own = configuration.podCIDRs + (former?.allCIDRs ?? [])
        let bridges = Set([configuration.mode.bridge].compactMap(\.self) + (former?.allBridges ?? []))
        let links: [Int32: Link]
        let addresses: [Address]
        let found: [Route]
        do {
            links = Dictionary(try routes.links().map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
            addresses = try routes.addresses()
            // The overlay's routes follow its leases, and will follow those that say what this node has now.
            found = try routes.routes().filter { $0.table == 254 && $0.origin != Self.overlayProtocol }
        } catch {
            throw .netlink(error)
        }
        let bridgeIndices = Set(links.values.filter { bridges.contains($0.name) && isOurBridge($0) }.map(\.index))
        // A network's first two addresses alone are the node's own: its overlay's and its pod network's.
        let ownAddresses = Set(own.flatMap { [$0.address, AddressBlock($0).node] })
        for cidr in configuration.podCIDRs {
            for address in addresses where !bridgeIndices.contains(address.link) {
                if ownAddresses.contains(address.address) && address.prefixLength == address.address.bitWidth {
                    continue
                }
                guard let network = CIDR(containing: address.address, prefixLength: address.prefixLength),
                    network.overlaps(cidr)
                else { continue }
                let name = links[address.link]?.name ?? "#\(address.link)"
                throw .podCIDRInUse(cidr, by: "\(name) has \(address.address)/\(address.prefixLength)")
            }
            for route in found where cidr.overlaps(route.destination) {
                if route.link.map(bridgeIndices.contains) ?? false { continue }
                if route.origin != PodNetworkConfiguration.routeProtocol {
                    try checkForOverlap(cidr, route, own)
                } else if route.kind == .unreachable, !isAlone {
                    let isOurs = former?.allCIDRs.contains { $0.overlaps(route.destination) } ?? false
                    if !isOurs { throw .podCIDRInUse(cidr, by: "another pod network has \(route.destination)") }
                }
            }
        }
    }

    private func checkForOverlap(_ cidr: CIDR, _ route: Route, _ own: [CIDR]) throws(PodNetworkError) {
        guard route.destination.prefixLength >= cidr.prefixLength, route.kind == .unicast,
            !own.contains(where: {
                route.destination == CIDR($0.address) || route.destination == CIDR(AddressBlock($0).node)
            })
        else { return }
        throw .podCIDRInUse(cidr, by: "route to \(route.destination)")
    }

    /// For an owner that takes another's setup to be there still. False where it is not.
    mutating func adopt() throws(NetlinkError) -> Bool {
        if let name = configuration.mode.bridge {
            guard let link = try routes.link(.name(name)), isOurBridge(link) else { return false }
            bridge = link.index
        }
        try routes.apply(nodeChanges)
        return true
    }

    /// Every address of this host that is not a link's own, once.
    mutating func hostAddresses() throws(NetlinkError) -> [IPAddress] {
        Array(Set(try routes.addresses().map(\.address)).subtracting([PodNetworkConfiguration.gatewayIPv6]))
    }

    /// Whether there are routes of another pod network, or of an overlay (95).
    mutating func othersForward() throws(NetlinkError) -> Bool {
        try routes.routes().contains {
            $0.origin == PodNetworkConfiguration.routeProtocol || $0.origin == Self.overlayProtocol
        }
    }

    private static var overlayProtocol: RouteProtocol { RouteProtocol(rawValue: 95) }

    /// Sets up what all pods share, in place of what an earlier configuration had.
    mutating func prepare(former: NodeRecord?) throws {
        bridge = try configuration.mode.bridge.map { name in try prepareBridge(name) }
        if let name = configuration.mode.bridge {
            try Self.apply(nodeChanges, to: &routes, interface: name, namespace.number)
        } else {
            try routes.apply(nodeChanges)
        }
        try removeStale(former)
    }

    /// A node's address lies on `lo`, the IPv4 one with a scope that keeps it out of every choice of a source address but
    /// our routes'; and packets to addresses that no pod has, which would otherwise leave by the default route, get an end.
    /// A bridge has the address itself, as the gateway, and its network's route.
    var nodeChanges: [Change] {
        var changes: [Change] = [.changeLink(.index(1), LinkChange(isUp: true))]
        for block in configuration.blocks {
            if !block.cidr.isIPv4 { changes.append(.setRoute(PodLink.localRoute(block.node, bridge ?? 1))) }
            changes.append(.setAddress(nodeAddress(block)))
        }
        if let bridge {
            // As soon as there is something to answer; IPv6 host ports of ::1 need the second.
            if configuration.podCIDRs.contains(where: { !$0.isIPv4 }) {
                changes.append(.setRoute(PodLink.loopbackRoute(bridge)))
            }
        } else {
            changes += configuration.podCIDRs.map { .setRoute(fallbackRoute($0)) }
        }
        return changes
    }

    private func nodeAddress(_ block: AddressBlock) -> Address {
        let isIPv4 = block.cidr.isIPv4
        let flags: AddressFlags = isIPv4 ? [] : .noDAD
        guard let bridge else {
            return Address(
                link: 1, address: block.node, prefixLength: block.node.bitWidth, scope: isIPv4 ? .host : .universe,
                flags: flags)
        }
        return Address(link: bridge, address: block.node, prefixLength: block.cidr.prefixLength, flags: flags)
    }

    private func fallbackRoute(_ cidr: CIDR) -> Route {
        Route(to: cidr, kind: .unreachable, origin: PodNetworkConfiguration.routeProtocol)
    }

    /// Takes back what an earlier configuration had and this one has not.
    private mutating func removeStale(_ former: NodeRecord?) throws(NetlinkError) {
        var changes: [Change] = []
        let wanted = Set(
            configuration.blocks.map { nodeAddress($0) }.map {
                Address(link: $0.link, address: $0.address, prefixLength: $0.prefixLength)
            })
        for address in try routes.addresses() where former?.nodeAddresses.contains(address.address) ?? false {
            let plain = Address(link: address.link, address: address.address, prefixLength: address.prefixLength)
            guard address.link == 1 || address.link == bridge, !wanted.contains(plain) else { continue }
            changes.append(.deleteAddress(address))
        }
        let fallbacks = bridge == nil ? Set(configuration.podCIDRs) : []
        let local = bridge == nil ? Set(configuration.blocks.map { CIDR($0.node) }) : []
        for route in try routes.routes(origin: PodNetworkConfiguration.routeProtocol)
        where (route.kind == .unreachable && !fallbacks.contains(route.destination))
            || (route.kind == .local && route.link == 1 && !local.contains(route.destination))
        {
            let own = configuration.podCIDRs + (former?.allCIDRs ?? [])
            if own.contains(where: { $0.overlaps(route.destination) }) { changes.append(.deleteRoute(route)) }
        }
        for name in former?.allBridges ?? [] where name != configuration.mode.bridge {
            guard let link = try routes.link(.name(name)), isOurBridge(link) else { continue }
            changes.append(.deleteLink(.index(link.index)))
        }
        for case .some(let error) in try routes.attempt(changes)
        where ![ESRCH, ENODEV, EADDRNOTAVAIL].contains(error.errno) { throw error }
    }

    /// Removes every interface, address and route of ours. `interfaces` are those that leases name, for a link that was
    /// left before it had its alias. Without a record all routes of this module are taken to be.
    mutating func removeEverything(_ record: NodeRecord?, interfaces: Set<String>) throws(NetlinkError) {
        var changes: [Change] = []
        for link in try routes.links() {
            let isPods = Lease.uid(inAlias: link.alias, owner: configuration.owner) != nil
            let isLeft = link.kind == "veth" && (isPods || interfaces.contains(link.name))
            if isLeft || isOurBridge(link) { changes.append(.deleteLink(.index(link.index))) }
        }
        for route in try routes.routes(origin: PodNetworkConfiguration.routeProtocol) {
            let isOurs = record?.allCIDRs.contains { $0.overlaps(route.destination) } ?? true
            if isOurs { changes.append(.deleteRoute(route)) }
        }
        for address in record?.nodeAddresses ?? [] {
            changes.append(.deleteAddress(Address(link: 1, address: address, prefixLength: address.bitWidth)))
        }
        for case .some(let error) in try routes.attempt(changes)
        where ![ESRCH, ENODEV, EADDRNOTAVAIL].contains(error.errno) { throw error }
    }
}

/// The bridge.
extension HostLinks {
    /// What is written on it.
    private var bridgeAlias: String { "swiftlet bridge of \(configuration.owner)" }

    func isOurBridge(_ link: Link) -> Bool { link.kind == "bridge" && link.alias == bridgeAlias }

    /// Makes the bridge unless it is there; its index.
    private mutating func prepareBridge(_ name: String) throws -> Int32 {
        if let link = try routes.link(.name(name)) {
            guard isOurBridge(link) else {
                throw PodNetworkError.bridgeInUse(
                    name, link.kind == "bridge" ? "not made by this pod network" : "the name of another interface")
            }
            var settings = bridgeSettings
            // A change to another, even to the same, has the kernel forget who is where.
            if link.mac == settings.mac { settings.mac = nil }
            try routes.apply([.changeLink(.index(link.index), settings)])
            return link.index
        }
        // Nobody has to ask a bridge that knows who is where who listens to multicast.
        let bridge = NewLink(
            name: name, kind: .bridge(BridgeSettings(multicastSnooping: false)),
            mac: PodNetworkConfiguration.gatewayMAC,
            mtu: configuration.mtu, alias: bridgeAlias, isUp: false,
            addrGenMode: configuration.podCIDRs.allSatisfy(\.isIPv4) ? nil : AddressGenerationMode.none)
        try routes.apply([.createLink(bridge), .changeLink(.name(name), bridgeSettings)])
        guard let link = try routes.link(.name(name)) else {
            throw NetlinkError(operation: "get link", subject: name, errno: ENODEV)
        }
        return link.index
    }

    private var bridgeSettings: LinkChange {
        LinkChange(
            isUp: true, mtu: configuration.mtu, mac: PodNetworkConfiguration.gatewayMAC,
            ipv4: [.reversePathFilter: 1, .routeLocalnet: 1])
    }
}
