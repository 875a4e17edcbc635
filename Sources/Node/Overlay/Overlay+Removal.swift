import Linux
import NFTables
import Netlink

extension Overlay {
    /// Removes all that this module made in `networkNamespace`, whatever its configuration was: devices and what is on
    /// them, routes, the nftables table. Fine where nothing is. No ``Overlay`` may be at work there.
    public static func removeEverything(in networkNamespace: borrowing OwnedDescriptor) throws(OverlayError) {
        do {
            var socket = try RouteSocket(in: networkNamespace)
            var kernel = KernelState()
            _ = try kernel.settle(&socket)
            // Without a lease nothing is planned.
            let plan = Plan(configuration: OverlayConfiguration(nodeName: "", backend: .none))
            let entries = plan.entryRepairs(kernel, of: nil).flatMap(\.changes)
            let devices = plan.deviceRepairs(kernel, known: []).repairs.flatMap(\.changes)
            // What went meanwhile, by other hands or with what it was on, is as gone as it should be.
            let changes = entries + devices
            for (change, error) in zip(changes, try socket.attempt(changes)) {
                if let error, !error.isSettledByReading(of: change) { throw error }
            }
            var rules = try NFTablesSocket(in: networkNamespace)
            var change = Transaction()
            change.remove(OverlayRules.table)
            try rules.commit(change)
        } catch {
            throw OverlayError(error)
        }
    }
}
