// Which addresses pods are told as their host's.
import Linux
import Netlink

extension NodeNetwork {
    /// One of each family at most: those that other nodes know this one by, else those that packets to the world carry;
    /// on a host without a way out the node's own in the pods' network.
    var hostAddresses: [IPAddress] {
        switch self {
        case .own(let network):
            if !network.publicAddresses.isEmpty { return network.publicAddresses }
            let outward = outwardAddresses()
            return outward.isEmpty ? network.pods.nodeAddresses : outward
        case .plugins: return outwardAddresses()
        }
    }
}

/// The addresses that packets to the world carry, as the routes have it. Nothing is sent.
private func outwardAddresses() -> [IPAddress] {
    // Addresses of no host, kept for documentation (RFC 5737, RFC 3849).
    let world = ["198.51.100.1", "2001:db8::1"].compactMap { IPAddress($0) }
    guard var socket = try? RouteSocket() else { return [] }
    var found: [IPAddress] = []
    for address in world {
        guard let route = try? socket.route(to: address), route.kind == .unicast, let source = route.source else {
            continue
        }
        found.append(source)
    }
    return found
}
