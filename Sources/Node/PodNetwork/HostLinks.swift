import Glibc
import Linux
import Netlink

/// The host's links, routes and neighbours that belong to the pod network.
struct HostLinks: ~Copyable, Sendable {
    let configuration: PodNetworkConfiguration
    private var routes: RouteSocket

    init(configuration: PodNetworkConfiguration, namespace: borrowing OwnedDescriptor) throws(SystemError) {
        self.configuration = configuration
        routes = try RouteSocket(in: namespace)
    }

    /// Makes the link of `lease` and configures both of its ends. On failure the caller calls ``detach(_:)``.
    mutating func attach(
        _ lease: Lease, podNamespace: Int32, pod: inout RouteSocket
    ) throws(NetlinkError) -> PodAddress {
        let plan = PodLink(lease: lease, configuration: configuration)
        let pair = plan.pair(podNamespace: podNamespace)
        if let error = try routes.attempt([.createVeth(pair)]).first ?? nil {
            // Left by an owner that died before it could be asked to detach: the name is this pod's alone. An `eth0` that
            // is in the way inside of the pod is the caller's matter.
            guard error.errno == EEXIST, try routes.link(.name(pair.name)) != nil else { throw error }
            try routes.apply([.deleteLink(.name(pair.name)), .createVeth(pair)])
        }
        guard let link = try routes.link(.name(pair.name)), let peer = link.peer else {
            throw NetlinkError(operation: "get link", subject: pair.name, errno: ENODEV)
        }
        try pod.apply(plan.podChanges(link: peer))
        try routes.apply(plan.hostChanges(link: link.index))
        return plan.result
    }

    /// Removes interfaces, and with them the kernel removes their routes and neighbours. Fine if there are none.
    mutating func detach(_ interfaces: [String]) throws(NetlinkError) {
        for case .some(let error) in try routes.attempt(interfaces.map { .deleteLink(.name($0)) })
        where error.errno != ENODEV { throw error }
    }

    /// nil where there is no such interface.
    mutating func index(of interface: String) throws(NetlinkError) -> Int32? {
        try routes.link(.name(interface))?.index
    }

    /// Compares the host's side of every link with `leases`, the live pods': repairs what can be repaired from here and
    /// removes interfaces and routes of ours that no lease asks for.
    mutating func reconcile(with leases: [Lease], _ report: inout Reconciliation) throws(NetlinkError) {
        let links = try routes.links()
        let ours = try routes.routes(origin: PodNetworkConfiguration.routeProtocol).filter { $0.table == 254 }
        let hops = Set(ours.compactMap { route in route.link.map { Hop(route.destination.address, $0) } })
        let neighbours = Set(try routes.neighbours())
        let byInterface = Dictionary(leases.map { ($0.interface, $0) }, uniquingKeysWith: { first, _ in first })
        var changes: [Change] = []
        for link in links where link.kind == "veth" && byInterface[link.name] == nil {
            guard let uid = Lease.uid(inAlias: link.alias) else { continue }
            changes.append(.deleteLink(.index(link.index)))
            report.removed.append(uid)
        }
        let byName = Dictionary(links.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for lease in leases {
            // The alias is written last but for the host ports: a link without it was never finished.
            guard let link = byName[lease.interface], Lease.uid(inAlias: link.alias) == lease.uid,
                configuration.allows(lease)
            else {
                report.lost.append(lease.uid)
                continue
            }
            let plan = PodLink(lease: lease, configuration: configuration)
            let hasRoute = hops.contains(Hop(plan.address, link.index))
            if !link.isUp || !hasRoute || !neighbours.contains(plan.neighbour(link.index)) {
                changes += plan.hostChanges(link: link.index)
                report.repaired.append(lease.uid)
            }
        }
        let wanted = Set(
            leases.compactMap { lease in byName[lease.interface].map { Hop(.v4(lease.address), $0.index) } })
        for route in ours where route.kind == .unicast {
            if let link = route.link, wanted.contains(Hop(route.destination.address, link)) { continue }
            changes.append(.deleteRoute(route))
        }
        // A deleted interface took its routes with it (ESRCH, ENODEV).
        for case .some(let error) in try routes.attempt(changes) where error.errno != ESRCH && error.errno != ENODEV {
            throw error
        }
    }

    private struct Hop: Hashable {
        let address: IPAddress
        let link: Int32
        init(_ address: IPAddress, _ link: Int32) { (self.address, self.link) = (address, link) }
    }
}

extension HostLinks {
    /// Throws if somebody else's network on this host shares addresses with the pod CIDR. `former` is the node's address of
    /// an earlier configuration.
    mutating func checkForOverlap(former: IPv4Address?) throws(PodNetworkError) {
        let cidr = configuration.podCIDR
        let names: [Int32: String]
        let addresses: [Address]
        let others: [Route]
        do {
            names = Dictionary(try routes.links().map { ($0.index, $0.name) }, uniquingKeysWith: { first, _ in first })
            addresses = try routes.addresses()
            others = try routes.routes().filter {
                $0.table == 254 && $0.origin != PodNetworkConfiguration.routeProtocol
            }
        } catch {
            throw .netlink(error)
        }
        for address in addresses {
            // The network's first two addresses alone are the node's own: its overlay's and its pod network's.
            let own = [cidr.address, .v4(configuration.nodeAddress)] + (former.map { [.v4($0)] } ?? [])
            let isOwn = own.contains(address.address)
            if isOwn && address.prefixLength == 32 { continue }
            guard let network = CIDR(containing: address.address, prefixLength: address.prefixLength),
                network.overlaps(cidr)
            else { continue }
            let name = names[address.link] ?? "#\(address.link)"
            throw .podCIDRInUse(cidr, by: "\(name) has \(address.address)/\(address.prefixLength)")
        }
        for route in others where cidr.contains(route.destination.address) {
            guard route.destination.prefixLength >= cidr.prefixLength, route.kind == .unicast else { continue }
            throw .podCIDRInUse(cidr, by: "route to \(route.destination)")
        }
    }

