import Netlink

/// What one pod's lease means in netlink: pure, so that what is made, checked and repaired is one value.
struct PodLink {
    let lease: Lease
    let configuration: PodNetworkConfiguration

    var address: IPAddress { .v4(lease.address) }
    var mac: MACAddress { PodNetworkConfiguration.podMAC(lease.address) }

    /// Both ends under their final names. The host's stays down until the pod's side and the rules are there.
    func pair(podNamespace: Int32) -> VethPair {
        VethPair(
            name: lease.interface, mac: PodNetworkConfiguration.gatewayMAC, isUp: false, peerName: "eth0", peerMAC: mac,
            peerNamespace: podNamespace, mtu: configuration.mtu)
    }

    /// Inside of the pod, whose `eth0` has the index `link`.
    func podChanges(link: Int32) -> [Change] {
        let gateway = PodNetworkConfiguration.gateway
        return [
            .changeLink(.index(1), LinkChange(isUp: true)), .changeLink(.index(link), LinkChange(isUp: true)),
            .setNeighbour(Neighbour(link: link, address: gateway, mac: PodNetworkConfiguration.gatewayMAC)),
            .setAddress(Address(link: link, address: address, prefixLength: 32)),
            .setRoute(
                Route(
                    to: Self.everywhere, gateway: gateway, isOnLink: true, link: link,
                    origin: PodNetworkConfiguration.routeProtocol)),
        ]
    }

    /// On the host, where the interface has the index `link`.
    func hostChanges(link: Int32) -> [Change] {
        [.changeLink(.index(link), settings), .setNeighbour(neighbour(link)), .setRoute(route(link))]
    }

    var settings: LinkChange {
        // Strict reverse path: a pod sends from its own address and no other. route_localnet: a host port answers on
        // 127.0.0.1 too; the table's input chain keeps pods from the host's other loopback services.
        LinkChange(
            isUp: true, alias: lease.alias,
            ipv4: [.reversePathFilter: 1, .routeLocalnet: lease.hostPorts.isEmpty ? 0 : 1])
    }

    func neighbour(_ link: Int32) -> Neighbour { Neighbour(link: link, address: address, mac: mac) }

    func route(_ link: Int32) -> Route {
        Route(
            to: CIDR(address), link: link, source: .v4(configuration.nodeAddress),
            origin: PodNetworkConfiguration.routeProtocol, scope: .link)
    }

    private static let everywhere = CIDR.everyIPv4

    var result: PodAddress {
        PodAddress(
            uid: lease.uid, address: address, gateway: PodNetworkConfiguration.gateway, mac: mac,
            hostInterface: lease.interface, mtu: configuration.mtu)
    }
}
