import Linux
import Netlink

/// What is left of a pod once its host ports are gone.
struct Departure: Sendable {
    let lease: Lease?
    let link: Int32?
}

/// Disk and kernel, which change together.
struct PodNetworkState: ~Copyable, Sendable {
    var configuration: PodNetworkConfiguration
    let directory: String
    var leases: AddressLeases
    var links: HostLinks
    var rules: HostRules

    mutating func attach(
        uid: String, name: String, namespace: Int32, pod: inout RouteSocket, request: PodNetworkRequest
    ) throws -> PodAddress {
        try request.validate(configuration)
        if let old = try leases.lease(uid: uid) { try detach(old) }
        try leases.checkHostPorts(request.hostPorts, of: uid)
        let lease = try leases.acquire(uid: uid, name: name, request: request)
        do {
            let address = try links.attach(lease, podNamespace: namespace, pod: &pod)
            try rules.add(lease) { try leases.all() }
            if lease.hostPorts.contains(where: { $0.transport == .udp }) {
                try rules.forgetFlows(past: lease, hostAddresses: try links.hostAddresses())
            }
            return address
        } catch {
            // What cannot be taken back now stays recorded in the lease, for `reconcile`.
            try? detach(lease)
            throw error
        }
    }

    /// The first part of a detachment: host ports go, and what else does not go with the interface. What is left to do is
    /// to delete that, which takes long, and then to release the lease.
    mutating func leave(uid: String) throws -> Departure {
        guard let lease = try leases.lease(uid: uid) else {
            return Departure(lease: nil, link: try links.index(of: configuration.interfaceName(of: uid)))
        }
        try withdraw(lease)
        leases.forgetHostPorts(of: lease)
        return Departure(lease: lease, link: try links.index(of: lease.interface))
    }

    private mutating func withdraw(_ lease: Lease) throws {
        try rules.remove(lease) { try leases.all().filter { $0.uid != lease.uid } }
        try rules.forgetFlows(to: lease)
        try links.forget([lease])
    }

    /// The addresses go last: only when nothing uses them any more may they be given to another.
    mutating func detach(_ lease: Lease) throws {
        try withdraw(lease)
        try links.detach([lease])
        try leases.release(lease)
    }

    mutating func reconcile(live: Set<String>) throws -> Reconciliation {
        var report = Reconciliation()
        let all = try leases.all()
        let gone = all.filter { !live.contains($0.uid) }
        let rest = all.filter { live.contains($0.uid) }
        report.removed = gone.map(\.uid)
        try links.detach(gone)
        try links.reconcile(with: rest, &report)
        try rules.synchronise(with: rest)
        for lease in gone {
            try rules.forgetFlows(to: lease)
            try leases.release(lease)
        }
        try leases.removeUnreadable()
        return report
    }
}
