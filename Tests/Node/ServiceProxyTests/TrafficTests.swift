// Packets through the real kernel: a client, a node and pods in namespaces of the test's own.
import Glibc
import Linux
import NFTables
import TestSupport
import Testing

@testable import ServiceProxy

@Suite struct TrafficTests {
    private func web(to pods: some Sequence<Int>, nodePort: UInt16? = 30080) throws -> ServicePortRule {
        try service(
            "web", at: ["10.96.0.10"], 80, nodePort: nodePort, to: pods.map { (TestNetwork.podAddress($0), 8080) })
    }

    private func listeners(_ network: TestNetwork) throws -> [TestSocket] {
        try network.pods.enumerated().map { try $1.listen(on: TestNetwork.podAddress($0), port: 8080) }
    }

    @Test func aPodReachesAllEndpointsThroughTheClusterIPUnderItsOwnAddress() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        try await network.proxy().apply([web(to: [1, 2])])
        let connections = try (0..<40).map { _ in try network.pods[0].connect(to: "10.96.0.10", port: 80) }
        let peers = try accept(connections.count, from: listeners)
        #expect(peers[0].isEmpty)
        #expect(!peers[1].isEmpty && !peers[2].isEmpty)
        #expect(Set(peers.joined()) == [TestNetwork.podAddress(0)])
    }

    @Test func theNodePortLeadsToAllEndpointsAndAnswersComeBackThroughTheNode() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        try await network.proxy().apply([web(to: 0..<3)])
        let outside = try (0..<60).map { _ in try network.client.connect(to: TestNetwork.nodeAddress, port: 30080) }
        let peers = try accept(outside.count, from: listeners)
        for each in peers { #expect(!each.isEmpty) }
        #expect(Set(peers.joined()) == [TestNetwork.gateway])
        // From the node itself, and from a pod, which keeps its address.
        let own = try network.node.connect(to: TestNetwork.nodeAddress, port: 30080)
        _ = try accept(1, from: listeners)
        let pod = try network.pods[0].connect(to: TestNetwork.nodeAddress, port: 30080)
        _ = try accept(1, from: listeners)
        _ = (own, pod)
    }

    @Test func onlyTheGivenNodeAddressesServeNodePorts() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        try await network.proxy(.only([address(TestNetwork.nodeAddress)])).apply([web(to: [0])])
        let connection = try network.client.connect(to: TestNetwork.nodeAddress, port: 30080)
        _ = try accept(1, from: listeners)
        #expect(errorNumber { _ = try network.pods[1].connect(to: TestNetwork.gateway, port: 30080) } == ECONNREFUSED)
        _ = connection
    }

    @Test func theNodeReachesTheClusterIP() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        try await network.proxy().apply([web(to: [2])])
        let connection = try network.node.connect(to: "10.96.0.10", port: 80)
        #expect(try accept(1, from: listeners)[2].count == 1)
        _ = connection
    }

    @Test func localhostIsNotANodePort() async throws {
        let network = try TestNetwork()
        try await network.proxy().apply([web(to: [0])])
        #expect(errorNumber { _ = try network.node.connect(to: "127.0.0.1", port: 30080) } == ECONNREFUSED)
    }

    @Test func aPodMayGetItself() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        try await network.proxy().apply([web(to: [0])])
        let connection = try network.pods[0].connect(to: "10.96.0.10", port: 80)
        #expect(try accept(1, from: listeners)[0] == [TestNetwork.gateway])
        _ = connection
    }

    @Test func datagramsGoToAllEndpointsAndAnswersComeFromTheService() async throws {
        let network = try TestNetwork()
        let servers = try [1, 2].map { try network.pods[$0].datagrams(on: TestNetwork.podAddress($0), port: 5353) }
        let dns = try service(
            "dns", port: "dns", .udp, at: ["10.96.0.53"], 53, nodePort: 30053,
            to: [(TestNetwork.podAddress(1), 5353), (TestNetwork.podAddress(2), 5353)])
        try await network.proxy().apply([dns])
        var seen: Set<Int> = []
        for (target, port) in [("10.96.0.53", UInt16(53)), (TestNetwork.nodeAddress, 30053)] {
            for _ in 0..<30 {
                // A socket of its own for each question: a flow keeps its endpoint.
                let asker = try network.pods[0].datagrams(on: TestNetwork.podAddress(0), port: 0)
                try asker.send("who?", to: target, port: port)
                var pollers = servers.map { pollfd(fd: $0.descriptor.number, events: Int16(POLLIN), revents: 0) }
                try #require(poll(&pollers, 2, 2000) > 0)
                let index = try #require(pollers.firstIndex { $0.revents != 0 })
                seen.insert(index)
                let question = try servers[index].receive()
                #expect(question.peer == TestNetwork.podAddress(0))
                try servers[index].send("me", to: question.peer, port: question.port)
                let answer = try asker.receive()
                #expect(answer.text == "me" && answer.peer == target && answer.port == port)
            }
        }
        #expect(seen == [0, 1])
    }

    @Test func aFlowOfDatagramsLeavesAnEndpointThatIsGone() async throws {
        let network = try TestNetwork()
        let servers = try [1, 2].map { try network.pods[$0].datagrams(on: TestNetwork.podAddress($0), port: 5353) }
        func dns(_ pod: Int) throws -> ServicePortRule {
            try service(
                "dns", port: "dns", .udp, at: ["10.96.0.53"], 53, nodePort: 30053,
                to: [(TestNetwork.podAddress(pod), 5353)])
        }
        let proxy = try network.proxy()
        // One socket to each kind of frontend: its flow is tracked, and lives as long as it asks.
        let toCluster = try network.pods[0].datagrams(on: TestNetwork.podAddress(0), port: 5000)
        let toNode = try network.pods[0].datagrams(on: TestNetwork.podAddress(0), port: 5001)
        // Sent before the Service is there: a flow to the node itself. (Without any table nothing would be tracked.)
        try await proxy.apply([])
        try toNode.send("early", to: TestNetwork.nodeAddress, port: 30053)
        func ask(_ server: Int) throws {
            try toCluster.send("cluster", to: "10.96.0.53", port: 53)
            try toNode.send("node", to: TestNetwork.nodeAddress, port: 30053)
            #expect(try Set([servers[server].receive().text, servers[server].receive().text]) == ["cluster", "node"])
        }
        #expect(try await proxy.apply([dns(1)]).flowsForgotten == 1)
        try ask(0)
        let statistics = try await proxy.apply([dns(2)])
        #expect(statistics.flowsForgotten == 2 && statistics.forgettingFailed == nil)
        try ask(1)
        // A proxy that starts anew finds what changed meanwhile in the table.
        #expect(try await network.proxy().apply([dns(1)]).flowsForgotten == 2)
        try ask(0)
    }

    @Test func aServiceWithoutEndpointsRefusesAtOnce() async throws {
        let network = try TestNetwork()
        let udp = try service("udp", port: "u", .udp, at: ["10.96.0.12"], 53, to: [])
        try await network.proxy().apply([web(to: []), udp])
        let start = ContinuousClock.now
        for (from, target, port) in [
            (network.pods[0], "10.96.0.10", UInt16(80)), (network.client, "10.96.0.10", 80),
            (network.node, "10.96.0.10", 80), (network.client, TestNetwork.nodeAddress, 30080),
            (network.node, TestNetwork.nodeAddress, 30080), (network.pods[0], "10.96.0.10", 81),
        ] {
            #expect(errorNumber { _ = try from.connect(to: target, port: port) } == ECONNREFUSED, "\(target):\(port)")
        }
        // Six refusals without one retransmission of a SYN, the first of which comes after a second.
        #expect(ContinuousClock.now - start < .milliseconds(900))
        let asker = try network.pods[0].socket(AF_INET, Int32(SOCK_DGRAM.rawValue))
        try asker.connect("10.96.0.12", 53)
        try asker.send("anybody?")
        #expect(errorNumber { _ = try asker.receive() } == ECONNREFUSED)
    }

    @Test func connectionsFollowTheEndpointsAndOpenOnesStay() async throws {
        let network = try TestNetwork()
        let listeners = try listeners(network)
        let proxy = try network.proxy()
        try await proxy.apply([web(to: [0])])
        let old = try network.client.connect(to: TestNetwork.nodeAddress, port: 30080)
        let server = try listeners[0].accept().socket
        let statistics = try await proxy.apply([web(to: [1])])
        #expect(statistics.way == .incremental)
        // One slot of the cluster IP, one of the NodePort, one hairpin.
        #expect(statistics.elementsAdded == 3 && statistics.elementsRemoved == 3)
        let new = try (0..<10).map { _ in try network.client.connect(to: TestNetwork.nodeAddress, port: 30080) }
        #expect(try accept(new.count, from: listeners).map(\.count) == [0, 10, 0])
        try old.send("still here")
        #expect(try server.receive().text == "still here")
    }
}
