import NFTables
import Netlink

/// The table of the family bridge: what a pod sends on a bridge must carry its own Ethernet and IP address, also to its
/// neighbours, which no other table sees.
///
/// A pod has the two from its lease and needs no other: nothing ever asks for the gateway, and IPv6 pods do not ask for
/// each other. So link-local addresses, router advertisements and frames that are neither IP nor ARP go no further than
/// the bridge's port.
struct BridgeRules {
    let configuration: PodNetworkConfiguration
    let name: TableName

    static let sources = "pods"
    static let sources6 = "pods6"

    func table(_ entries: [PodRules.Entry]) -> Table {
        let elements = Dictionary(grouping: entries, by: \.set).mapValues { $0.map(\.element) }
        func from(_ field: PayloadField, _ set: String) -> Rule {
            Rule(
                .lookup(.concatenation(.meta(.inputInterfaceName), .payload(.etherSource), .payload(field)), set: set),
                .verdict(.accept))
        }
        func set(_ name: String, _ type: DataType) -> NamedSet {
            NamedSet(name, key: ElementType(.interfaceName, .etherAddress, type), elements: elements[name] ?? [])
        }
        return Table(
            name, sets: [set(Self.sources, .ipv4Address), set(Self.sources6, .ipv6Address)],
            chains: [
                Chain(
                    "from-pods",
                    rules: [
                        from(.ipSource, Self.sources), from(.arpSourceAddress, Self.sources),
                        from(.ip6Source, Self.sources6), Rule(.verdict(.drop)),
                    ]),
                Chain(
                    "prerouting", hook: BaseChain(.filter, .prerouting, priority: BaseChain.bridgeFilterPriority),
                    rules: [
                        Rule(
                            .match(
                                .meta(.inputInterfaceName), .equal,
                                .interfaceName("\(configuration.hostInterfacePrefix)*")),
                            .verdict(.jump("from-pods")))
                    ]),
            ])
    }

    func entries(for lease: Lease) -> [PodRules.Entry] {
        guard let station = Literal.etherAddress(lease.mac.bytes) else { return [] }
        return lease.addresses.map { address in
            let element = SetElement(
                .interfaceName(lease.interface), station, Literal(CIDR(address)), comment: lease.comment)
            return PodRules.Entry(
                table: name, set: address.isIPv4 ? Self.sources : Self.sources6, element: element)
        }
    }
}
