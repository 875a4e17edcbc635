// UDP flows that lead nowhere any more. A flow keeps the endpoint that its first packet drew for as long as packets
// come; when the endpoint goes, or when a frontend begins to be served, the kernel has to be told to forget the flow.
import NFTables
import Netlink

/// Which tracked connections to forget after a change.
struct StaleFlows: Sendable {
    /// Flows to a frontend; its address is nil for a NodePort, which answers on many.
    private struct Target: Hashable {
        var address: IPv4Address?
        var port: UInt16

        init?(_ frontend: Frontend) {
            switch frontend {
            case .cluster(let address, .udp, let port): (self.address, self.port) = (address, port)
            case .node(.udp, let port): (self.address, self.port) = (nil, port)
            default: return nil
            }
        }
    }

    private var gone: [Target: Set<Backend>] = [:]
    private var begun: Set<Target> = []

    var isEmpty: Bool { gone.isEmpty && begun.isEmpty }

    /// `frontend` had the endpoints `old` and has `new` now.
    mutating func note(_ frontend: Frontend, from old: [Backend], to new: [Backend]) {
        guard let target = Target(frontend) else { return }
        let lost = Set(old).subtracting(new)
        if !lost.isEmpty { gone[target, default: []].formUnion(lost) }
        if old.isEmpty && !new.isEmpty { begun.insert(target) }
    }

    /// Whether `connection` leads to an endpoint that is gone, or to no endpoint although there are some now.
    func contain(_ connection: TrackedConnection) -> Bool {
        let port = connection.destination.port
        guard case .v4(let destination) = IPAddress(bytes: connection.destination.address),
            case .v4(let source) = IPAddress(bytes: connection.answerer.address)
        else { return false }
        let answerer = Backend(source, connection.answerer.port)
        return [destination, nil].contains { address in
            var target = Target(.node(.udp, port))
            target?.address = address
            guard let target else { return false }
            if gone[target]?.contains(answerer) == true { return true }
            return begun.contains(target) && connection.answerer == connection.destination
        }
    }
}
