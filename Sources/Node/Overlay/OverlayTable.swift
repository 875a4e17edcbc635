import NFTables

/// The nftables table in the kernel, kept equal to ``OverlayRules``.
struct OverlayTable: ~Copyable, Sendable {
    private var socket: NFTablesSocket
    /// The generation of all rules at which the table was as wanted: as long as it lasts nobody has changed anything.
    private var settled: (table: Table?, generation: UInt32)?
    /// Why the table is not as it should be.
    private(set) var problem: OverlayProblem?

    init(_ socket: consuming NFTablesSocket) { self.socket = socket }

    /// Makes the table what is wanted; nil: none.
    mutating func converge(to wanted: Table?) {
        do throws(NFTablesError) {
            try synchronise(with: wanted)
            problem = nil
        } catch {
            settled = nil
            problem = OverlayProblem(
                .refused, "\(OverlayRules.table)", "table \(OverlayRules.table): \(error); it is tried again")
        }
    }

    private mutating func synchronise(with wanted: Table?) throws(NFTablesError) {
        if let settled, settled.table == wanted, try socket.generation() == settled.generation { return }
        settled = nil
        for attempt in 0... {
            do throws(NFTablesError) {
                let (current, generation) = try socket.snapshot(of: OverlayRules.table)
                let change = Self.change(from: current, to: wanted)
                if change.isEmpty {
                    settled = (wanted, generation)
                    return
                }
                try socket.commit(change, ifGeneration: generation)
                continue
            } catch {
                if case .invalid = error {
                    // Somebody put into our table what we would never: nothing of it can be kept.
                    return try socket.commit(Self.replacement(wanted))
                }
                guard error.meansStaleView, attempt < 20 else { throw error }
            }
            guard attempt < 20 else { return }
        }
    }

    private static func change(from current: Table?, to wanted: Table?) -> Transaction {
        if let wanted { return Transaction.changes(from: current, to: wanted) }
        return current == nil ? Transaction() : replacement(nil)
    }

    private static func replacement(_ wanted: Table?) -> Transaction {
        var change = Transaction()
        if let wanted { change.replace(with: wanted) } else { change.remove(OverlayRules.table) }
        return change
    }
}
