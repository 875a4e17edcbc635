// PodNetwork: an address, an interface and host ports for each pod of this host, and the way from them to the outside.
//
// Every pod has a veth pair, point to point: `eth0` in the pod with its address as /32 and a default route by way of
// 169.254.1.1, which is whatever answers on the host's end; on the host a /32 route to that end. Both neighbour entries
// are permanent, so nothing ever asks by ARP and no proxy_arp is needed. Every packet, also between two pods of this
// host, passes the host's forward hook, where policy and the service proxy see it.
//
// Everything is kept twice: as leases on disk (who has which address and host ports, written before they are used) and
// in the kernel. `reconcile` compares the two and removes what has no owner.
import Glibc
import Linux
import Netlink
import Synchronization

/// The pod network of one host (one network namespace).
///
/// Calls block and may come from any thread: call them off the cooperative pool. `attach` takes about a millisecond;
/// `detach` as long as the kernel takes to delete an interface, mostly an RCU grace period of tens of milliseconds, during
/// which other pods are attached and detached.
public final class PodNetwork: Sendable {
    public let configuration: PodNetworkConfiguration
    /// What `init` changed on this host beyond Swiftlet's own objects, for the log.
    public let notes: [String]
    private let state: Mutex<PodNetworkState>
    private let namespace: OwnedDescriptor

    /// The host's own address in the pod network, the first after the network's: what pods see when the host itself calls
    /// them, and what they can call the host by.
    public var nodeAddress: IPAddress { .v4(configuration.nodeAddress) }

    /// Takes over the pod network of the caller's network namespace; see ``init(configuration:directory:in:)``.
    public convenience init(configuration: PodNetworkConfiguration, directory: String) throws(PodNetworkError) {
        try self.init(configuration: configuration, directory: directory, in: try currentNamespace())
    }

    /// Takes over the pod network of `networkNamespace`: reads the leases in `directory`, sets up the node's address, the
    /// route for addresses that no pod has and the nftables table, and switches net.ipv4.ip_forward on (recorded, see
    /// ``removeEverything(directory:in:)``). Pods that are attached stay so. Follow with ``reconcile(live:)``.
    ///
    /// Owns `directory` (made if missing) as long as the value lives; a second owner fails.
    public init(
        configuration: PodNetworkConfiguration, directory: String, in networkNamespace: borrowing OwnedDescriptor
    ) throws(PodNetworkError) {
        try configuration.validate()
        do {
            let leases = try AddressLeases.open(directory, configuration: configuration)
            var links = try HostLinks(configuration: configuration, namespace: networkNamespace)
            notes = try prepareNode(directory, configuration, &links, networkNamespace)
            var rules = try HostRules(configuration: configuration, namespace: networkNamespace)
            try rules.synchronise(with: leases.all)
            namespace = try networkNamespace.duplicate()
            state = Mutex(PodNetworkState(leases: leases, links: links, rules: rules))
        } catch {
            throw PodNetworkError(error)
        }
        self.configuration = configuration
    }

