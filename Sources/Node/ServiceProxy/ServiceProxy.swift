// ServiceProxy: connections to a Service's cluster IP or NodePort go to one of its endpoints, by netfilter rules in the
// table `ip swiftlet-proxy`. One rule set whatever the number of Services; what differs between them is data in maps,
// changed in proportion to what changes. docs/service-proxy.md tells how the table works.
//
// Desired state is a value (`ServicePortRule`), the rule set is a value (`Ruleset.compile`), the difference is a value
// (`RulesetChange`, `Transaction`); `ServiceProxy` keeps the kernel at it.
import Linux
import NFTables

/// Keeps the proxy's table at what it was last told.
///
/// Rules stay when the value or the process goes: the next one adopts what it finds, slot for slot, without a moment in
/// which a Service is not served. ``remove()`` takes the table away.
public actor ServiceProxy {
    /// What one ``apply(_:)`` did.
    public struct Statistics: Sendable, Hashable {
        /// How the kernel was brought to the new state.
        public enum Way: Sendable, Hashable {
            /// It was there already.
            case nothing
            /// By what changed, without reading anything.
            case incremental
            /// By what a dump of an existing table lacked.
            case adopted
            /// By loading everything: there was no table.
            case loaded
        }

        public var way = Way.nothing
        public var elementsAdded = 0
        public var elementsRemoved = 0
        /// Frontends that several Services ask for: who has it, and who does not.
        public var conflicts: [String] = []
        /// UDP flows that led to endpoints which are gone.
        public var flowsForgotten = 0
        /// Why such flows could not be forgotten; the rules are in place all the same.
        public var forgettingFailed: NFTablesError?
    }

    private let loop: EventLoop
    private var socket: NFTablesSocket
    private var ruleset: Ruleset
    /// Whether the kernel holds `ruleset`, as far as we know.
    private var isSynchronised = false
    /// Whether anything was asked for: until then what is in the kernel is left as it is.
    private var isTold = false

    /// The loop's thread does the work: a batch of ten thousand Services keeps it for some tenths of a second.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// `socket` says in which network namespace the table is. Nothing is done before the first ``apply(_:)``.
    public init(configuration: ProxyConfiguration, socket: consuming NFTablesSocket, on loop: EventLoop) {
        self.loop = loop
        self.socket = socket
        ruleset = Ruleset(configuration: configuration)
    }

    /// Makes `services` all that is served. Comparing costs time for each of them, changing only for those that differ.
    @discardableResult
    public func apply(_ services: [ServicePortRule]) throws(NFTablesError) -> Statistics {
        var wanted: Set<ServicePortID> = []
        var changed: [ServicePortRule] = []
        for service in services {
            wanted.insert(service.id)
            if ruleset.entries[service.id]?.rule != service { changed.append(service) }
        }
        return try apply(changed: changed, removed: ruleset.entries.keys.filter { !wanted.contains($0) })
    }

    /// Serves `changed` as they are now and no longer `removed`; whatever else was told before stays. What was never
    /// told is not served: the first call after a start is ``apply(_:)`` with all Services.
    @discardableResult
    public func apply(
        changed: [ServicePortRule], removed: [ServicePortID] = []
    ) throws(NFTablesError) -> Statistics {
        try commit(ruleset.update(changed: changed, removed: removed))
    }

    /// Gives every Service the slots that a fresh start would, so that its endpoints get equal shares again. For once
    /// in a while: between changes shares differ by at most a factor of two.
    @discardableResult
    public func rebalance() throws(NFTablesError) -> Statistics { try commit(ruleset.rebalance()) }

    /// Reads the table and repairs it if others changed it: what was repaired, one line for each operation. Does
    /// nothing before the first ``apply(_:)`` and after ``remove()``.
    public func verify() throws(NFTablesError) -> [String] {
        guard isTold else { return [] }
        return try synchronise(relayout: false).operations.map(\.description)
    }

    /// Goes on with another configuration, but for the table's name: rules are replaced in one transaction, endpoints
    /// keep their slots. Before the first ``apply(_:)`` it is only remembered.
    public func reconfigure(_ wanted: ProxyConfiguration) throws(NFTablesError) {
        var configuration = wanted
        configuration.table = ruleset.configuration.table
        guard configuration != ruleset.configuration else { return }
        ruleset = Ruleset.compile(
            ruleset.entries.values.map(\.rule), configuration: configuration, keeping: SlotLayout(ruleset.table))
        isSynchronised = false
        if isTold { _ = try synchronise(relayout: true) }
    }

    /// Removes the table. The next ``apply(_:)`` makes it again.
    public func remove() throws(NFTablesError) {
        (isSynchronised, isTold) = (false, false)
        ruleset = Ruleset(configuration: ruleset.configuration)
        var transaction = Transaction()
        transaction.remove(ruleset.configuration.table)
        try socket.commit(transaction)
    }

    private func commit(_ change: RulesetChange) throws(NFTablesError) -> Statistics {
        isTold = true
        var statistics = Statistics()
        statistics.conflicts = ruleset.conflicts
        if isSynchronised {
            if change.isEmpty { return statistics }
            isSynchronised = false
            do throws(NFTablesError) {
                try socket.commit(change.transaction)
                isSynchronised = true
                statistics.way = .incremental
                (statistics.elementsAdded, statistics.elementsRemoved) =
                    (change.elementsAdded, change.elementsRemoved)
                forget(change.staleFlows, &statistics)
                return statistics
            } catch {
                // Somebody changed our table, or its answer was lost: go by what is there.
                guard error.meansStaleView else { throw error }
            }
        }
        let result = try synchronise(relayout: true)
        statistics.way = result.isFresh ? .loaded : result.operations.isEmpty ? .nothing : .adopted
        for operation in result.operations {
            switch operation {
            case .addElements(_, _, let elements): statistics.elementsAdded += elements.count
            case .deleteElements(_, _, let elements): statistics.elementsRemoved += elements.count
            default: break
            }
        }
        forget(result.staleFlows, &statistics)
        return statistics
    }

    /// Last of all: a packet that comes before would bring the flow back by the old rules.
    private func forget(_ flows: StaleFlows, _ statistics: inout Statistics) {
        if flows.isEmpty { return }
        do throws(NFTablesError) {
            statistics.flowsForgotten = try socket.forgetConnections(of: .udp) { flows.contain($0) }
        } catch { statistics.forgettingFailed = error }
    }

    /// Dumps the table and makes it the rule set. With `relayout` endpoints stay in the slots they have in the kernel.
    private func synchronise(
        relayout: Bool
    ) throws(NFTablesError) -> (operations: [Transaction.Operation], isFresh: Bool, staleFlows: StaleFlows) {
        isSynchronised = false
        for _ in 0..<20 {
            guard let (table, generation) = try dump() else { break }
            let layout = table.map(SlotLayout.init) ?? SlotLayout()
            if relayout, table != nil {
                ruleset = Ruleset.compile(
                    ruleset.entries.values.map(\.rule), configuration: ruleset.configuration, keeping: layout)
            }
            let transaction = ruleset.changes(from: table)
            do throws(NFTablesError) {
                try socket.commit(transaction, ifGeneration: generation)
                isSynchronised = true
                return (transaction.operations, table == nil, ruleset.staleFlows(after: layout))
            } catch {
                guard error.meansStaleView else { throw error }
            }
        }
        // What is there cannot be read, or not fast enough for those who change it: put everything in its place at
        // once.
        var transaction = Transaction()
        transaction.replace(with: ruleset.table)
        try socket.commit(transaction)
        isSynchronised = true
        return (transaction.operations, true, ruleset.staleFlows(after: SlotLayout()))
    }

    /// The table as it is, and its generation; nil if it keeps changing or holds what is not understood.
    private func dump() throws(NFTablesError) -> (table: Table?, generation: UInt32)? {
        do throws(NFTablesError) {
            return try socket.snapshot(of: ruleset.configuration.table)
        } catch {
            switch error {
            case .unsteady, .invalid: return nil
            default: throw error
            }
        }
    }
}
