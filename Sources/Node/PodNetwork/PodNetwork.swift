// PodNetwork: addresses, an interface and host ports for each pod of this host, and the way from them to the outside.
//
// Every pod has a veth pair, point to point: `eth0` in the pod with its addresses as /32 and /128 and default routes by
// way of 169.254.1.1 and fe80::1, which is whatever answers on the host's end; on the host a route per address to that
// end. All neighbour entries are permanent, so nothing ever asks by ARP and no proxy_arp is needed. Every packet, also
// between two pods of this host, passes the host's forward hook, where policy and the service proxy see it. A bridge is
// there for those who want one (``PodNetworkMode``).
//
// Everything is kept twice: as leases on disk (who has which addresses and host ports, written before they are used) and
// in the kernel. `reconcile` compares the two and removes what has no owner.
import Glibc
import Linux
import Netlink
import Synchronization

/// The pod network of one host (one network namespace), or one of several with ``PodNetworkConfiguration/owner``s of
/// their own.
///
/// Calls block and may come from any thread: call them off the cooperative pool. `attach` takes about a millisecond;
/// `detach` as long as the kernel takes to delete an interface, mostly an RCU grace period of tens of milliseconds, during
/// which other pods are attached and detached.
public final class PodNetwork: Sendable {
    /// What `init` changed on this host beyond Swiftlet's own objects, for the log.
    public let notes: [String]
    let state: Mutex<PodNetworkState>
    private let namespace: OwnedDescriptor

    /// As it is now: it changes with ``update(unmasqueraded:mtu:)`` and ``update(podCIDRs:)``.
    public var configuration: PodNetworkConfiguration { state.withLock { $0.configuration } }

    /// The host's own addresses in the pod network, each the first after its network's: what pods see when the host
    /// itself calls them, and what they can call the host by. In the order of ``PodNetworkConfiguration/podCIDRs``.
    public var nodeAddresses: [IPAddress] { configuration.blocks.map(\.node) }

    /// The first of ``nodeAddresses``.
    public var nodeAddress: IPAddress { nodeAddresses.first ?? .v4(IPv4Address(0)) }

    /// Takes over the pod network of the caller's network namespace; see ``init(configuration:directory:in:isBrief:)``.
    public convenience init(configuration: PodNetworkConfiguration, directory: String) throws(PodNetworkError) {
        try self.init(configuration: configuration, directory: directory, in: try currentNamespace())
    }

    /// Takes over the pod network of `networkNamespace`: reads the leases in `directory`, sets up the node's addresses,
    /// the routes for addresses that no pod has and the nftables tables, and switches forwarding on (recorded, see
    /// ``removeEverything(directory:in:waits:)``). Pods that are attached stay so. Follow with ``reconcile(live:)``.
    ///
    /// Owns `directory` (made if missing) as long as the value lives; a second owner fails.
    /// - Parameter isBrief: for an owner that lives for one request (a CNI plugin). It waits for another owner to end, and
    ///   where an owner with this configuration was here before, since the host was booted, takes what that one set up to
    ///   be there still, but for tables that are gone as a whole.
    public init(
        configuration: PodNetworkConfiguration, directory: String, in networkNamespace: borrowing OwnedDescriptor,
        isBrief: Bool = false
    ) throws(PodNetworkError) {
        try configuration.validate()
        do {
            var leases = try AddressLeases.open(directory, configuration: configuration, waits: isBrief)
            var links = try HostLinks(configuration: configuration, namespace: networkNamespace)
            var rules = try HostRules(configuration: configuration, namespace: networkNamespace)
            var setup = try NodeSetup(directory: directory, configuration: configuration)
            if isBrief, setup.isDone, try links.adopt() {
                if try !rules.areThere() { try rules.synchronise(with: try leases.all()) }
            } else {
                try setup.run(&links, isAlone: try rules.areAlone())
                try rules.synchronise(with: try leases.all())
                try setup.finish()
            }
            notes = setup.notes
            namespace = try networkNamespace.duplicate()
            state = Mutex(
                PodNetworkState(
                    configuration: configuration, directory: directory, leases: leases, links: links, rules: rules))
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Gives the pod addresses, an interface and what else it asks for, or nothing at all. `lo` comes up too.
    ///
    /// A pod that has a lease already (the agent died during an earlier call, or its sandbox was made anew) is detached
    /// first and gets other addresses, unless it names them.
    /// - Parameters:
    ///   - uid: names the pod to ``detach(uid:)`` and ``reconcile(live:)``; at most 128 bytes.
    ///   - name: `namespace/name`, for people who read interfaces, rules and errors.
    ///   - networkNamespace: the pod's.
    ///   - routeSocket: a NETLINK_ROUTE socket opened inside of it, by whoever made it or by ``RouteSocket/init(in:)``.
    public func attach(
        uid: String, name: String, networkNamespace: borrowing OwnedDescriptor, routeSocket: borrowing OwnedDescriptor,
        request: PodNetworkRequest
    ) throws(PodNetworkError) -> PodAddress {
        try Lease.validate(uid: uid)
        do {
            var pod = try RouteSocket(owning: try routeSocket.duplicate())
            let namespace = networkNamespace.number
            return try state.withLock { state in
                try state.attach(uid: uid, name: name, namespace: namespace, pod: &pod, request: request)
            }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// A pod that asks for host ports and nothing else.
    public func attach(
        uid: String, name: String, networkNamespace: borrowing OwnedDescriptor, routeSocket: borrowing OwnedDescriptor,
        hostPorts: [HostPort] = []
    ) throws(PodNetworkError) -> PodAddress {
        try attach(
            uid: uid, name: name, networkNamespace: networkNamespace, routeSocket: routeSocket,
            request: PodNetworkRequest(hostPorts: hostPorts))
    }

    /// Takes everything back that the pod was given: host ports, interface, addresses. Fine for a pod that has nothing, or
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
            return try state.withLock { state in try state.leave(uid: uid) }
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
            (try? state.leases.lease(uid: uid)).flatMap { $0.map { state.links.plan($0).result } }
        }
    }

    /// Makes disk and kernel agree with the pods that live: takes back what others have, repairs the host's side of
    /// those that stay, and says which have to be attached anew. Safe to call at any time; call it after a start.
    @discardableResult
    public func reconcile(live: some Collection<String>) throws(PodNetworkError) -> Reconciliation {
        let live = Set(live)
        do {
            return try state.withLock { state in try state.reconcile(live: live) }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Brings `lo` up where ``attach(uid:name:networkNamespace:routeSocket:request:)`` is not wanted.
    public static func configureLoopback(routeSocket: borrowing OwnedDescriptor) throws(PodNetworkError) {
        do {
            var pod = try RouteSocket(owning: try routeSocket.duplicate())
            try pod.apply([.changeLink(.index(1), LinkChange(isUp: true))])
        } catch {
            throw PodNetworkError(error)
        }
    }
}