    /// Gives the pod an address, an `eth0` and its host ports, or nothing at all. `lo` comes up too.
    ///
    /// A pod that has a lease already (the agent died during an earlier call, or its sandbox was made anew) is detached
    /// first and gets another address.
    /// - Parameters:
    ///   - uid: names the pod to ``detach(uid:)`` and ``reconcile(live:)``; at most 128 bytes.
    ///   - name: `namespace/name`, for people who read interfaces, rules and errors.
    ///   - networkNamespace: the pod's.
    ///   - routeSocket: a NETLINK_ROUTE socket opened inside of it, by whoever made it or by ``RouteSocket/init(in:)``.
    public func attach(
        uid: String, name: String, networkNamespace: borrowing OwnedDescriptor, routeSocket: borrowing OwnedDescriptor,
        hostPorts: [HostPort] = []
    ) throws(PodNetworkError) -> PodAddress {
        try Lease.validate(uid: uid, hostPorts: hostPorts)
        do {
            var pod = try RouteSocket(owning: try routeSocket.duplicate())
            let namespace = networkNamespace.number
            return try state.withLock { state in
                try state.attach(uid: uid, name: name, namespace: namespace, pod: &pod, hostPorts: hostPorts)
            }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Takes everything back that the pod was given: host ports, interface, address. Fine for a pod that has nothing, or
    /// only a part.
    public func detach(uid: String) throws(PodNetworkError) { try finish(try leave(uid: uid)) }

    /// As ``detach(uid:)``, without blocking the caller: the kernel's grace period is waited for on a thread of its own,
    /// and those of several pods overlap.
    public func detachInBackground(uid: String) async throws(PodNetworkError) {
        let departure = try leave(uid: uid)
        guard departure.link != nil else { return try finish(departure) }
        let result: Result<Void, PodNetworkError> = await withCheckedContinuation { continuation in
            runOnThread {
                let result = Result { () throws(PodNetworkError) in try self.finish(departure) }
                continuation.resume(returning: result)
            }
        }
        try result.get()
    }

    private func leave(uid: String) throws(PodNetworkError) -> Departure {
        do {
            return try state.withLock { state in try state.leave(uid: uid, configuration) }
        } catch {
            throw PodNetworkError(error)
        }
    }

    private func finish(_ departure: Departure) throws(PodNetworkError) {
        do {
            if let link = departure.link {
                // Without the lock, and by index: a new interface of the same name is another's.
                var routes = try RouteSocket(in: namespace)
                let error = try routes.attempt([.deleteLink(.index(link))]).first ?? nil
                if let error, error.errno != ENODEV { throw error }
            }
            if let lease = departure.lease { try state.withLock { state in try state.leases.release(lease) } }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// What the pod was given; nil if nothing.
    public func address(uid: String) -> PodAddress? {
        state.withLock { state in
            state.leases[uid: uid].map { PodLink(lease: $0, configuration: configuration).result }
        }
    }

    /// Makes disk and kernel agree with the pods that live: takes back what others have, repairs the host's side of
    /// those that stay, and says which have to be attached anew. Safe to call at any time; call it after a start.
    @discardableResult
    public func reconcile(live: some Collection<String>) throws(PodNetworkError) -> Reconciliation {
        let live = Set(live)
        do {
            return try state.withLock { state in
                var report = Reconciliation()
                let gone = state.leases.all.filter { !live.contains($0.uid) }
                report.removed = gone.map(\.uid)
                try state.links.detach(gone.map(\.interface))
                try state.links.reconcile(with: state.leases.all.filter { live.contains($0.uid) }, &report)
                try state.rules.synchronise(with: state.leases.all.filter { live.contains($0.uid) })
                for lease in gone { try state.leases.release(lease) }
                try state.leases.removeUnreadable()
                return report
            }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Brings `lo` up where ``attach(uid:name:networkNamespace:routeSocket:hostPorts:)`` is not wanted.
    public static func configureLoopback(routeSocket: borrowing OwnedDescriptor) throws(PodNetworkError) {
        do {
            var pod = try RouteSocket(owning: try routeSocket.duplicate())
            try pod.apply([.changeLink(.index(1), LinkChange(isUp: true))])
        } catch {
            throw PodNetworkError(error)
        }
    }
}

/// What is left of a pod once its host ports are gone.
private struct Departure: Sendable {
    let lease: Lease?
    let link: Int32?
}

/// Disk and kernel, which change together.
private struct PodNetworkState: ~Copyable, Sendable {
    var leases: AddressLeases
    var links: HostLinks
    var rules: HostRules

    mutating func attach(
        uid: String, name: String, namespace: Int32, pod: inout RouteSocket, hostPorts: [HostPort]
    ) throws -> PodAddress {
        if let old = leases[uid: uid] { try detach(old) }
        try leases.checkHostPorts(hostPorts, of: uid)
        let lease = try leases.acquire(uid: uid, name: name, hostPorts: hostPorts)
        do {
            let address = try links.attach(lease, podNamespace: namespace, pod: &pod)
            try rules.add(lease, all: leases.all)
            return address
        } catch {
            // What cannot be taken back now stays recorded in the lease, for `reconcile`.
            try? detach(lease)
            throw error
        }
    }

    /// The first part of a detachment: host ports go. What is left to do is to delete the interface, which takes long,
    /// and then to release the lease.
    mutating func leave(uid: String, _ configuration: PodNetworkConfiguration) throws -> Departure {
        guard let lease = leases[uid: uid] else {
            return Departure(lease: nil, link: try links.index(of: configuration.interfaceName(of: uid)))
        }
        try rules.remove(lease, rest: leases.all.filter { $0.uid != uid })
        leases.forgetHostPorts(of: lease)
        return Departure(lease: lease, link: try links.index(of: lease.interface))
    }

    /// The address goes last: only when nothing uses it any more may it be given to another.
    mutating func detach(_ lease: Lease) throws {
        try rules.remove(lease, rest: leases.all.filter { $0.uid != lease.uid })
        try links.detach([lease.interface])
        try leases.release(lease)
    }
}
