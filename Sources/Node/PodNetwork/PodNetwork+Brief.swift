import Netlink

/// For owners that live for one request, such as a CNI plugin, and know of no pod but that request's.
extension PodNetwork {
    /// Takes back the leases of pods that have no interface on this host: of a reboot, or of an owner that was killed. Every
    /// pod that is attached has one, as nobody else is attaching any. Whether there were any.
    public func releaseUnused() throws(PodNetworkError) -> Bool {
        do {
            return try state.withLock { state in
                let names = Set(try state.links.routes.links().map(\.name))
                let unused = try state.leases.all().filter { !names.contains($0.interface) }
                for lease in unused { try state.detach(lease) }
                return !unused.isEmpty
            }
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// Throws ``PodNetworkError/addressesExhausted(_:)`` if there is no address left to give to a pod.
    public func checkForFreeAddress() throws(PodNetworkError) {
        do {
            try state.withLock { state in
                let taken = try state.leases.all().flatMap(\.addresses)
                for block in state.configuration.blocks {
                    let count = taken.filter(block.cidr.contains).count
                    // The network's own, the node's, and IPv4's broadcast address.
                    let reserved: UInt32 = block.cidr.isIPv4 ? 3 : 2
                    if count >= block.count - reserved { throw PodNetworkError.addressesExhausted(block.cidr) }
                }
            }
        } catch {
            throw PodNetworkError(error)
        }
    }
}
