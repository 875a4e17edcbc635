import Glibc
import Linux
import Netlink

/// The host's links, addresses, routes and neighbours that belong to the pod network.
struct HostLinks: ~Copyable, Sendable {
    var configuration: PodNetworkConfiguration
    /// The bridge's index, once it is there (``prepare(former:)``).
    var bridge: Int32?
    var routes: RouteSocket
    let namespace: OwnedDescriptor

    init(configuration: PodNetworkConfiguration, namespace: borrowing OwnedDescriptor) throws(SystemError) {
        let socket = try RouteSocket(in: namespace)
        let copy = try namespace.duplicate()
        self.configuration = configuration
        self.namespace = copy
        routes = socket
    }

    func plan(_ lease: Lease) -> PodLink { PodLink(lease: lease, configuration: configuration, bridge: bridge) }

    /// Makes the link of `lease` and configures both of its ends. On failure the caller calls ``detach(_:)``.
    mutating func attach(
        _ lease: Lease, podNamespace: Int32, pod: inout RouteSocket
    ) throws -> PodAddress {
        let plan = plan(lease)
        let pair = plan.pair(podNamespace: podNamespace)
        if let error = try routes.attempt([.createVeth(pair)]).first ?? nil {
            // Left by an owner that died before it could be asked to detach: the name is this pod's alone. An interface
            // that is in the way inside of the pod is the caller's matter.
            guard error.errno == EEXIST, try routes.link(.name(pair.name)) != nil else { throw error }
            try routes.apply([.deleteLink(.name(pair.name)), .createVeth(pair)])
        }
        guard let link = try routes.link(.name(pair.name)), let peer = link.peer else {
            throw NetlinkError(operation: "get link", subject: pair.name, errno: ENODEV)
        }
        try Self.apply(plan.podChanges(link: peer), to: &pod, interface: lease.podInterface, podNamespace)
        try Self.apply(plan.hostChanges(link: link.index), to: &routes, interface: pair.name, namespace.number)
        return plan.result
    }

    /// Makes changes to one interface, which come with the addresses of that one.
    static func apply(
        _ changes: [Change], to socket: inout RouteSocket, interface: String, _ namespace: Int32
    ) throws {
        let failures = try socket.attempt(changes).compactMap(\.self)
        guard let failure = failures.first(where: { !isAboutNoIPv6($0) }) else { return }
        // Interfaces may come without IPv6 (net.ipv6.conf.default.disable_ipv6), as some runtimes' sandboxes have it.
        let isOff = failure.errno == EACCES || failure.message?.hasPrefix("IPv6 is disabled") ?? false
        guard isOff else { throw failure }
        let copy = OwnedDescriptor(owning: try check(fcntl(namespace, F_DUPFD_CLOEXEC, 3), "fcntl"))
        try NetworkSetting("net/ipv6/conf/\(interface)/disable_ipv6").set("0", in: copy)
        for case .some(let error) in try socket.attempt(changes) where !isAboutNoIPv6(error) { throw error }
    }

    /// An interface without IPv6 (too small for it, or of a kernel without) makes itself no address: what keeps it from
    /// doing so is not needed. That of an address would fail by itself.
    static func isAboutNoIPv6(_ error: NetlinkError) -> Bool {
        error.errno == EAFNOSUPPORT && error.operation == "change link"
    }

    /// Brings the inside of a pod that is attached to what it would be if it were attached now.
    mutating func refresh(_ lease: Lease, pod: inout RouteSocket) throws {
        let plan = plan(lease)
        guard let link = try pod.link(.name(lease.podInterface)) else {
            throw NetlinkError(operation: "get link", subject: lease.podInterface, errno: ENODEV)
        }
        try pod.apply(plan.refreshingChanges(link: link.index))
    }

    /// Removes the links of pods, and with them the kernel removes their routes and neighbours. Fine if there are none.
    mutating func detach(_ leases: [Lease]) throws(NetlinkError) {
        try forget(leases)
        for case .some(let error) in try routes.attempt(leases.map { .deleteLink(.name($0.interface)) })
        where error.errno != ENODEV { throw error }
    }

    /// Removes what of pods does not go with their links: neighbours on the bridge.
    mutating func forget(_ leases: [Lease]) throws(NetlinkError) {
        guard let bridge else { return }
        let neighbours = leases.flatMap { plan($0).neighbours(bridge) }
        for case .some(let error) in try routes.attempt(neighbours.map { .deleteNeighbour($0) })
        where error.errno != ENOENT { throw error }
    }

    /// nil where there is no such interface.
    mutating func index(of interface: String) throws(NetlinkError) -> Int32? {
        try routes.link(.name(interface))?.index
    }

    /// Gives the host's ends of all pods the present MTU.
    mutating func setMTU(of leases: [Lease]) throws(NetlinkError) {
        var changes: [Change] = leases.map {
            .changeLink(.name($0.interface), LinkChange(mtu: configuration.mtu))
        }
        if let bridge { changes.append(.changeLink(.index(bridge), LinkChange(mtu: configuration.mtu))) }
        for case .some(let error) in try routes.attempt(changes) where error.errno != ENODEV { throw error }
    }
}
