// What the table is to be, as a value: compiled from rules for Services, changed in proportion to what changes, and
// compared with the kernel. Pure: no root, no kernel.
import NFTables
import Netlink

/// The desired state of the proxy's table.
public struct Ruleset: Sendable {
    public let configuration: ProxyConfiguration

    /// A Service's port and the slots its endpoints have.
    struct Entry: Sendable {
        var rule: ServicePortRule
        var slots: [Backend]
    }

    private(set) var entries: [ServicePortID: Entry] = [:]
    private(set) var frontends = Claims<Frontend>()
    private(set) var addresses = Claims<IPv4Address>()
    private(set) var hairpins = Claims<IPv4Address>()
    /// How many frontends go through each chain.
    private(set) var uses: [PickChain: Int] = [:]
    /// The chains that the table has: those in use, and those that the next change may take away.
    private(set) var chains: Set<PickChain> = []

    /// The rule set of no Service.
    public init(configuration: ProxyConfiguration) { self.configuration = configuration }

    /// The rule set of `services`; where two have one identity the last counts. Endpoints stay in the slots that
    /// `layout` has for their frontend, as far as they can.
    public static func compile(
        _ services: [ServicePortRule], configuration: ProxyConfiguration, keeping layout: SlotLayout = SlotLayout()
    ) -> Ruleset {
        var ruleset = Ruleset(configuration: configuration)
        ruleset.chains = layout.chains
        _ = ruleset.update(changed: services, keeping: layout)
        return ruleset
    }

    /// Puts `changed` in the place of what has their identities, takes `removed` away, and says what that changes in
    /// the table. Costs work in proportion to the changed Services.
    public mutating func update(
        changed: [ServicePortRule], removed: [ServicePortID] = [], keeping layout: SlotLayout = SlotLayout()
    ) -> RulesetChange {
        replace(
            changed.map { rule in
                let hint = entries[rule.id]?.slots ?? rule.frontends.lazy.compactMap { layout.slots[$0] }.first ?? []
                return Entry(rule: rule, slots: Slots.assign(rule.backends, previous: hint))
            }, removed: removed)
    }

    /// Gives every Service the number of slots that a fresh start would: after endpoints have gone, some of those left
    /// may have twice the slots of others until this is done.
    public mutating func rebalance() -> RulesetChange {
        replace(
            entries.values.compactMap { entry in
                let backends = entry.rule.backends
                guard Slots.number(for: backends.count) != entry.slots.count else { return nil }
                return Entry(
                    rule: entry.rule, slots: Slots.assign(backends, previous: entry.slots, exactly: true))
            }, removed: [])
    }

    /// Frontends that several Services ask for, with who has it and who does not: `10.96.0.1:80/tcp:
    /// default/a:http/tcp, not default/b:http/tcp`.
    public var conflicts: [String] {
        frontends.contested.sorted().map { frontend in
            let owner = frontends.owner(of: frontend)?.description ?? ""
            let losers = frontends.losers(of: frontend).map(\.description).joined(separator: ", ")
            return "\(frontend): \(owner), not \(losers)"
        }
    }

    /// Everything the table holds for a key that Services claim.
    private func state(of frontend: Frontend) -> FrontendState? {
        guard let owner = frontends.owner(of: frontend), let entry = entries[owner] else { return nil }
        return FrontendState(comment: owner.comment, slots: entry.slots)
    }