    /// The node's address on `lo`, with a scope that keeps it out of every choice of a source address but our routes'; and
    /// an end for packets to addresses that no pod has, which would otherwise leave by the default route.
    var nodeChanges: [Change] {
        [
            .changeLink(.index(1), LinkChange(isUp: true)),
            .setAddress(nodeAddress(configuration.nodeAddress)),
            .setRoute(fallbackRoute(configuration.podCIDR)),
        ]
    }

    /// Sets up what all pods share, in place of what an earlier configuration had.
    mutating func prepare(former: IPv4Address?) throws(NetlinkError) {
        if let former, former != configuration.nodeAddress { try removeNodeAddress(former) }
        try routes.apply(nodeChanges)
        let ours = try routes.routes(origin: PodNetworkConfiguration.routeProtocol)
        let stale = ours.filter { $0.kind == .unreachable && $0.destination != configuration.podCIDR }
        try routes.apply(stale.map { .deleteRoute($0) })
    }

    mutating func removeNodeAddress(_ address: IPv4Address) throws(NetlinkError) {
        for case .some(let error) in try routes.attempt([.deleteAddress(nodeAddress(address))])
        where error.errno != EADDRNOTAVAIL { throw error }
    }

    /// Removes every interface and route of ours, and the node's address. `interfaces` are those that leases name, for a
    /// link that was left before it had its alias.
    mutating func removeEverything(nodeAddress address: IPv4Address?, interfaces: Set<String>) throws(NetlinkError) {
        var changes: [Change] = []
        for link in try routes.links() where link.kind == "veth" {
            guard Lease.uid(inAlias: link.alias) != nil || interfaces.contains(link.name) else { continue }
            changes.append(.deleteLink(.index(link.index)))
        }
        for route in try routes.routes(origin: PodNetworkConfiguration.routeProtocol) {
            changes.append(.deleteRoute(route))
        }
        if let address { changes.append(.deleteAddress(nodeAddress(address))) }
        for case .some(let error) in try routes.attempt(changes)
        where ![ESRCH, ENODEV, EADDRNOTAVAIL].contains(error.errno) { throw error }
    }

    private func nodeAddress(_ address: IPv4Address) -> Address {
        Address(link: 1, address: .v4(address), prefixLength: 32, scope: .host)
    }

    private func fallbackRoute(_ cidr: CIDR) -> Route {
        Route(to: cidr, kind: .unreachable, origin: PodNetworkConfiguration.routeProtocol)
    }
}
