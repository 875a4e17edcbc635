// The difference between two rule sets, element by element, and the transaction that makes it.
import NFTables
import Netlink

/// What a change of Services changes in the table.
public struct RulesetChange: Sendable {
    let configuration: ProxyConfiguration
    var removed: [MapName: [SetElement]] = [:]
    var added: [MapName: [SetElement]] = [:]
    var newChains: [PickChain] = []
    var obsoleteChains: [PickChain] = []
    var staleFlows = StaleFlows()

    init(configuration: ProxyConfiguration) { self.configuration = configuration }

    public var elementsAdded: Int { added.values.reduce(0) { $0 + $1.count } }
    public var elementsRemoved: Int { removed.values.reduce(0) { $0 + $1.count } }

    public var isEmpty: Bool { removed.isEmpty && added.isEmpty && newChains.isEmpty && obsoleteChains.isEmpty }

    /// The change as one batch: chains first, for verdicts refer to them; elements go before others come in their
    /// place.
    public var transaction: Transaction {
        var transaction = Transaction()
        let table = configuration.table
        let skeleton = Skeleton(configuration: configuration)
        for pick in newChains {
            let chain = skeleton.chain(pick)
            transaction.add(.addChain(table, chain))
            for rule in chain.rules { transaction.add(.appendRule(table, chain: chain.name, rule)) }
        }
        for map in MapName.allCases {
            if let elements = removed[map] {
                transaction.add(.deleteElements(table, set: map.rawValue, elements))
            }
        }
        for map in MapName.allCases {
            if let elements = added[map] { transaction.add(.addElements(table, set: map.rawValue, elements)) }
        }
        for pick in obsoleteChains {
            transaction.add(.flushChain(table, pick.name))
            transaction.add(.deleteChain(table, pick.name))
        }
        return transaction
    }

    mutating func frontend(_ frontend: Frontend, from old: FrontendState?, to new: FrontendState?) {
        if old == new { return }
        let isNodePort = frontend.isNodePort
        let verdicts: MapName = isNodePort ? .nodePorts : .frontends
        let targets: MapName = isNodePort ? .nodePortEndpoints : .endpoints
        let sameComment = old?.comment == new?.comment
        if !sameComment || old?.slots.count != new?.slots.count {
            if let old { removed[verdicts, default: []].append(Elements.verdict(frontend, old)) }
            if let new { added[verdicts, default: []].append(Elements.verdict(frontend, new)) }
        }
        let (before, after) = (old?.slots ?? [], new?.slots ?? [])
        staleFlows.note(frontend, from: before, to: after)
        for slot in 0..<max(before.count, after.count) {
            let was = slot < before.count ? before[slot] : nil
            let becomes = slot < after.count ? after[slot] : nil
            if was == becomes && sameComment { continue }
            if let was, let old {
                removed[targets, default: []].append(Elements.endpoint(frontend, slot, was, comment: old.comment))
            }
            if let becomes, let new {
                added[targets, default: []].append(Elements.endpoint(frontend, slot, becomes, comment: new.comment))
            }
        }
    }

    mutating func address(_ address: IPv4Address, from old: String?, to new: String?) {
        if old == new { return }
        if let old { removed[.clusterIPs, default: []].append(Elements.clusterIP(address, comment: old)) }
        if let new { added[.clusterIPs, default: []].append(Elements.clusterIP(address, comment: new)) }
    }

    mutating func hairpin(_ address: IPv4Address, from old: String?, to new: String?) {
        if old == new { return }
        if let old { removed[.hairpin, default: []].append(Elements.hairpin(address, comment: old)) }
        if let new { added[.hairpin, default: []].append(Elements.hairpin(address, comment: new)) }
    }
}

/// Elements of the maps. Keys are written out byte by byte: there may be a hundred thousand of them.
enum Elements {
    static func verdict(_ frontend: Frontend, _ state: FrontendState) -> SetElement {
        let chain =
            state.slots.isEmpty
            ? Skeleton.noEndpoints
            : PickChain(isForNodePorts: frontend.isNodePort, slots: state.slots.count).name
        return SetElement(key: key(frontend), value: .verdict(.goto(chain)), comment: state.comment)
    }

    static func endpoint(_ frontend: Frontend, _ slot: Int, _ backend: Backend, comment: String) -> SetElement {
        var key = key(frontend, extra: 4)
        // A slot's number is in the byte order of the host, all that Swift runs on being little-endian.
        let number = UInt32(slot)
        for shift in [0, 8, 16, 24] as [UInt32] { key.append(UInt8(truncatingIfNeeded: number >> shift)) }
        return SetElement(key: key, value: .data(bytes(backend)), comment: comment)
    }

    static func clusterIP(_ address: IPv4Address, comment: String) -> SetElement {
        SetElement(.ipv4(address.value), comment: comment)
    }

    static func hairpin(_ address: IPv4Address, comment: String) -> SetElement {
        SetElement(.ipv4(address.value), .ipv4(address.value), comment: comment)
    }

    /// Each part padded to four bytes: address, protocol, port; without the address for a NodePort.
    private static func key(_ frontend: Frontend, extra: Int = 0) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(12 + extra)
        switch frontend {
        case .cluster(let address, let transport, let port):
            append(address.value, to: &key)
            append(transport, port, to: &key)
        case .node(let transport, let port): append(transport, port, to: &key)
        }
        return key
    }

    private static func bytes(_ backend: Backend) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8)
        append(backend.address.value, to: &bytes)
        bytes.append(UInt8(backend.port >> 8))
        bytes.append(UInt8(backend.port & 0xff))
        bytes.append(0)
        bytes.append(0)
        return bytes
    }

    private static func append(_ address: UInt32, to bytes: inout [UInt8]) {
        bytes.append(UInt8(address >> 24))
        bytes.append(UInt8(address >> 16 & 0xff))
        bytes.append(UInt8(address >> 8 & 0xff))
        bytes.append(UInt8(address & 0xff))
    }

    private static func append(_ transport: TransportProtocol, _ port: UInt16, to bytes: inout [UInt8]) {
        bytes.append(transport.rawValue)
        for _ in 0..<3 { bytes.append(0) }
        bytes.append(UInt8(port >> 8))
        bytes.append(UInt8(port & 0xff))
        bytes.append(0)
        bytes.append(0)
    }
}
