import JSONTree
import Linux
import Resources
import Testing

@testable import LocalNode

@Suite("Addresses of Services")
struct ServiceAllocationsTests {
    let range = ServiceRange("10.43.0.0/16")!

    @Test("are kept while the Service is, whatever comes and goes beside it")
    func stable() {
        var allocations = ServiceAllocations()
        let first = allocations.assign([service("web", type: .nodePort), service("api")], range: range).services
        let second = allocations.assign(
            [service("zoo"), service("aaa", type: .nodePort), service("web", type: .nodePort)], range: range
        ).services
        #expect(second.first { $0.metadata.name == "web" } == first.first { $0.metadata.name == "web" })
        #expect(allocations.grants.count == 3)
    }

    @Test("are never given twice")
    func unique() {
        let small = ServiceRange("10.43.0.0/27")!
        var allocations = ServiceAllocations()
        let (services, conflicts) = allocations.assign((0..<40).map { service("s\($0)") }, range: small)
        #expect(services.count == 29)
        #expect(Set(services.map(\.spec.clusterIP)).count == 29)
        #expect(conflicts.count == 11)
        #expect(conflicts.first?.problem == "no cluster IP of 10.43.0.0/27 is free")
        #expect(!services.contains { ["10.43.0.0", "10.43.0.1", "10.43.0.31"].contains($0.spec.clusterIP) })
    }

    @Test("that are handed out leave the lower band to those who ask by number")
    func band() {
        var allocations = ServiceAllocations()
        let services = allocations.assign((0..<200).map { service("s\($0)", type: .nodePort) }, range: range).services
        for service in services {
            let address = ServiceRange.address(service.spec.clusterIP) ?? 0
            #expect(address - range.base >= 256)
            #expect((service.spec.ports[0].nodePort ?? 0) >= 30086)
        }
    }

