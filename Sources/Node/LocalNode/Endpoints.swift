// Which pods answer for a Service: the selector against the pods that run, a target port resolved for each.
import Resources

/// What the proxy must know of a pod.
struct EndpointCandidate: Sendable, Hashable {
    var namespace: String
    var name: String
    var labels: [String: String]
    /// Its IPv4 address; empty while it has none.
    var address: String
    /// Whether it runs, all its containers are ready, and it is not being stopped.
    var isReady: Bool
    var ports: [ContainerPort]
}

/// A pod's address and port behind one port of a Service.
struct Endpoint: Sendable, Hashable {
    let address: String
    let port: UInt16
}

enum Endpoints {
    /// The endpoints of one port of a Service, in the order of their addresses' text, without repetition.
    ///
    /// A Service without a selector has none here; a target port given by name leads to the port that the pod gives that
    /// name for the same protocol, and a pod without one is left out.
    static func of(_ service: Service, port: ServicePort, among pods: [EndpointCandidate]) -> [Endpoint] {
        guard !service.spec.selector.isEmpty else { return [] }
        var endpoints: Set<Endpoint> = []
        for pod in pods where pod.isReady && !pod.address.isEmpty && selects(service, pod) {
            if let number = target(of: port, in: pod) {
                endpoints.insert(Endpoint(address: pod.address, port: number))
            }
        }
        return endpoints.sorted { ($0.address, $0.port) < ($1.address, $1.port) }
    }

    static func selects(_ service: Service, _ pod: EndpointCandidate) -> Bool {
        service.metadata.namespace == pod.namespace
            && service.spec.selector.allSatisfy { pod.labels[$0.key] == $0.value }
    }

    private static func target(of port: ServicePort, in pod: EndpointCandidate) -> UInt16? {
        switch port.targetPort {
        case .number(let number): number
        case .name(let name): pod.ports.first { $0.name == name && $0.protocol == port.protocol }?.containerPort
        }
    }
}
