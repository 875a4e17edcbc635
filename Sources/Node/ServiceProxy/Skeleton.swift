// The rules: as many for ten thousand Services as for one. What differs between Services is in the elements of the
// maps.
import NFTables
import Netlink

/// A chain that sends a connection to one of `slots` slots.
struct PickChain: Hashable, Comparable {
    var isForNodePorts: Bool
    var slots: Int

    var name: String { (isForNodePorts ? "nodeport-pick-" : "pick-") + "\(slots)" }

    init(isForNodePorts: Bool, slots: Int) { (self.isForNodePorts, self.slots) = (isForNodePorts, slots) }

    /// The reverse of ``name``.
    init?(name: String) {
        let prefix = name.hasPrefix("nodeport-pick-") ? "nodeport-pick-" : "pick-"
        guard name.hasPrefix(prefix), let slots = Int(name.dropFirst(prefix.count)), slots > 0 else { return nil }
        self.init(isForNodePorts: prefix != "pick-", slots: slots)
    }

    static func < (left: Self, right: Self) -> Bool {
        (left.isForNodePorts ? 1 : 0, left.slots) < (right.isForNodePorts ? 1 : 0, right.slots)
    }
}

/// The table's sets and maps.
enum MapName: String, CaseIterable {
    case frontends
    case nodePorts = "nodeports"
    case endpoints
    case nodePortEndpoints = "nodeport-endpoints"
    case clusterIPs = "cluster-ips"
    case nodePortIPs = "nodeport-ips"
    case hairpin
}

/// Makes the table without its elements.
struct Skeleton {
    let configuration: ProxyConfiguration

    static let noEndpoints = "no-endpoints"
    static let services = "services"

    func table(picking chains: some Sequence<PickChain>) -> Table {
        Table(configuration.table, sets: sets, chains: fixedChains(chains.sorted()))
    }

    // ip daddr . meta l4proto . th dport: `th` serves every transport protocol, where `tcp dport` would ask for TCP.
    private static let clusterKey: [Expression] = [
        .payload(.ipDestination), .meta(.transportProtocol), .payload(.transportDestination),
    ]
    private static let nodeKey: [Expression] = [.meta(.transportProtocol), .payload(.transportDestination)]
    private static let target = ElementType(typeof: .payload(.ipDestination), .payload(.transportDestination))

    /// nft can declare the type of a slot number only by an expression that has it; its modulus means nothing.
    private static let slot = Expression.random(modulus: 2)

    var sets: [NamedSet] { MapName.allCases.compactMap(set) }

    private func set(_ name: MapName) -> NamedSet? {
        switch name {
        case .frontends:
            NamedSet(
                name.rawValue, key: ElementType(.ipv4Address, .inetProtocol, .inetService), value: .verdict,
                comment: "cluster IP, protocol and port of a Service: how many slots")
        case .nodePorts:
            NamedSet(
                name.rawValue, key: ElementType(.inetProtocol, .inetService), value: .verdict,
                comment: "protocol and NodePort of a Service: how many slots")
        case .endpoints:
            NamedSet(
                name.rawValue, key: ElementType(typeof: Self.clusterKey + [Self.slot]), value: .data(Self.target),
                comment: "frontend and slot: the endpoint")
        case .nodePortEndpoints:
            NamedSet(
                name.rawValue, key: ElementType(typeof: Self.nodeKey + [Self.slot]), value: .data(Self.target),
                comment: "NodePort and slot: the endpoint")
        case .clusterIPs: NamedSet(name.rawValue, key: ElementType(.ipv4Address), comment: "every Service's cluster IP")
        case .nodePortIPs: nodePortIPs
        case .hairpin:
            NamedSet(
                name.rawValue, key: ElementType(.ipv4Address, .ipv4Address),
                comment: "endpoints of this node that may call themselves")
        }
    }

    /// Only where the node's addresses are given; otherwise the routing table says which they are.
    private var nodePortIPs: NamedSet? {
        guard case .only(let addresses) = configuration.nodePortAddresses else { return nil }
        return NamedSet(
            MapName.nodePortIPs.rawValue, key: ElementType(.ipv4Address), comment: "where NodePorts answer",
            elements: Set(addresses).sorted().map { SetElement(.ipv4($0.value)) })
    }

    private func fixedChains(_ picks: [PickChain]) -> [Chain] {
        // Where netfilter asks before routing, and for the node's own connections after.
        let priority = BaseChain.destinationNATPriority
        return [noEndpoints] + picks.map(chain) + [
            services,
            Chain(
                "prerouting", hook: BaseChain(.nat, .prerouting, priority: priority),
                rules: [Rule(.verdict(.jump(Self.services)))]),
            Chain(
                "output", hook: BaseChain(.nat, .output, priority: priority),
                rules: [Rule(.verdict(.jump(Self.services)))]),
            postrouting,
        ]
    }

    private var noEndpoints: Chain {
        // A reset reaches the node's own callers at once; an ICMP error would find their socket locked and wait for the
        // first retransmission, one second.
        Chain(Self.noEndpoints, rules: [Rule(.reject(.tcpReset)), Rule(.reject())])
    }

    /// The chain of `pick`.
    func chain(_ pick: PickChain) -> Chain {
        let key = (pick.isForNodePorts ? Self.nodeKey : Self.clusterKey) + [.random(modulus: UInt32(pick.slots))]
        let map = pick.isForNodePorts ? MapName.nodePortEndpoints : MapName.endpoints
        let set = Statement.setMeta(.mark, .or(.meta(.mark), configuration.mark))
        let marking =
            switch configuration.masquerading {
            case .fromOutside(let pods): Rule(.match(.payload(.ipSource), .notEqual, pods.literal), set)
            case .everything: Rule(set)
            }
        return Chain(
            pick.name,
            rules: [marking, Rule(.destinationNAT(.mapped(.map(.concatenation(key), map: map.rawValue))))])
    }

    private var services: Chain {
        var rules = [Rule(.verdictMap(.concatenation(Self.clusterKey), map: MapName.frontends.rawValue))]
        let toNodePort = Statement.verdictMap(.concatenation(Self.nodeKey), map: MapName.nodePorts.rawValue)
        switch configuration.nodePortAddresses {
        case .local:
            rules.append(
                Rule(
                    .match(.fibType(.destinationAddress), .equal, .localAddress),
                    .match(.payload(.ipDestination), .notEqual, .ipv4(0x7f00_0000, prefixLength: 8)), toNodePort))
        case .only:
            rules.append(Rule(.lookup(.payload(.ipDestination), set: MapName.nodePortIPs.rawValue), toNodePort))
        }
        rules.append(
            Rule(
                .lookup(.payload(.ipDestination), set: MapName.clusterIPs.rawValue),
                .verdict(.goto(Self.noEndpoints))))
        if let network = configuration.serviceNetwork {
            rules.append(Rule(.match(.payload(.ipDestination), .equal, network.literal), .verdict(.drop)))
        }
        return Chain(Self.services, rules: rules)
    }

    private var postrouting: Chain {
        let mark = configuration.mark
        let both = Expression.concatenation(.payload(.ipSource), .payload(.ipDestination))
        return Chain(
            "postrouting", hook: BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority),
            rules: [
                Rule(
                    .match(.and(.meta(.mark), mark), .equal, .mark(mark)), .setMeta(.mark, .xor(.meta(.mark), mark)),
                    .masquerade(.fullyRandom)),
                Rule(
                    .match(.conntrack(.status), .hasAnyOf, .status(.dnat)),
                    .lookup(both, set: MapName.hairpin.rawValue), .masquerade(.fullyRandom)),
            ])
    }
}
