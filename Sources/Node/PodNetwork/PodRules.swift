import NFTables
import Netlink

/// The table `ip swiftlet-pods` as a value: host ports, and masquerading to the outside.
///
/// There is no chain that accepts forwarded packets: an accept in one table never overrides a drop in another, so a host
/// firewall that drops what it forwards has to be told of the pod CIDR itself.
struct PodRules {
    let configuration: PodNetworkConfiguration

    static let wildcardMap = "host-ports"
    static let addressMap = "host-ports-at"
    static let hairpinSet = "hairpin"

    /// An element and the map or set it belongs to.
    struct Entry: Sendable, Hashable {
        let set: String
        let element: SetElement
    }

    /// The whole table for the pods of `leases`.
    func table(for leases: [Lease]) -> Table {
        let entries = Dictionary(grouping: leases.flatMap(entries), by: \.set).mapValues { $0.map(\.element) }
        let target = NamedSet.Value.data(ElementType(.ipv4Address, .inetService))
        return Table(
            PodNetworkConfiguration.table,
            sets: [
                NamedSet(
                    Self.wildcardMap, key: ElementType(.inetProtocol, .inetService), value: target,
                    elements: entries[Self.wildcardMap] ?? []),
                NamedSet(
                    Self.addressMap, key: ElementType(.ipv4Address, .inetProtocol, .inetService), value: target,
                    elements: entries[Self.addressMap] ?? []),
                NamedSet(
                    Self.hairpinSet, key: ElementType(.ipv4Address, .ipv4Address),
                    elements: entries[Self.hairpinSet] ?? []),
            ],
            chains: chains)
    }

    /// What one pod adds to the maps: nothing, unless it has host ports.
    func entries(for lease: Lease) -> [Entry] {
        let address = Literal.ipv4(lease.address.value)
        var comment = lease.name
        while comment.utf8.count > 127 { comment.removeLast() }
        var entries = lease.hostPorts.map { port in
            let target = SetElement.Value.data(address, .port(port.containerPort))
            let transport = Literal.transport(port.transport)
            if case .v4(let host) = port.hostIP {
                return Entry(
                    set: Self.addressMap,
                    element: SetElement(
                        .ipv4(host.value), transport, .port(port.port), value: target, comment: comment))
            }
            return Entry(
                set: Self.wildcardMap,
                element: SetElement(transport, .port(port.port), value: target, comment: comment))
        }
        if !entries.isEmpty {
            // A pod that calls its own host port must not see its own address as the caller's.
            entries.append(Entry(set: Self.hairpinSet, element: SetElement(address, address, comment: comment)))
        }
        return entries
    }

    private var chains: [Chain] {
        [
            Chain(
                "host-ports-of-host",
                rules: [
                    Rule(
                        .destinationNAT(
                            .mapped(
                                .map(
                                    .concatenation(
                                        .payload(.ipDestination), .meta(.transportProtocol),
                                        .payload(.transportDestination)), map: Self.addressMap)))),
                    Rule(
                        .match(.fibType(.destinationAddress), .equal, .localAddress),
                        .destinationNAT(
                            .mapped(
                                .map(
                                    .concatenation(.meta(.transportProtocol), .payload(.transportDestination)),
                                    map: Self.wildcardMap)))),
                ]),
            Chain(
                "prerouting",
                hook: BaseChain(.nat, .prerouting, priority: BaseChain.destinationNATPriority),
                // From the wire nobody may ask for 127.0.0.1, host port or not.
                rules: [
                    Rule(
                        .match(.payload(.ipDestination), .notEqual, loopback),
                        .verdict(.jump("host-ports-of-host")))
                ]),
            Chain(
                "output", hook: BaseChain(.nat, .output, priority: BaseChain.destinationNATPriority),
                rules: [Rule(.verdict(.jump("host-ports-of-host")))]),
            Chain(
                "postrouting", hook: BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority),
                rules: sourceRules),
            Chain(
                "input", hook: BaseChain(.filter, .input, priority: BaseChain.filterPriority),
                // route_localnet, which host ports on 127.0.0.1 need, would let pods reach the host's loopback services.
                rules: [
                    Rule(
                        .match(
                            .meta(.inputInterfaceName), .equal,
                            .interfaceName("\(configuration.hostInterfacePrefix)*")),
                        .match(.payload(.ipDestination), .equal, loopback),
                        .match(.conntrack(.state), .hasAnyOf, .state(.invalid, .new)),
                        .verdict(.drop))
                ]),
        ]
    }

    private var sourceRules: [Rule] {
        let pods = Self.literal(configuration.podCIDR)
        let node = NATTarget.address(.literal(.ipv4(configuration.nodeAddress.value)))
        let hairpin = Rule(
            .match(.conntrack(.status), .hasAnyOf, .status(.dnat)),
            .lookup(.concatenation(.payload(.ipSource), .payload(.ipDestination)), set: Self.hairpinSet),
            .sourceNAT(node))
        let fromLoopback = Rule(
            .match(.payload(.ipSource), .equal, loopback), .match(.payload(.ipDestination), .equal, pods),
            .sourceNAT(node))
        let exceptions = configuration.unmasqueraded.map { network in
            Rule(
                .match(.payload(.ipSource), .equal, pods),
                .match(.payload(.ipDestination), .equal, Self.literal(network)), .verdict(.accept))
        }
        let masquerade = Rule(
            .match(.payload(.ipSource), .equal, pods), .match(.payload(.ipDestination), .notEqual, pods),
            .masquerade(.fullyRandom))
        return [hairpin, fromLoopback] + exceptions + [masquerade]
    }

    private var loopback: Literal { .ipv4(0x7f00_0000, prefixLength: 8) }

    private static func literal(_ cidr: CIDR) -> Literal {
        guard case .v4(let address) = cidr.address else { return .ipv4(0) }
        return .ipv4(address.value, prefixLength: cidr.prefixLength)
    }
}
