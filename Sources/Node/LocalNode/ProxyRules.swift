// Services and their endpoints in the proxy's words.
import NFTables
import Netlink
import Resources
import ServiceProxy

extension ServedService {
    /// A rule for each port. Endpoints whose address is not IPv4 are left out; so are headless Services, which DNS serves.
    var rules: [ServicePortRule] {
        guard let clusterIP = IPv4Address(service.spec.clusterIP) else { return [] }
        return zip(service.spec.ports, endpoints).map { port, endpoints in
            ServicePortRule(
                ServicePortID(
                    namespace: service.metadata.namespace, name: service.metadata.name,
                    port: port.name ?? "\(port.port)", transport: TransportProtocol(port.protocol)),
                clusterIPs: [clusterIP], port: port.port, nodePort: port.nodePort,
                endpoints: endpoints.compactMap { endpoint in
                    IPv4Address(endpoint.address).map { ServicePortRule.Endpoint($0, endpoint.port) }
                })
        }
    }
}

extension TransportProtocol {
    fileprivate init(_ port: PortProtocol) {
        switch port {
        case .tcp: self = .tcp
        case .udp: self = .udp
        case .sctp: self = .sctp
        }
    }
}