    @Test("come back the same where the record was lost and nothing else was there")
    func deterministic() {
        var (one, two) = (ServiceAllocations(), ServiceAllocations())
        #expect(
            one.assign([service("web")], range: range).services == two.assign([service("web")], range: range).services)
    }

    @Test("that are asked for are given, and go before those that are handed out")
    func explicit() {
        var probe = ServiceAllocations()
        let handedOut = probe.assign([service("auto")], range: range).services[0].spec.clusterIP
        var allocations = ServiceAllocations()
        let (services, conflicts) = allocations.assign(
            [service("auto"), service("fixed", clusterIP: handedOut)], range: range)
        #expect(conflicts.isEmpty)
        #expect(services[1].spec.clusterIP == handedOut)
        #expect(services[0].spec.clusterIP != handedOut)
    }

    @Test("that a Service in conflict gave up and another got stay the other's when the first wants them back")
    func givenUp() {
        var allocations = ServiceAllocations()
        func web(_ number: UInt16, _ address: String) -> Service {
            service("a", type: .nodePort, clusterIP: address, ports: [port(80, nodePort: number)])
        }
        let taken = service("c", type: .nodePort, clusterIP: "10.43.0.12", ports: [port(80, nodePort: 30600)])
        let newcomer = service("b", type: .nodePort, clusterIP: "10.43.0.10", ports: [port(80, nodePort: 30500)])
        _ = allocations.assign([web(30500, "10.43.0.10"), taken], range: range)
        // What it asks for now is another's, so it is not served; what it had is free for who asks.
        let moved = allocations.assign([web(30600, "10.43.0.12"), newcomer, taken], range: range)
        #expect(moved.services.map(\.metadata.name) == ["b", "c"])
        let back = allocations.assign([web(30500, "10.43.0.10"), newcomer, taken], range: range)
        #expect(back.services.map(\.metadata.name) == ["b", "c"])
        #expect(
            back.conflicts.map(\.description) == [
                "service default/a: spec.clusterIP: 10.43.0.10 belongs to Service default/b"
            ])
    }

    @Test("that a damaged record gives to two are the first one's alone")
    func recordedTwice() throws {
        let grant: JSONValue = [
            "clusterIP": "10.43.1.1", "nodePorts": ["TCP/80": ["protocol": "TCP", "port": 30500]],
        ]
        var allocations = try #require(
            ServiceAllocations(tree: ["default/a": grant, "default/b": grant]))
        let (services, conflicts) = allocations.assign(
            [service("a", type: .nodePort), service("b", type: .nodePort)], range: range)
        #expect(conflicts.isEmpty)
        #expect(services[0].spec.clusterIP == "10.43.1.1" && services[0].spec.ports[0].nodePort == 30500)
        #expect(services[1].spec.clusterIP != "10.43.1.1" && services[1].spec.ports[0].nodePort != 30500)
    }

    @Test("that somebody has are refused to a newcomer, in a line that names both")
    func taken() {
        var allocations = ServiceAllocations()
        let ports = [port(80, nodePort: 30080)]
        _ = allocations.assign([service("old", type: .nodePort, clusterIP: "10.43.0.10", ports: ports)], range: range)
        let (services, conflicts) = allocations.assign(
            [
                service("a", clusterIP: "10.43.0.10"), service("b", type: .nodePort, ports: ports),
                service("old", type: .nodePort, clusterIP: "10.43.0.10", ports: ports),
            ], range: range)
        #expect(services.map(\.metadata.name) == ["old"])
        #expect(
            conflicts.map(\.description) == [
                "service default/a: spec.clusterIP: 10.43.0.10 belongs to Service default/old",
                "service default/b: spec.ports[0].nodePort: 30080/TCP belongs to Service default/old",
            ])
    }

    @Test(
        "outside of the ranges are refused",
        arguments: [
            (
                service("x", clusterIP: "10.44.0.1"),
                "spec.clusterIP: 10.44.0.1 is not in the service CIDR 10.43.0.0/16"
            ),
            (
                service("x", clusterIP: "10.43.0.0"),
                "spec.clusterIP: 10.43.0.0 is not in the service CIDR 10.43.0.0/16"
            ),
            (service("x", clusterIP: "nonsense"), "spec.clusterIP: nonsense is not in the service CIDR 10.43.0.0/16"),
            (
                service("x", type: .nodePort, ports: [port(80, nodePort: 8080)]),
                "spec.ports[0].nodePort: 8080 is not in 30000-32767"
            ),
            (
                service(
                    "x", type: .nodePort,
                    ports: [port(80, name: "a", nodePort: 30001), port(81, name: "b", nodePort: 30001)]),
                "spec.ports[1].nodePort: 30001/TCP is asked for twice"
            ),
        ])
    func outside(_ service: Service, _ problem: String) {
        var allocations = ServiceAllocations()
        let (services, conflicts) = allocations.assign([service], range: range)
        #expect(services.isEmpty)
        #expect(conflicts.map(\.problem) == [problem])
    }

    @Test("on the node are one for each protocol")
    func protocols() {
        var allocations = ServiceAllocations()
        let ports = [
            port(53, name: "dns", nodePort: 30053), port(53, name: "dns-udp", nodePort: 30053, transport: .udp),
        ]
        let (services, conflicts) = allocations.assign([service("dns", type: .nodePort, ports: ports)], range: range)
        #expect(conflicts.isEmpty)
        #expect(services[0].spec.ports.map(\.nodePort) == [30053, 30053])
    }

    @Test("stay with a port by its name when the list is reordered, and change hands when two ports swap theirs")
    func reordered() {
        var allocations = ServiceAllocations()
        let (a, b) = (port(80, name: "a"), port(81, name: "b"))
        let before = allocations.assign([service("web", type: .nodePort, ports: [a, b])], range: range).services[0]
        let after = allocations.assign([service("web", type: .nodePort, ports: [b, a])], range: range).services[0]
        #expect(before.spec.ports == after.spec.ports.reversed())
        let numbers = before.spec.ports.compactMap(\.nodePort)
        let swapped = [port(80, name: "a", nodePort: numbers[1]), port(81, name: "b", nodePort: numbers[0])]
        let (services, conflicts) = allocations.assign([service("web", type: .nodePort, ports: swapped)], range: range)
        #expect(conflicts.isEmpty)
        #expect(services[0].spec.ports.map(\.nodePort) == [numbers[1], numbers[0]])
    }

    @Test("are let go of with the Service, the node ports also when its type changes; a headless one has none")
    func released() {
        var allocations = ServiceAllocations()
        let fixed = [port(80, nodePort: 30080)]
        _ = allocations.assign([service("web", type: .nodePort, ports: fixed)], range: range)
        _ = allocations.assign([service("web")], range: range)
        let (services, conflicts) = allocations.assign(
            [service("web"), service("other", type: .nodePort, ports: fixed), service("none", clusterIP: "None")],
            range: range)
        #expect(conflicts.isEmpty)
        #expect(services[1].spec.ports[0].nodePort == 30080)
        #expect(services[2].spec.clusterIP == "None")
        _ = allocations.assign([], range: range)
        #expect(allocations.grants.isEmpty)
    }

    @Test("are assigned anew when the network is another one")
    func otherNetwork() {
        var allocations = ServiceAllocations()
        _ = allocations.assign([service("web")], range: range)
        let other = ServiceRange("10.96.0.0/12")!
        #expect(other.contains(allocations.assign([service("web")], range: other).services[0].spec.clusterIP))
    }

    @Test("are on the disk when they are told, and read back as they were")
    func durable() throws {
        let directory = try TemporaryDirectory()
        var file = try ServiceAllocationFile(dataDirectory: directory.path)
        let services = [service("web", type: .nodePort), service("none", clusterIP: "None")]
        let assigned = try file.assign(services, range: range).services
        let again = try ServiceAllocationFile(dataDirectory: directory.path)
        #expect(again.allocations == file.allocations)
        var third = again
        #expect(try third.assign(services, range: range).services == assigned)
    }

    @Test("are not begun anew over a record that cannot be read", arguments: ["", "[]", "{\"default/web\": {}}", "{"])
    func unreadable(_ text: String) throws {
        let directory = try TemporaryDirectory()
        try directory.write("services/allocations.json", text)
        #expect(throws: NodeError.self) { try ServiceAllocationFile(dataDirectory: directory.path) }
    }

    @Test("are not told where the record cannot be written")
    func notWritten() throws {
        let directory = try TemporaryDirectory()
        var file = try ServiceAllocationFile(dataDirectory: directory.path)
        // A directory in the record's place: rename(2) fails, also for root.
        try makeDirectories("\(directory.path)/services/allocations.json/in-the-way")
        #expect(throws: SystemError.self) { try file.assign([service("web")], range: range) }
        #expect(file.allocations.grants.isEmpty)
        #expect(try listDirectory("\(directory.path)/services") == ["allocations.json"])
    }

    @Test(
        "come from a network that is one",
        arguments: ["10.43.0.0", "10.43.0.1/16", "10.43.0.0/31", "10.43.0.0/7", "x/16", "10.43.0.0/016", "fd00::/64"])
    func badRange(_ text: String) {
        #expect(ServiceRange(text) == nil)
    }
}