    private mutating func replace(_ changed: [Entry], removed: [ServicePortID]) -> RulesetChange {
        let unusedBefore = chains.filter { uses[$0, default: 0] == 0 }
        var touched = Touched()
        for entry in changed {
            touched.add(entry.rule)
            if let old = entries[entry.rule.id] { touched.add(old.rule) }
        }
        for id in removed { if let old = entries[id] { touched.add(old.rule) } }

        let frontendsBefore = touched.frontends.map { ($0, state(of: $0)) }
        let addressesBefore = touched.addresses.map { ($0, addresses.owner(of: $0)?.service) }
        let hairpinsBefore = touched.hairpins.map { ($0, hairpins.owner(of: $0)?.service) }
        for entry in changed { put(entry) }
        for id in removed { drop(id) }

        var change = RulesetChange(configuration: configuration)
        for (frontend, before) in frontendsBefore {
            let after = state(of: frontend)
            count(frontend, before, -1)
            count(frontend, after, 1)
            change.frontend(frontend, from: before, to: after)
        }
        for (address, before) in addressesBefore {
            change.address(address, from: before, to: addresses.owner(of: address)?.service)
        }
        for (address, before) in hairpinsBefore {
            change.hairpin(address, from: before, to: hairpins.owner(of: address)?.service)
        }
        let inUse = Set(uses.keys)
        change.newChains = inUse.subtracting(chains).sorted()
        // A chain goes one change later than its last use: kernels before 6.2 refuse both in one batch (EBUSY).
        change.obsoleteChains = unusedBefore.subtracting(inUse).sorted()
        chains = chains.union(inUse).subtracting(change.obsoleteChains)
        return change
    }

    private mutating func put(_ entry: Entry) {
        drop(entry.rule.id)
        let id = entry.rule.id
        for frontend in entry.rule.frontends { frontends.add(id, to: frontend) }
        for address in Set(entry.rule.clusterIPs) { addresses.add(id, to: address) }
        for address in entry.rule.hairpins { hairpins.add(id, to: address) }
        entries[id] = entry
    }

    private mutating func drop(_ id: ServicePortID) {
        guard let old = entries.removeValue(forKey: id) else { return }
        for frontend in old.rule.frontends { frontends.remove(id, from: frontend) }
        for address in Set(old.rule.clusterIPs) { addresses.remove(id, from: address) }
        for address in old.rule.hairpins { hairpins.remove(id, from: address) }
    }

    private mutating func count(_ frontend: Frontend, _ state: FrontendState?, _ step: Int) {
        guard let state, !state.slots.isEmpty else { return }
        let chain = PickChain(isForNodePorts: frontend.isNodePort, slots: state.slots.count)
        let number = uses[chain, default: 0] + step
        uses[chain] = number == 0 ? nil : number
    }
}

/// The keys that a change touches, each once.
private struct Touched {
    var frontends: Set<Frontend> = []
    var addresses: Set<IPv4Address> = []
    var hairpins: Set<IPv4Address> = []

    mutating func add(_ rule: ServicePortRule) {
        frontends.formUnion(rule.frontends)
        addresses.formUnion(rule.clusterIPs)
        hairpins.formUnion(rule.hairpins)
    }
}

/// What the maps hold for one frontend.
struct FrontendState: Hashable {
    var comment: String
    var slots: [Backend]
}

extension ServicePortRule {
    /// Everything it is reached at, each once.
    var frontends: [Frontend] {
        var result: [Frontend] = []
        for address in clusterIPs {
            let frontend = Frontend.cluster(address, id.transport, port)
            if !result.contains(frontend) { result.append(frontend) }
        }
        if let nodePort { result.append(.node(id.transport, nodePort)) }
        return result
    }

    /// Its ready endpoints, sorted, each once.
    var backends: [Backend] {
        let sorted = endpoints.filter(\.isReady).map { Backend($0.address, $0.port) }.sorted()
        var result: [Backend] = []
        result.reserveCapacity(sorted.count)
        for backend in sorted where result.last != backend { result.append(backend) }
        return result
    }

    /// Addresses that may be both ends of a connection.
    var hairpins: Set<IPv4Address> {
        // A headless Service translates nothing.
        if clusterIPs.isEmpty && nodePort == nil { return [] }
        return Set(endpoints.filter { $0.isReady && $0.isLocal }.map(\.address))
    }
}

extension Frontend {
    var isNodePort: Bool {
        if case .node = self { return true }
        return false
    }
}
