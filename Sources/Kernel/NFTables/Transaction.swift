// A list of changes that the kernel makes together or not at all.

/// Changes to tables in the order they are made. Committed by ``NFTablesSocket/commit(_:ifGeneration:)``: packets see
/// all of them or none.
public struct Transaction: Sendable, Hashable {
    /// One change.
    public enum Operation: Sendable, Hashable {
        /// Makes the table unless it is there.
        case addTable(TableName, comment: String?)
        /// Removes the table with all it holds; fails with ENOENT where there is none.
        case deleteTable(TableName)
        /// Makes the chain, without its rules, unless it is there.
        case addChain(TableName, Chain)
        /// Removes all rules of a chain.
        case flushChain(TableName, String)
        /// Removes an empty chain that nothing refers to.
        case deleteChain(TableName, String)
        /// Makes the set, without its elements, unless it is there.
        case addSet(TableName, NamedSet)
        case flushSet(TableName, String)
        case deleteSet(TableName, String)
        /// Adds elements; one that is there with another value fails with EBUSY or EEXIST.
        case addElements(TableName, set: String, [SetElement])
        /// Removes elements by key; fails with ENOENT if one is missing.
        case deleteElements(TableName, set: String, [SetElement])
        case appendRule(TableName, chain: String, Rule)
        /// Removes the rule that a dump showed under this handle.
        case deleteRule(TableName, chain: String, handle: UInt64)
    }

    public private(set) var operations: [Operation]

    public init(_ operations: [Operation] = []) { self.operations = operations }

    public var isEmpty: Bool { operations.isEmpty }

    /// Adds one change at the end.
    public mutating func add(_ operation: Operation) { operations.append(operation) }

    /// Adds all changes of `other` at the end.
    public mutating func append(_ other: Transaction) { operations += other.operations }

    /// Makes `table` with all it holds, assuming nothing of it is there.
    public mutating func create(_ table: Table) {
        add(.addTable(table.name, comment: table.comment))
        for set in table.sets { add(.addSet(table.name, set)) }
        // All chains first: rules and verdict maps refer to them.
        for chain in table.chains { add(.addChain(table.name, chain)) }
        for set in table.sets where !set.elements.isEmpty {
            add(.addElements(table.name, set: set.name, set.elements))
        }
        for chain in table.chains {
            for rule in chain.rules { add(.appendRule(table.name, chain: chain.name, rule)) }
        }
    }

    /// Removes the table of this name if there is one.
    public mutating func remove(_ name: TableName) {
        // Adding first makes the deletion succeed in every case (`destroy` needs Linux 6.3).
        add(.addTable(name, comment: nil))
        add(.deleteTable(name))
    }

    /// Puts `table` in place of whatever has its name.
    public mutating func replace(with table: Table) {
        remove(table.name)
        create(table)
    }

    /// What makes `current`, a dump or nil where there is no such table, into `desired`. Elements are added and removed
    /// one by one, a chain whose rules differ is emptied and filled again, and where a declaration itself differs the
    /// whole table is replaced. Order of sets and of chains does not count.
    public static func changes(from current: Table?, to desired: Table) -> Transaction {
        var result = Transaction()
        guard let current else {
            result.create(desired)
            return result
        }
        guard current.comment == desired.comment, current.isDeclared(compatiblyWith: desired) else {
            result.replace(with: desired)
            return result
        }
        let name = desired.name
        for set in desired.sets where current[set: set.name] == nil { result.add(.addSet(name, set)) }
        for chain in desired.chains where current[chain: chain.name] == nil { result.add(.addChain(name, chain)) }
        for chain in current.chains {
            let wanted = desired[chain: chain.name]
            if wanted?.rules != chain.rules && !chain.rules.isEmpty { result.add(.flushChain(name, chain.name)) }
        }
        for set in desired.sets { result.changeElements(of: name, from: current[set: set.name], to: set) }
        for chain in desired.chains where current[chain: chain.name]?.rules != chain.rules {
            for rule in chain.rules { result.add(.appendRule(name, chain: chain.name, rule)) }
        }
        for set in current.sets where desired[set: set.name] == nil && !set.flags.contains(.anonymous) {
            result.add(.deleteSet(name, set.name))
        }
        for chain in current.chains where desired[chain: chain.name] == nil {
            result.add(.deleteChain(name, chain.name))
        }
        return result
    }

    private mutating func changeElements(of table: TableName, from current: NamedSet?, to desired: NamedSet) {
        guard let current else {
            if !desired.elements.isEmpty { add(.addElements(table, set: desired.name, desired.elements)) }
            return
        }
        if desired.flags.contains(.interval) { return changeIntervals(of: table, from: current, to: desired) }
        let present = Set(current.elements)
        let wanted = Set(desired.elements)
        let gone = current.elements.filter { !wanted.contains($0) }
        let new = desired.elements.filter { !present.contains($0) }
        if !gone.isEmpty { add(.deleteElements(table, set: desired.name, gone)) }
        if !new.isEmpty { add(.addElements(table, set: desired.name, new)) }
    }
}

extension Transaction {
    /// Whole intervals come and go: the kernel takes a beginning or an end alone for an interval that overlaps.
    private mutating func changeIntervals(of table: TableName, from current: NamedSet, to desired: NamedSet) {
        let present = Interval.all(in: current.elements)
        let wanted = Interval.all(in: desired.elements)
        let gone = Set(present).subtracting(wanted)
        let new = Set(wanted).subtracting(present)
        let removals = present.filter { gone.contains($0) }.flatMap(\.elements)
        let additions = wanted.filter { new.contains($0) }.flatMap(\.elements)
        if !removals.isEmpty { add(.deleteElements(table, set: desired.name, removals)) }
        if !additions.isEmpty { add(.addElements(table, set: desired.name, additions)) }
    }
}

extension Table {
    /// Whether one can become the other without being made anew: what both have is declared alike.
    fileprivate func isDeclared(compatiblyWith other: Table) -> Bool {
        name == other.name && isDormant == other.isDormant
            && sets.allSatisfy { set in other[set: set.name].map { set.isDeclared(like: $0) } ?? true }
            && chains.allSatisfy { chain in
                other[chain: chain.name].map { $0.hook == chain.hook && $0.comment == chain.comment } ?? true
            }
    }
}

extension Transaction.Operation: CustomStringConvertible {
    /// `add element ip swiftlet-proxy frontends (3)`
    public var description: String {
        switch self {
        case .addTable(let table, _): "add table \(table)"
        case .deleteTable(let table): "delete table \(table)"
        case .addChain(let table, let chain): "add chain \(table) \(chain.name)"
        case .flushChain(let table, let chain): "flush chain \(table) \(chain)"
        case .deleteChain(let table, let chain): "delete chain \(table) \(chain)"
        case .addSet(let table, let set): "add \(set.value == nil ? "set" : "map") \(table) \(set.name)"
        case .flushSet(let table, let set): "flush set \(table) \(set)"
        case .deleteSet(let table, let set): "delete set \(table) \(set)"
        case .addElements(let table, let set, let elements): "add element \(table) \(set) (\(elements.count))"
        case .deleteElements(let table, let set, let elements): "delete element \(table) \(set) (\(elements.count))"
        case .appendRule(let table, let chain, let rule):
            "add rule \(table) \(chain) \(Text.rule(rule, in: Table(table)))"
        case .deleteRule(let table, let chain, let handle): "delete rule \(table) \(chain) handle \(handle)"
        }
    }
}
