// Random Services come, change and go: the kernel, told only of changes, always has what a fresh start would load.
import NFTables
import Netlink
import Testing

@testable import ServiceProxy

/// A table that takes changes as strictly as the kernel does.
struct StrictTable {
    private(set) var elements: [MapName: [[UInt8]: SetElement]] = [:]
    private(set) var chains: Set<PickChain>

    init(_ table: Table) {
        for map in MapName.allCases {
            elements[map] = Dictionary(
                uniqueKeysWithValues: (table[set: map.rawValue]?.elements ?? []).map { ($0.key, $0) })
        }
        chains = Set(table.chains.compactMap { PickChain(name: $0.name) })
    }

    mutating func apply(_ change: RulesetChange) {
        for chain in change.newChains { #expect(chains.insert(chain).inserted, "\(chain.name) is there already") }
        for (map, list) in change.removed {
            for element in list { #expect(elements[map]?.removeValue(forKey: element.key) == element, "\(map)") }
        }
        for (map, list) in change.added {
            for element in list { #expect(elements[map]?.updateValue(element, forKey: element.key) == nil, "\(map)") }
        }
        for chain in change.obsoleteChains { #expect(chains.remove(chain) != nil) }
        for map in [MapName.frontends, .nodePorts] {
            for element in (elements[map] ?? [:]).values {
                guard case .verdict(.goto(let name)) = element.value, let chain = PickChain(name: name) else {
                    continue
                }
                #expect(chains.contains(chain), "\(name) is gone to, and gone")
            }
        }
    }
}

/// What each frontend does, whatever the layout of its slots.
func behaviour(_ table: Table) -> [Frontend: [Backend: Int]] {
    var result: [Frontend: [Backend: Int]] = [:]
    for map in [MapName.frontends, .nodePorts] {
        for element in table[set: map.rawValue]?.elements ?? [] {
            if let frontend = Frontend(key: element.key) { result[frontend] = [:] }
        }
    }
    for (frontend, backends) in SlotLayout(table).slots {
        for backend in backends { result[frontend, default: [:]][backend, default: 0] += 1 }
    }
    return result
}

private func randomService(_ number: Int, _ dice: inout Dice) -> ServicePortRule {
    let transport = TransportProtocol.allCases[Int.random(in: 0..<3, using: &dice)]
    let id = ServicePortID(namespace: "default", name: "s\(number)", port: "p", transport: transport)
    // Few addresses and ports, so that Services collide.
    let clusterIPs = (0..<Int.random(in: 0...2, using: &dice)).map { _ in
        IPv4Address(0x0a60_0000 + UInt32.random(in: 0..<12, using: &dice))
    }
    let endpoints = (0..<Int.random(in: 0...40, using: &dice)).map { _ in
        ServicePortRule.Endpoint(
            IPv4Address(0x0af4_0000 + UInt32.random(in: 0..<60, using: &dice)),
            UInt16.random(in: 80...82, using: &dice),
            isReady: Int.random(in: 0..<5, using: &dice) > 0, isLocal: Bool.random(using: &dice))
    }
    return ServicePortRule(
        id, clusterIPs: clusterIPs, port: UInt16.random(in: 1...3, using: &dice),
        nodePort: Bool.random(using: &dice) ? UInt16.random(in: 30000...30005, using: &dice) : nil,
        endpoints: endpoints)
}

@Suite struct ChurnTests {
    @Test(arguments: 1...12) func changesAddUpToWhatAFreshStartLoads(seed: UInt64) throws {
        var dice = Dice(state: seed)
        var ruleset = Ruleset(configuration: try configuration())
        var kernel = StrictTable(ruleset.table)
        var services: [ServicePortID: ServicePortRule] = [:]
        for _ in 0..<40 {
            var removed: [ServicePortID] = []
            var changed: [ServicePortRule] = []
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                if Int.random(in: 0..<4, using: &dice) == 0,
                    let victim = services.keys.sorted().randomElement(using: &dice)
                {
                    if !changed.contains(where: { $0.id == victim }) && !removed.contains(victim) {
                        services[victim] = nil
                        removed.append(victim)
                    }
                    continue
                }
                let rule = randomService(Int.random(in: 0..<15, using: &dice), &dice)
                if changed.contains(where: { $0.id == rule.id }) || removed.contains(rule.id) { continue }
                services[rule.id] = rule
                changed.append(rule)
            }
            kernel.apply(ruleset.update(changed: changed, removed: removed))
            if Int.random(in: 0..<10, using: &dice) == 0 { kernel.apply(ruleset.rebalance()) }

            let table = ruleset.table
            let mirror = StrictTable(table)
            #expect(kernel.elements == mirror.elements)
            #expect(kernel.chains == mirror.chains)
            let fresh = Ruleset.compile(Array(services.values), configuration: try configuration())
            let (now, expected) = (behaviour(table), behaviour(fresh.table))
            #expect(now.mapValues { Set($0.keys) } == expected.mapValues { Set($0.keys) })
            for (frontend, shares) in now {
                #expect((shares.values.max() ?? 0) - (shares.values.min() ?? 0) <= 1, "\(frontend)")
            }
            for set in ["cluster-ips", "hairpin"] {
                #expect(Set(table[set: set]?.elements ?? []) == Set(fresh.table[set: set]?.elements ?? []))
            }
            #expect(ruleset.conflicts == fresh.conflicts)
        }
        _ = ruleset.rebalance()
        let fresh = Ruleset.compile(Array(services.values), configuration: try configuration())
        #expect(
            behaviour(ruleset.table).mapValues { $0.values.sorted() }
                == behaviour(fresh.table).mapValues { $0.values.sorted() })
    }
}
