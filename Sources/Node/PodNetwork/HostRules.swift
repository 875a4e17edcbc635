import Linux
import NFTables

/// The nftables table in the kernel, kept equal to what ``PodRules`` makes of the leases.
struct HostRules: ~Copyable, Sendable {
    private let rules: PodRules
    private var socket: NFTablesSocket

    init(configuration: PodNetworkConfiguration, namespace: borrowing OwnedDescriptor) throws(SystemError) {
        rules = PodRules(configuration: configuration)
        socket = try NFTablesSocket(in: namespace)
    }

    /// Reads the table and makes it what it should be, in one transaction. Does nothing if it is that already.
    mutating func synchronise(with leases: [Lease]) throws(NFTablesError) {
        let desired = rules.table(for: leases)
        for attempt in 0... {
            do throws(NFTablesError) {
                let (current, generation) = try socket.snapshot(of: PodNetworkConfiguration.table)
                let change = Transaction.changes(from: current, to: desired)
                return try socket.commit(change, ifGeneration: generation)
            } catch {
                if case .invalid = error {
                    // Somebody put into our table what we would never: nothing of it can be kept.
                    var change = Transaction()
                    change.replace(with: desired)
                    return try socket.commit(change)
                }
                guard error.meansStaleView, attempt < 20 else { throw error }
            }
        }
    }

    /// Adds one pod's elements. Where the table is not as it was left, it is made anew from `all`, which include the pod.
    mutating func add(_ lease: Lease, all: @autoclosure () -> [Lease]) throws(NFTablesError) {
        let entries = rules.entries(for: lease)
        if entries.isEmpty { return }
        var change = Transaction()
        for entry in entries {
            change.add(.addElements(PodNetworkConfiguration.table, set: entry.set, [entry.element]))
        }
        do throws(NFTablesError) {
            try socket.commit(change)
        } catch {
            guard error.meansStaleView else { throw error }
            try synchronise(with: all())
        }
    }

    /// Removes one pod's elements; `rest` are the leases without it.
    mutating func remove(_ lease: Lease, rest: @autoclosure () -> [Lease]) throws(NFTablesError) {
        let entries = rules.entries(for: lease)
        if entries.isEmpty { return }
        var change = Transaction()
        for entry in entries {
            change.add(.deleteElements(PodNetworkConfiguration.table, set: entry.set, [entry.element]))
        }
        do throws(NFTablesError) {
            try socket.commit(change)
        } catch {
            guard error.meansStaleView else { throw error }
            try synchronise(with: rest())
        }
    }

    mutating func removeEverything() throws(NFTablesError) {
        var change = Transaction()
        change.remove(PodNetworkConfiguration.table)
        try socket.commit(change)
    }
}
