import Glibc
import Linux
import NFTables
import Netlink

/// The nftables tables in the kernel, kept equal to what ``PodRules`` makes of the leases.
struct HostRules: ~Copyable, Sendable {
    private(set) var rules: PodRules
    private var socket: NFTablesSocket

    init(configuration: PodNetworkConfiguration, namespace: borrowing OwnedDescriptor) throws(SystemError) {
        rules = PodRules(configuration: configuration)
        socket = try NFTablesSocket(in: namespace)
    }

    /// Reads the tables and makes them what they should be, in one transaction. Does nothing if they are that already.
    mutating func synchronise(with leases: [Lease]) throws(NFTablesError) {
        let desired = Dictionary(
            rules.tables(for: leases).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for attempt in 0... {
            do throws(NFTablesError) {
                var change = Transaction()
                let generation = try socket.generation()
                for name in PodRules.names(owner: rules.configuration.owner) {
                    let (current, _) = try socket.snapshot(of: name)
                    if let table = desired[name] {
                        change.append(Transaction.changes(from: current, to: table))
                    } else if current != nil {
                        change.remove(name)
                    }
                }
                return try socket.commit(change, ifGeneration: generation)
            } catch {
                if case .invalid = error {
                    // Somebody put into our table what we would never: nothing of it can be kept.
                    var change = Transaction()
                    for table in desired.values { change.replace(with: table) }
                    return try socket.commit(change)
                }
                guard error.meansStaleView, attempt < 20 else { throw error }
            }
        }
    }

    /// Whether all tables are there; what is in them is not looked at.
    mutating func areThere() throws(NFTablesError) -> Bool {
        let names = Set(try socket.tableNames())
        return rules.configuration.tables.allSatisfy(names.contains)
    }

    /// Whether there are tables of no other pod network.
    mutating func areAlone() throws(NFTablesError) -> Bool {
        let others = PodNetworkConfiguration.otherTables + [rules.configuration.owner]
        return try !socket.tableNames().contains { table in
            table.name.hasPrefix("swiftlet-") && !others.contains(String(table.name.dropFirst("swiftlet-".count)))
        }
    }

    /// Adds one pod's elements. Where the tables are not as they were left, they are made anew from `all`, which include
    /// the pod.
    mutating func add(_ lease: Lease, all: () throws -> [Lease]) throws {
        var change = Transaction()
        for entry in rules.entries(for: lease) {
            change.add(.addElements(entry.table, set: entry.set, [entry.element]))
        }
        try commit(change, all)
    }

    /// Removes one pod's elements; `rest` are the leases without it.
    mutating func remove(_ lease: Lease, rest: () throws -> [Lease]) throws {
        var change = Transaction()
        for entry in rules.entries(for: lease) {
            change.add(.deleteElements(entry.table, set: entry.set, [entry.element]))
        }
        try commit(change, rest)
    }

    /// Takes over other networks that are not masqueraded, in one small transaction.
    mutating func update(_ configuration: PodNetworkConfiguration, all: () throws -> [Lease]) throws {
        let former = rules
        rules = PodRules(configuration: configuration)
        try commit(rules.networkChanges(from: former), all)
    }

    /// Takes over another configuration whose tables may be others.
    mutating func replace(_ configuration: PodNetworkConfiguration, all: () throws -> [Lease]) throws {
        rules = PodRules(configuration: configuration)
        try synchronise(with: try all())
    }

    /// Takes the tables to be those of another configuration, whatever became of the last change.
    mutating func forget(_ configuration: PodNetworkConfiguration) { rules = PodRules(configuration: configuration) }

    private mutating func commit(_ change: Transaction, _ leases: () throws -> [Lease]) throws {
        if change.isEmpty { return }
        do throws(NFTablesError) {
            try socket.commit(change)
        } catch {
            // ENOTEMPTY: a network that overlaps with one that is there.
            var isStale = error.meansStaleView
            if case .refused(_, ENOTEMPTY, _) = error { isStale = true }
            guard isStale else { throw error }
            try synchronise(with: try leases())
        }
    }

    mutating func removeEverything() throws(NFTablesError) {
        let ours = PodRules.names(owner: rules.configuration.owner)
        var change = Transaction()
        for name in try socket.tableNames() where ours.contains(name) { change.remove(name) }
        try socket.commit(change)
    }
}

/// UDP flows that lead nowhere any more, or to nobody although there is somebody now. A flow keeps what its first packet
/// was told for as long as packets come, so the kernel has to be told to forget it.
extension HostRules {
    /// After the pod's elements are gone: flows that it answered.
    mutating func forgetFlows(to lease: Lease) throws(NFTablesError) {
        guard lease.hostPorts.contains(where: { $0.transport == .udp }) else { return }
        for address in lease.addresses {
            try socket.forgetConnections(of: .udp, family: address.isIPv4 ? .ipv4 : .ipv6) { connection in
                connection.answerer.address == address.bytes && connection.answerer != connection.destination
            }
        }
    }

    /// After the pod's elements are there: flows to its ports that were left to the host itself, whose addresses are
    /// `hostAddresses`.
    mutating func forgetFlows(past lease: Lease, hostAddresses: [IPAddress]) throws(NFTablesError) {
        let ports = Set(lease.hostPorts.filter { $0.transport == .udp }.map(\.port))
        if ports.isEmpty { return }
        let local = Set(hostAddresses.map(\.bytes))
        for address in lease.addresses {
            try socket.forgetConnections(of: .udp, family: address.isIPv4 ? .ipv4 : .ipv6) { connection in
                connection.answerer == connection.destination && ports.contains(connection.destination.port)
                    && (local.contains(connection.destination.address) || connection.destination.address.first == 127)
            }
        }
    }
}
