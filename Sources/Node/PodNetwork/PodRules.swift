import NFTables
import Netlink

/// The tables `ip swiftlet-<owner>` and `ip6 swiftlet-<owner>` as values: host ports, masquerading to the outside, and
/// what keeps pods from sending in others' names; with a bridge the table `bridge swiftlet-<owner>` too.
///
/// There is no chain that accepts forwarded packets: an accept in one table never overrides a drop in another, so a host
/// firewall that drops what it forwards has to be told of the pod CIDRs itself. And no packet is marked: a mark survives
/// encapsulation, and what was meant for the pod's packet then happens to the overlay's.
struct PodRules {
    var configuration: PodNetworkConfiguration

    static let wildcardMap = "host-ports"
    static let addressMap = "host-ports-at"
    static let hairpinSet = "hairpin"
    static let networkSet = "pod-networks"

    /// An element and the map or set it belongs to.
    struct Entry: Sendable, Hashable {
        let table: TableName
        let set: String
        let element: SetElement
    }

    /// Every table that a pod network of this owner may have.
    static func names(owner: String) -> [TableName] {
        [Family.ipv4, .ipv6, .bridge].map { TableName($0, "swiftlet-\(owner)") }
    }

    /// The whole tables for the pods of `leases`.
    func tables(for leases: [Lease]) -> [Table] {
        let entries = Dictionary(grouping: leases.flatMap(entries), by: \.table)
        var tables = configuration.blocks.map { block in
            let rules = FamilyRules(configuration: configuration, block: block)
            return rules.table(entries[rules.name] ?? [])
        }
        if configuration.mode.bridge != nil {
            let name = TableName(.bridge, "swiftlet-\(configuration.owner)")
            tables.append(BridgeRules(configuration: configuration, name: name).table(entries[name] ?? []))
        }
        return tables
    }

    /// What one pod adds to the maps and sets: nothing, unless it has host ports or is a bridge's port.
    func entries(for lease: Lease) -> [Entry] {
        var entries = configuration.blocks.flatMap { block in
            FamilyRules(configuration: configuration, block: block).entries(for: lease)
        }
        if configuration.mode.bridge != nil {
            let name = TableName(.bridge, "swiftlet-\(configuration.owner)")
            entries += BridgeRules(configuration: configuration, name: name).entries(for: lease)
        }
        return entries
    }

    /// What makes ``networkSet`` say the present networks instead of those of `former`.
    func networkChanges(from former: PodRules) -> Transaction {
        var change = Transaction()
        for block in configuration.blocks {
            let rules = FamilyRules(configuration: configuration, block: block)
            let old = FamilyRules(configuration: former.configuration, block: block)
            let (present, wanted) = (Set(old.networks), Set(rules.networks))
            let gone = SetElement.intervals(of: old.networks.filter { !wanted.contains($0) }.map { Literal($0) })
            let new = SetElement.intervals(of: rules.networks.filter { !present.contains($0) }.map { Literal($0) })
            if !gone.isEmpty { change.add(.deleteElements(rules.name, set: Self.networkSet, gone)) }
            if !new.isEmpty { change.add(.addElements(rules.name, set: Self.networkSet, new)) }
        }
        return change
    }
}

/// What both families' tables share, in the words of one.
struct FamilyRules {
    let configuration: PodNetworkConfiguration
    let block: AddressBlock

    private var isIPv4: Bool { block.cidr.isIPv4 }
    private var source: Expression { .payload(isIPv4 ? .ipSource : .ip6Source) }
    private var destination: Expression { .payload(isIPv4 ? .ipDestination : .ip6Destination) }
    private var addressType: DataType { isIPv4 ? .ipv4Address : .ipv6Address }
    private var loopback: Literal { Literal(isIPv4 ? CIDR.loopbackIPv4 : CIDR.loopbackIPv6) }
    private var pods: Literal { Literal(block.cidr) }
    private var node: NATTarget { .address(.literal(Literal(CIDR(block.node)))) }

    var name: TableName { TableName(isIPv4 ? .ipv4 : .ipv6, "swiftlet-\(configuration.owner)") }

    /// What sees pods' own addresses.
    var networks: [CIDR] {
        CIDR.disjoint([block.cidr] + configuration.unmasqueraded.filter { $0.isIPv4 == isIPv4 })
    }

    func table(_ entries: [PodRules.Entry]) -> Table {
        let elements = Dictionary(grouping: entries, by: \.set).mapValues { $0.map(\.element) }
        let target = NamedSet.Value.data(ElementType(addressType, .inetService))
        func set(_ name: String, _ key: ElementType, _ value: NamedSet.Value? = nil) -> NamedSet {
            NamedSet(name, key: key, value: value, elements: elements[name] ?? [])
        }
        return Table(
            name,
            sets: [
                set(PodRules.wildcardMap, ElementType(.inetProtocol, .inetService), target),
                set(PodRules.addressMap, ElementType(addressType, .inetProtocol, .inetService), target),
                set(PodRules.hairpinSet, ElementType(addressType, addressType)),
                NamedSet(
                    PodRules.networkSet, key: ElementType(addressType), flags: .interval,
                    elements: SetElement.intervals(of: networks.map { Literal($0) })),
            ],
            chains: natChains + (isIPv4 ? [inputChain] : []) + [sourceChain])
    }

