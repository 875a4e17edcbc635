import Linux
import Netlink

/// What changes while pods run.
extension PodNetwork {
    /// Takes over which networks see pods' own addresses besides the pod CIDRs (one small transaction), and the MTU, on the
    /// host's ends at once. Pods' own interfaces follow with ``refresh(uid:routeSocket:)``.
    public func update(unmasqueraded: [CIDR], mtu: UInt32) throws(PodNetworkError) {
        do {
            try state.withLock { state in try state.update(unmasqueraded: unmasqueraded, mtu: mtu) }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Takes over other pod CIDRs. Pods whose addresses lie in them stay as they are; the others are in the result's
    /// ``Reconciliation/lost``, keep what they have, and are to be attached anew.
    public func update(podCIDRs: [CIDR]) throws(PodNetworkError) -> Reconciliation {
        do {
            return try state.withLock { state in try state.update(podCIDRs: podCIDRs) }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Brings the inside of a pod that is attached to what it would be if it were attached now: MTU, addresses, routes,
    /// neighbours, bandwidth.
    /// - Parameter routeSocket: as ``attach(uid:name:networkNamespace:routeSocket:request:)`` wants it.
    public func refresh(uid: String, routeSocket: borrowing OwnedDescriptor) throws(PodNetworkError) {
        do {
            var pod = try RouteSocket(owning: try routeSocket.duplicate())
            try state.withLock { state in
                guard let lease = try state.leases.lease(uid: uid) else { throw PodNetworkError.notAttached(uid: uid) }
                try state.links.refresh(lease, pod: &pod)
            }
        } catch {
            throw PodNetworkError(error)
        }
    }
}

extension PodNetworkState {
    fileprivate mutating func update(unmasqueraded: [CIDR], mtu: UInt32) throws {
        try PodNetworkConfiguration.validate(podCIDRs: configuration.podCIDRs, mtu: mtu)
        var wanted = configuration
        wanted.unmasqueraded = unmasqueraded
        wanted.mtu = mtu
        guard wanted != configuration else { return }
        let former = configuration
        adopt(wanted)
        do {
            try rules.update(wanted) { try leases.all() }
            if mtu != former.mtu { try links.setMTU(of: try leases.all()) }
        } catch {
            // Asked again, all of it is tried again.
            adopt(former)
            rules.forget(former)
            throw error
        }
    }

    fileprivate mutating func update(podCIDRs: [CIDR]) throws -> Reconciliation {
        try PodNetworkConfiguration.validate(podCIDRs: podCIDRs, mtu: configuration.mtu)
        let former = configuration
        var wanted = configuration
        wanted.podCIDRs = podCIDRs
        guard wanted != configuration else { return Reconciliation() }
        adopt(wanted)
        do {
            var setup = try NodeSetup(directory: directory, configuration: wanted)
            try setup.run(&links, isAlone: try rules.areAlone())
            // Pods that cannot stay are told of, not cut off: they go when they are attached anew.
            try rules.replace(wanted) { try leases.all() }
            try setup.finish()
        } catch {
            adopt(former)
            rules.forget(former)
            throw error
        }
        var report = Reconciliation()
        try links.reconcile(with: try leases.all(), &report)
        return report
    }

    private mutating func adopt(_ configuration: PodNetworkConfiguration) {
        self.configuration = configuration
        leases.configuration = configuration
        links.configuration = configuration
    }
}
