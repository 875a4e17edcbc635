// A rule set beside a dump of the kernel: the whole table as a value, and what a restarted agent keeps of what it
// finds.
import NFTables
import Netlink

extension Ruleset {
    /// The whole table, elements in the order of their frontends.
    public var table: Table {
        var table = Skeleton(configuration: configuration).table(picking: chains)
        var content = RulesetChange(configuration: configuration)
        for frontend in frontends.keys.sorted() {
            guard let owner = frontends.owner(of: frontend), let entry = entries[owner] else { continue }
            content.frontend(frontend, from: nil, to: FrontendState(comment: owner.comment, slots: entry.slots))
        }
        for address in addresses.keys.sorted() {
            content.address(address, from: nil, to: addresses.owner(of: address)?.service)
        }
        for address in hairpins.keys.sorted() {
            content.hairpin(address, from: nil, to: hairpins.owner(of: address)?.service)
        }
        for index in table.sets.indices {
            guard let map = MapName(rawValue: table.sets[index].name), map != .nodePortIPs else { continue }
            table.sets[index].elements = content.added[map] ?? []
        }
        return table
    }

    /// What makes `current`, a dump of the table or nil, into this rule set: everything if there is nothing, and
    /// element by element otherwise.
    public func changes(from current: Table?) -> Transaction { Transaction.changes(from: current, to: table) }
}

extension Ruleset {
    /// The flows that are stale after a table with the slots of `layout` became this rule set.
    func staleFlows(after layout: SlotLayout) -> StaleFlows {
        var flows = StaleFlows()
        for frontend in Set(frontends.keys).union(layout.slots.keys) {
            let slots = frontends.owner(of: frontend).flatMap { entries[$0]?.slots } ?? []
            flows.note(frontend, from: layout.slots[frontend] ?? [], to: slots)
        }
        return flows
    }
}

/// Which endpoint each slot of each frontend had, as a table in the kernel says: a restarted agent keeps to it.
public struct SlotLayout: Sendable {
    var slots: [Frontend: [Backend]] = [:]
    var chains: Set<PickChain> = []

    /// Of nothing.
    public init() {}

    /// Of what `table`, a dump, holds. Slots that do not follow one another from 0 are ignored.
    public init(_ table: Table) {
        var found: [Frontend: [Int: Backend]] = [:]
        for (name, set) in [(MapName.endpoints, 16), (.nodePortEndpoints, 12)] {
            for element in table[set: name.rawValue]?.elements ?? [] {
                guard element.key.count == set, case .data(let bytes) = element.value,
                    let frontend = Frontend(key: Array(element.key.dropLast(4))), let backend = Backend(bytes: bytes)
                else { continue }
                let slot = element.key.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                found[frontend, default: [:]][slot] = backend
            }
        }
        for (frontend, backends) in found {
            slots[frontend] = Array((0..<backends.count).map { backends[$0] }.prefix { $0 != nil }.compactMap { $0 })
        }
        chains = Set(table.chains.compactMap { PickChain(name: $0.name) })
    }
}

extension Frontend {
    /// From a key of `frontends` or `nodeports`: parts padded to four bytes.
    init?(key: [UInt8]) {
        let bytes = key.count == 12 ? Array(key.dropFirst(4)) : key
        guard bytes.count == 8, let transport = TransportProtocol(rawValue: bytes[0]) else { return nil }
        let port = UInt16(bytes[4]) << 8 | UInt16(bytes[5])
        if key.count == 12 {
            self = .cluster(IPv4Address(key.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }), transport, port)
        } else {
            self = .node(transport, port)
        }
    }
}

extension Backend {
    /// From the data of `endpoints`: an address, and a port padded to four bytes.
    init?(bytes: [UInt8]) {
        guard bytes.count == 8 else { return nil }
        let address = bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        self.init(IPv4Address(address), UInt16(bytes[4]) << 8 | UInt16(bytes[5]))
    }
}
