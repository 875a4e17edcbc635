import Netlink

/// What one pod's lease means in netlink: pure, so that what is made, checked and repaired is one value.
struct PodLink {
    let lease: Lease
    let configuration: PodNetworkConfiguration
    /// The bridge's index, with ``PodNetworkMode/bridge(_:)``.
    let bridge: Int32?

    private var hasIPv6: Bool { lease.addresses.contains { !$0.isIPv4 } }

    /// Both ends under their final names. The host's stays down until the pod's side and the rules are there.
    func pair(podNamespace: Int32) -> VethPair {
        VethPair(
            name: lease.interface, mac: bridge != nil ? nil : PodNetworkConfiguration.gatewayMAC, isUp: false,
            master: bridge,
            peerName: lease.podInterface, peerMAC: lease.mac, peerNamespace: podNamespace, mtu: configuration.mtu)
    }

    // MARK: Inside of the pod

    /// The interface has the index `link`.
    func podChanges(link: Int32) -> [Change] {
        let links: [Change] = [
            .changeLink(.index(1), LinkChange(isUp: true)), .changeLink(.index(link), LinkChange(isUp: true)),
        ]
        let queue = lease.egressBucket.map { [Change.setRootQdisc(link, $0)] } ?? []
        return links + lease.addresses.flatMap { podChanges(link: link, $0) } + queue
    }

    private func podChanges(link: Int32, _ address: IPAddress) -> [Change] {
        let gateway = configuration.gateway(for: address)
        // IPv6 goes by way of the gateway also where it is a bridge: who answers a neighbour solicitation cannot be
        // checked, so pods do not ask each other.
        let isOnNetwork = bridge != nil && address.isIPv4
        let length = isOnNetwork ? configuration.block(of: address)?.cidr.prefixLength : nil
        let atOnce = address.isIPv4 ? [] : [Change.setRoute(Self.localRoute(address, link))]
        return atOnce + [
            .setNeighbour(Neighbour(link: link, address: gateway, mac: PodNetworkConfiguration.gatewayMAC)),
            .setAddress(
                Address(
                    link: link, address: address, prefixLength: length ?? address.bitWidth,
                    flags: address.isIPv4 ? [] : .noDAD)),
            .setRoute(
                Route(
                    to: address.isIPv4 ? .everyIPv4 : .everyIPv6, gateway: gateway, isOnLink: !isOnNetwork, link: link,
                    origin: PodNetworkConfiguration.routeProtocol)),
        ]
    }

    /// The kernel hears of an IPv6 address of its own by way of a work queue, some milliseconds late even without
    /// duplicate address detection (addrconf_dad_work), and drops until then what is sent to it. A route of the same
    /// meaning counts at once.
    static func localRoute(_ address: IPAddress, _ link: Int32) -> Route {
        Route(
            to: CIDR(address), kind: .local, link: link, table: 255, origin: PodNetworkConfiguration.routeProtocol,
            metric: 1024)
    }

    /// What brings a pod that runs to what ``podChanges(link:)`` would make now.
    func refreshingChanges(link: Int32) -> [Change] {
        [.changeLink(.index(link), LinkChange(mtu: configuration.mtu))] + podChanges(link: link)
    }

    // MARK: On the host

    /// The interface has the index `link`.
    func hostChanges(link: Int32) -> [Change] {
        // Before it comes up, when the kernel would make an address of its own. A repair finds it up, and it stays so.
        var changes: [Change] = [.changeLink(.index(link), LinkChange(addrGenMode: AddressGenerationMode.none))]
        if let bridge {
            changes.append(.changeLink(.index(link), LinkChange(master: bridge)))
            // A pod that calls its own host port gets its packets back through the port they came from.
            changes.append(
                .changeLink(.index(link), LinkChange(bridgePort: BridgePortSettings(hairpin: true))))
        }
        // A link without an alias was never finished.
        let name = LinkChange(
            isUp: true, alias: lease.alias(owner: configuration.owner), mtu: configuration.mtu, ipv4: ipv4Settings)
        changes.append(.changeLink(.index(link), name))
        if let address = linkAddress(link) { changes.append(.setAddress(address)) }
        changes += neighbours(link).map { .setNeighbour($0) }
        changes += routes(link).map { .setRoute($0) }
        if let bucket = lease.ingressBucket { changes.append(.setRootQdisc(link, bucket)) }
        return changes
    }

    /// Strict reverse path: a pod sends from its own address and no other. The tables' `sources` chains see to that too,
    /// but may be flushed; of ports of a bridge the `bridge` table does. route_localnet: a host port answers on 127.0.0.1
    /// too; the table's `input` chain keeps pods from the host's other loopback services.
    private var ipv4Settings: [IPv4Setting: UInt32] {
        bridge != nil ? [:] : [.reversePathFilter: 1, .routeLocalnet: lease.hostPorts.isEmpty ? 0 : 1]
    }

    /// The gateway of a point-to-point pod's IPv6, on the host's end. With it goes the route to the link's own
    /// addresses: a pod that lost its neighbour entry can ask.
    func linkAddress(_ link: Int32) -> Address? {
        guard bridge == nil, hasIPv6 else { return nil }
        return Address(link: link, address: PodNetworkConfiguration.gatewayIPv6, prefixLength: 64, flags: .noDAD)
    }

    /// Where the pod is to be found: nothing ever asks for it, so nobody else can answer.
    func neighbours(_ link: Int32) -> [Neighbour] {
        lease.addresses.map { Neighbour(link: bridge ?? link, address: $0, mac: lease.mac) }
    }

    /// A bridge has one route for all its pods.
    func routes(_ link: Int32) -> [Route] {
        guard bridge == nil else { return [] }
        let origin = PodNetworkConfiguration.routeProtocol
        var routes = lease.addresses.map { address in
            Route(
                to: CIDR(address), link: link, source: configuration.nodeAddress(isIPv4: address.isIPv4),
                origin: origin, scope: address.isIPv4 ? .link : .universe)
        }
        if hasIPv6 && !lease.hostPorts.isEmpty { routes.append(Self.loopbackRoute(link)) }
        return routes
    }

    /// What route_localnet is to 127.0.0.1: the kernel takes a packet for ::1 (an answer to a host port that was called
    /// by that address, translated back) only through an interface with a route of its own to ::1. From outside no such
    /// packet comes this far (ip6_rcv drops it). The metric is one's own, or two such routes would be one.
    static func loopbackRoute(_ link: Int32) -> Route {
        Route(
            to: CIDR(.v6(IPv6Address(high: 0, low: 1))), kind: .local, link: link, table: 255,
            origin: PodNetworkConfiguration.routeProtocol, metric: 1 << 24 | UInt32(bitPattern: link))
    }

    var result: PodAddress {
        PodAddress(
            uid: lease.uid, addresses: lease.addresses, gateways: lease.addresses.map(configuration.gateway),
            mac: lease.mac, hostInterface: lease.interface, mtu: configuration.mtu)
    }
}