    func entries(for lease: Lease) -> [PodRules.Entry] {
        guard let own = lease.addresses.first(where: { $0.isIPv4 == isIPv4 }) else { return [] }
        let address = Literal(CIDR(own))
        let comment = lease.comment
        var entries: [PodRules.Entry] = []
        for port in lease.hostPorts {
            let target = SetElement.Value.data(address, .port(port.containerPort))
            let transport = Literal.transport(port.transport)
            if port.isForAllAddresses(of: own) {
                let element = SetElement(transport, .port(port.port), value: target, comment: comment)
                entries.append(PodRules.Entry(table: name, set: PodRules.wildcardMap, element: element))
            } else if let host = port.hostIP, host.isIPv4 == isIPv4 {
                let element = SetElement(
                    Literal(CIDR(host)), transport, .port(port.port), value: target, comment: comment)
                entries.append(PodRules.Entry(table: name, set: PodRules.addressMap, element: element))
            }
        }
        if !entries.isEmpty {
            // A pod that calls its own host port must not see its own address as the caller's.
            let element = SetElement(address, address, comment: comment)
            entries.append(PodRules.Entry(table: name, set: PodRules.hairpinSet, element: element))
        }
        return entries
    }

    private var natChains: [Chain] {
        let ports = Rule(.verdict(.jump("host-ports-of-host")))
        return [
            Chain("host-ports-of-host", rules: portRules),
            Chain(
                "prerouting", hook: BaseChain(.nat, .prerouting, priority: BaseChain.destinationNATPriority),
                // From the wire nobody may ask for 127.0.0.1, host port or not; of ::1 the kernel sees to that.
                rules: isIPv4
                    ? [Rule(.match(destination, .notEqual, loopback), .verdict(.jump("host-ports-of-host")))] : [ports]),
            Chain(
                "output", hook: BaseChain(.nat, .output, priority: BaseChain.destinationNATPriority), rules: [ports]),
            Chain(
                "postrouting", hook: BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority),
                rules: sourceRules),
        ]
    }

    private var portRules: [Rule] {
        let transport = [Expression.meta(.transportProtocol), .payload(.transportDestination)]
        return [
            Rule(.destinationNAT(.mapped(.map(.concatenation([destination] + transport), map: PodRules.addressMap)))),
            Rule(
                .match(.fibType(.destinationAddress), .equal, .localAddress),
                .destinationNAT(.mapped(.map(.concatenation(transport), map: PodRules.wildcardMap)))),
        ]
    }

    private var sourceRules: [Rule] {
        let hairpin = Rule(
            .match(.conntrack(.status), .hasAnyOf, .status(.dnat)),
            .lookup(.concatenation(source, destination), set: PodRules.hairpinSet), .sourceNAT(node))
        let fromLoopback = Rule(
            .match(source, .equal, loopback), .match(destination, .equal, pods), .sourceNAT(node))
        let masquerade = Rule(
            .match(source, .equal, pods), .lookup(destination, set: PodRules.networkSet, negated: true),
            .masquerade(.fullyRandom))
        return [hairpin, fromLoopback] + (configuration.masquerades ? [masquerade] : [])
    }

    /// Interfaces that pods' packets come in through.
    private var fromPods: Statement {
        .match(
            .meta(.inputInterfaceName), .equal,
            .interfaceName(configuration.mode.bridge ?? "\(configuration.hostInterfacePrefix)*"))
    }

    /// route_localnet, which host ports on 127.0.0.1 need, would let pods reach the host's loopback services.
    private var inputChain: Chain {
        Chain(
            "input", hook: BaseChain(.filter, .input, priority: BaseChain.filterPriority),
            rules: [
                Rule(
                    fromPods, .match(destination, .equal, loopback),
                    .match(.conntrack(.state), .hasAnyOf, .state(.invalid, .new)), .verdict(.drop))
            ])
    }

    /// A source that is not reached by the interface it came in through is not its sender's. IPv6 has no reverse path
    /// filter, and IPv4's is a loose one where the host wants it so for all interfaces (net.ipv4.conf.all.rp_filter 2,
    /// the greater value counts). One lookup in the routing table for a packet from a pod; no element per pod. What other
    /// hosts send may come another way than answers go.
    private var sourceChain: Chain {
        let devices = Self.overlayDevices.filter { $0.hasPrefix(configuration.hostInterfacePrefix) }
        let exceptions = (configuration.mode.bridge == nil ? devices : []).map { name in
            Statement.match(.meta(.inputInterfaceName), .notEqual, .interfaceName("\(name)*"))
        }
        let isSpoofed = Statement.match(.fibRoute([.sourceAddress, .inputInterface]), .equal, .missing)
        return Chain(
            "sources", hook: BaseChain(.filter, .prerouting, priority: BaseChain.rawPriority),
            rules: [Rule([fromPods] + exceptions + [isSpoofed, .verdict(.drop)])])
    }

    /// What names of an overlay's devices begin with (OverlayConfiguration): a pod's interface may begin so, but has no dot.
    private static let overlayDevices = ["swiftlet.", "swiftlet6.", "swiftle4.", "swiftle6."]
}

extension Lease {
    /// For the elements of sets and maps, which take 127 bytes.
    var comment: String {
        var text = name
        while text.utf8.count > 127 { text.removeLast() }
        return text
    }
}

extension CIDR {
    fileprivate static let loopbackIPv4 = CIDR(containing: .v4(IPv4Address(0x7f00_0000)), prefixLength: 8) ?? .everyIPv4
    fileprivate static let loopbackIPv6 = CIDR(.v6(IPv6Address(high: 0, low: 1)))
}

extension Literal {
    /// An address or a network of either family.
    init(_ cidr: CIDR) {
        switch cidr.address {
        case .v4(let address): self = .ipv4(address.value, prefixLength: cidr.prefixLength)
        case .v6(let address): self = .ipv6(address.bytes, prefixLength: cidr.prefixLength) ?? .ipv4(0)
        }
    }
}
