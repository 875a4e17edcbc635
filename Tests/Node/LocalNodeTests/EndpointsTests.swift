import Resources
import Testing

@testable import LocalNode

@Suite("Endpoints of a Service")
struct EndpointsTests {
    private func pod(
        _ name: String, _ address: String, labels: [String: String] = ["app": "web"], namespace: String = "default",
        isReady: Bool = true, ports: [ContainerPort] = []
    ) -> EndpointCandidate {
        EndpointCandidate(
            namespace: namespace, name: name, labels: labels, address: address, isReady: isReady, ports: ports)
    }

    private func named(_ name: String, _ number: UInt16, _ transport: PortProtocol = .tcp) -> ContainerPort {
        var port = ContainerPort(containerPort: number)
        port.name = name
        port.protocol = transport
        return port
    }

    private let web = service("web", selector: ["app": "web"], ports: [port(80, target: .number(8080))])

    @Test("are the pods of its namespace that its selector selects, that are ready and have an address")
    func selection() {
        let pods = [
            pod("b", "10.42.0.3", labels: ["app": "web", "version": "2"]), pod("a", "10.42.0.2"),
            pod("other-app", "10.42.0.4", labels: ["app": "api"]), pod("unlabelled", "10.42.0.5", labels: [:]),
            pod("elsewhere", "10.42.0.6", namespace: "test"), pod("unready", "10.42.0.7", isReady: false),
            pod("no-address", ""),
        ]
        #expect(
            Endpoints.of(web, port: web.spec.ports[0], among: pods) == [
                Endpoint(address: "10.42.0.2", port: 8080), Endpoint(address: "10.42.0.3", port: 8080),
            ])
    }

    @Test("are none without a selector")
    func noSelector() {
        let service = service("external")
        #expect(Endpoints.of(service, port: service.spec.ports[0], among: [pod("a", "10.42.0.2")]).isEmpty)
    }

    @Test("have the port that each pod itself gives the target's name, for the same protocol")
    func namedTarget() {
        let service = service(
            "dns", selector: ["app": "web"], ports: [port(53, transport: .udp, target: .name("dns"))])
        let pods = [
            pod("a", "10.42.0.2", ports: [named("dns", 53), named("dns", 5353, .udp)]),
            pod("b", "10.42.0.3", ports: [named("dns", 53, .udp)]), pod("c", "10.42.0.4", ports: [named("dns", 53)]),
            pod("d", "10.42.0.5"),
        ]
        #expect(
            Endpoints.of(service, port: service.spec.ports[0], among: pods) == [
                Endpoint(address: "10.42.0.2", port: 5353), Endpoint(address: "10.42.0.3", port: 53),
            ])
    }

    @Test("become one rule for each port, none for a headless Service")
    func rules() {
        var service = web
        service.spec.clusterIP = "10.43.1.2"
        let served = ServedService(service: service, endpoints: [[Endpoint(address: "10.42.0.2", port: 8080)]])
        #expect(served.rules.count == 1)
        #expect(served.rules.first?.id.description == "default/web:80/tcp")
        #expect(served.rules.first?.endpoints.map { "\($0.address):\($0.port)" } == ["10.42.0.2:8080"])
        service.spec.clusterIP = "None"
        #expect(ServedService(service: service, endpoints: [[]]).rules.isEmpty)
    }
}
