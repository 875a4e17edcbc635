import Glibc
import Linux
import Netlink

extension HostLinks {
    /// What the kernel has, as far as it could be ours.
    private struct View {
        let links: [Link]
        let byName: [String: Link]
        let addresses: Set<Place>
        let routes: [Route]
        let neighbours: Set<Neighbour>
        /// Where routes of ours lead.
        let hops: Set<Place>
    }

    /// An address on a link, or the destination of a route over it.
    private struct Place: Hashable {
        let address: IPAddress
        let link: Int32
        init(_ address: IPAddress, _ link: Int32) { (self.address, self.link) = (address, link) }
    }

    private mutating func view() throws(NetlinkError) -> View {
        let links = try routes.links()
        let ours = try routes.routes(origin: PodNetworkConfiguration.routeProtocol)
        return View(
            links: links, byName: Dictionary(links.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }),
            addresses: Set(try routes.addresses().map { Place($0.address, $0.link) }),
            routes: ours, neighbours: Set(try routes.neighbours(of: bridge)),
            hops: Set(ours.compactMap { route in route.link.map { Place(route.destination.address, $0) } }))
    }

    /// Compares the host's side of every link with `leases`, the live pods': repairs what can be repaired from here and
    /// removes interfaces, routes and neighbours of ours that no lease asks for.
    mutating func reconcile(with leases: [Lease], _ report: inout Reconciliation) throws(NetlinkError) {
        let view = try view()
        let leased = Set(leases.map(\.interface))
        var changes: [Change] = []
        for link in view.links where link.kind == "veth" && !leased.contains(link.name) {
            guard let uid = Lease.uid(inAlias: link.alias, owner: configuration.owner) else { continue }
            changes.append(.deleteLink(.index(link.index)))
            report.removed.append(uid)
        }
        var wantedRoutes: Set<Place> = []
        var wantedNeighbours: Set<IPAddress> = []
        for lease in leases {
            let plan = plan(lease)
            guard let link = view.byName[lease.interface] else {
                report.lost.append(lease.uid)
                continue
            }
            // A pod that has to be attached anew keeps what it has until then.
            let places = plan.routes(link.index).map { Place($0.destination.address, link.index) }
            wantedRoutes.formUnion(places)
            wantedNeighbours.formUnion(lease.addresses)
            guard isFinished(link, lease), configuration.allows(lease) else {
                report.lost.append(lease.uid)
                continue
            }
            if try !isWhole(lease, link, view) {
                changes += plan.hostChanges(link: link.index)
                report.repaired.append(lease.uid)
            }
        }
        changes += strayRoutes(view, wantedRoutes).map { .deleteRoute($0) }
        changes += strayNeighbours(view, wantedNeighbours).map { .deleteNeighbour($0) }
        // A deleted interface took its routes and neighbours with it.
        for case .some(let error) in try routes.attempt(changes)
        where ![ESRCH, ENODEV, ENOENT].contains(error.errno) && !Self.isAboutNoIPv6(error) { throw error }
    }

    /// Whether all that a pod has on the host is there.
    private mutating func isWhole(_ lease: Lease, _ link: Link, _ view: View) throws(NetlinkError) -> Bool {
        let plan = plan(lease)
        let places = plan.routes(link.index).map { Place($0.destination.address, link.index) }
        guard link.isUp, link.mtu == configuration.mtu, link.master == bridge, view.hops.isSuperset(of: places),
            view.neighbours.isSuperset(of: plan.neighbours(link.index)),
            bridge == nil || link.bridgePort?.hairpin == true
        else { return false }
        if let address = plan.linkAddress(link.index), !view.addresses.contains(Place(address.address, link.index)) {
            return false
        }
        return try hasQueue(lease, link.index)
    }

    /// Whether what is sent to the pod is as fast as it may be.
    private mutating func hasQueue(_ lease: Lease, _ link: Int32) throws(NetlinkError) -> Bool {
        guard let bucket = lease.ingressBucket else { return true }
        return try routes.rootQdisc(of: link)?.tokenBucket?.isAsListed(for: bucket) ?? false
    }

    /// Whether the link of a lease was finished once, under a configuration like this one.
    private func isFinished(_ link: Link, _ lease: Lease) -> Bool {
        guard Lease.uid(inAlias: link.alias, owner: configuration.owner) == lease.uid else { return false }
        // A pod that was connected in the other way has another gateway.
        return (bridge == nil) == (link.mac == PodNetworkConfiguration.gatewayMAC)
    }

    /// Permanent entries on our own bridge are ours.
    private func strayNeighbours(_ view: View, _ wanted: Set<IPAddress>) -> [Neighbour] {
        guard let bridge else { return [] }
        return view.neighbours.filter {
            $0.link == bridge && $0.state == .permanent && !wanted.contains($0.address)
        }
    }

    /// Routes to pods that are not where they should be. Those of other pod networks lead elsewhere.
    private func strayRoutes(_ view: View, _ wanted: Set<Place>) -> [Route] {
        let ours = Set(
            view.links.filter { Lease.uid(inAlias: $0.alias, owner: configuration.owner) != nil }.map(\.index))
        return view.routes.filter { route in
            // The node's own addresses lie on lo, or on the bridge.
            guard let link = route.link, route.kind == .unicast || route.kind == .local, link != 1, link != bridge,
                ours.contains(link) || configuration.podCIDRs.contains(where: { $0.overlaps(route.destination) })
            else { return false }
            return !wanted.contains(Place(route.destination.address, link))
        }
    }
}
