import Glibc
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport
import Testing

/// Pods that talk to each other, the host and the outside, in namespaces that each test makes.
@Suite struct PodNetworkTests {
    let node: TestNode

    init() throws { node = try TestNode() }

    @Test("Pods reach each other by their own addresses, over TCP and UDP")
    func podToPod() throws {
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        let (first, second) = (try node.attach(one), try node.attach(two))
        #expect(first == "10.88.0.2" && second == "10.88.0.3")
        #expect(try peerSeen(from: one.namespace, to: second, 80, at: two.namespace, "0.0.0.0", 80) == first)
        let inbox = try two.namespace.datagrams(on: second, port: 53)
        let outbox = try one.namespace.datagrams(on: first, port: 1053)
        try outbox.send("question", to: second, port: 53)
        let message = try inbox.receive()
        #expect(message.text == "question" && message.peer == first && message.port == 1053)
    }

    @Test("The host reaches pods and pods reach the host; loopback is up inside")
    func hostAndPod() throws {
        let pod = try TestPod("web")
        let address = try node.attach(pod)
        #expect(try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
        #expect(
            try peerSeen(from: pod.namespace, to: "10.88.0.1", 81, at: node.namespace, "0.0.0.0", 81) == address)
        #expect(
            try peerSeen(from: pod.namespace, to: TestNode.address, 82, at: node.namespace, "0.0.0.0", 82) == address)
        #expect(
            try peerSeen(from: pod.namespace, to: "127.0.0.1", 83, at: pod.namespace, "127.0.0.1", 83) == "127.0.0.1")
    }

    @Test("The outside sees the node's address, not the pod's")
    func masquerade() throws {
        let pod = try TestPod("web")
        _ = try node.attach(pod)
        let seen = try peerSeen(
            from: pod.namespace, to: TestNode.outsideAddress, 80, at: node.outside, "0.0.0.0", 80)
        #expect(seen == TestNode.address)
    }

    @Test("Networks that are to see pods' own addresses do")
    func unmasqueraded() throws {
        let bare = try TestNamespace()
        let peer = try TestNamespace()
        var host = try RouteSocket(in: bare.descriptor)
        try host.apply([.createVeth(VethPair(name: "up0", peerName: "o0", peerNamespace: peer.descriptor.number))])
        let up = try #require(try host.link(.name("up0")))
        let other = try #require(up.peer)
        var far = try RouteSocket(in: peer.descriptor)
        try far.apply([
            .changeLink(.index(other), LinkChange(isUp: true)),
            .setAddress(Address(link: other, address: try #require(IPAddress("198.51.100.2")), prefixLength: 24)),
        ])
        try host.apply([
            .setAddress(Address(link: up.index, address: try #require(IPAddress("198.51.100.1")), prefixLength: 24))
        ])
        let pods = try #require(CIDR("10.88.0.0/24"))
        let gateway = try #require(IPAddress("198.51.100.1"))
        try far.apply([.setRoute(Route(to: pods, gateway: gateway, link: other))])
        var configuration = node.configuration
        configuration.unmasqueraded = [try #require(CIDR("198.51.100.0/24"))]
        let directory = node.directory + "-unmasqueraded"
        defer { try? removeTree(directory) }
        let network = try PodNetwork(configuration: configuration, directory: directory, in: bare.descriptor)
        let pod = try TestPod("web")
        let address = try network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor
        ).address.description
        #expect(try peerSeen(from: pod.namespace, to: "198.51.100.2", 80, at: peer, "0.0.0.0", 80) == address)
    }

    @Test("An address that no pod has answers with an error at once")
    func unusedAddress() throws {
        let pod = try TestPod("web")
        _ = try node.attach(pod)
        let error = try #require(throws: SystemError.self) { _ = try pod.namespace.connect(to: "10.88.0.77", port: 80) }
        #expect(error.errno == EHOSTUNREACH)
    }

    @Test("A host port answers from outside, from pods, from its own pod and from the host on every address")
    func hostPorts() throws {
        let (web, client) = (try TestPod("web"), try TestPod("client"))
        let port = HostPort(port: 8080, containerPort: 80)
        _ = try node.attach(web, hostPorts: [port])
        let other = try node.attach(client)
        func seen(_ from: TestNamespace, _ to: String) throws -> String {
            try peerSeen(from: from, to: to, 8080, at: web.namespace, "0.0.0.0", 80)
        }
        #expect(try seen(node.outside, TestNode.address) == TestNode.outsideAddress)
        #expect(try seen(client.namespace, TestNode.address) == other)
        #expect(try seen(client.namespace, "10.88.0.1") == other)
        #expect(try seen(web.namespace, TestNode.address) == "10.88.0.1")
        #expect(try seen(node.namespace, TestNode.address) == TestNode.address)
        #expect(try seen(node.namespace, "127.0.0.1") == "10.88.0.1")
        // Not a way to the pod's other ports.
        #expect(throws: SystemError.self) { _ = try node.outside.connect(to: TestNode.address, port: 80) }
        try node.network.detach(uid: web.uid)
        #expect(throws: SystemError.self) { _ = try node.outside.connect(to: TestNode.address, port: 8080) }
    }

    @Test("A host port of one address answers on that address alone; UDP and TCP are apart")
    func hostPortOfOneAddress() throws {
        let (local, wide) = (try TestPod("local"), try TestPod("wide"))
        let loopback = try #require(IPAddress("127.0.0.1"))
        let uplink = try #require(IPAddress(TestNode.address))
        _ = try node.attach(
            local,
            hostPorts: [
                HostPort(hostIP: loopback, port: 8080, containerPort: 80),
                HostPort(port: 53, transport: .udp, containerPort: 5353),
            ])
        _ = try node.attach(wide, hostPorts: [HostPort(hostIP: uplink, port: 8080, containerPort: 81)])
        #expect(
            try peerSeen(from: node.namespace, to: "127.0.0.1", 8080, at: local.namespace, "0.0.0.0", 80) == "10.88.0.1"
        )
        #expect(
            try peerSeen(from: node.outside, to: TestNode.address, 8080, at: wide.namespace, "0.0.0.0", 81)
                == TestNode.outsideAddress)
        #expect(throws: SystemError.self) { _ = try node.outside.connect(to: TestNode.address, port: 53) }
        let inbox = try local.namespace.datagrams(on: "0.0.0.0", port: 5353)
        let outbox = try node.outside.datagrams(on: "0.0.0.0", port: 0)
        try outbox.send("question", to: TestNode.address, port: 53)
        let question = try inbox.receive()
        #expect(question.text == "question" && question.peer == TestNode.outsideAddress)
        try inbox.send("answer", to: question.peer, port: question.port)
        let answer = try outbox.receive()
        #expect(answer.text == "answer" && answer.peer == TestNode.address && answer.port == 53)
    }

    @Test("Two pods on one host port: the second is told which port and whose, and nothing is made of it")
    func hostPortTaken() throws {
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        _ = try node.attach(one, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        let before = try node.census()
        let local = try #require(IPAddress("127.0.0.1"))
        let error = try #require(throws: PodNetworkError.self) {
            _ = try node.attach(two, hostPorts: [HostPort(hostIP: local, port: 8080, containerPort: 80)])
        }
        #expect("\(error)" == "host port 127.0.0.1:8080/tcp is taken by pod default/one")
        #expect(try node.census() == before)
        // The same port of the other protocol is another port; and one's own is free once the pod is gone.
        _ = try node.attach(two, hostPorts: [HostPort(port: 8080, transport: .udp, containerPort: 80)])
        try node.network.detach(uid: one.uid)
        _ = try node.attach(try TestPod("three"), hostPorts: [HostPort(port: 8080, containerPort: 80)])
    }

    @Test("A pod cannot reach the host's loopback services, nor send from an address that is not its own")
    func spoofing() throws {
        let pod = try TestPod("evil")
        _ = try node.attach(pod, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        let eth0 = try #require(try inside.link(.name("eth0"))).index
        let stolen = try #require(IPAddress("10.88.0.200"))
        let gateway = PodNetworkConfiguration.gateway
        // Inside of its namespace a pod with CAP_NET_ADMIN may do what it likes: route 127.0.0.2 out, take any address.
        try NetworkSetting("net.ipv4.conf.eth0.route_localnet").set("1", in: pod.namespace.descriptor)
        let lo = try #require(CIDR("127.0.0.0/8"))
        let localRoute = Route(to: lo, kind: .local, link: 1, table: 255, origin: .kernel, scope: .host)
        try inside.apply([
            .deleteRoute(localRoute), .setAddress(Address(link: eth0, address: stolen, prefixLength: 32)),
            .setRoute(Route(to: lo, gateway: gateway, isOnLink: true, link: eth0)),
        ])
        let service = try node.namespace.datagrams(on: "127.0.0.2", port: 99)
        let visible = try node.namespace.datagrams(on: TestNode.address, port: 99)
        let sender = try pod.namespace.datagrams(on: "10.88.0.2", port: 0)
        let thief = try pod.namespace.datagrams(on: "10.88.0.200", port: 0)
        try sender.send("to loopback", to: "127.0.0.2", port: 99)
        try thief.send("stolen", to: TestNode.address, port: 99)
        // Also where the host wants a loose filter.
        try NetworkSetting("net.ipv4.conf.all.rp_filter").set("2", in: node.namespace.descriptor)
        try thief.send("stolen", to: TestNode.address, port: 99)
        try sender.send("honest", to: TestNode.address, port: 99)
        // One pod's packets arrive in order: when the honest one is here, the others have been dropped.
        #expect(try visible.receive().text == "honest")
        var byte: UInt8 = 0
        #expect(recv(service.descriptor.number, &byte, 1, Int32(MSG_DONTWAIT)) == -1 && errno == EAGAIN)
    }

    @Test("Detaching takes everything back, may be repeated, and is fine for a pod that was never there")
    func detach() throws {
        let before = try node.census()
        let pod = try TestPod("web")
        _ = try node.attach(pod, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        #expect(try node.census() != before)
        #expect(try node.network.address(uid: pod.uid)?.address.description == "10.88.0.2")
        for _ in 0..<2 { try node.network.detach(uid: pod.uid) }
        try node.network.detach(uid: "never seen")
        #expect(try node.census() == before)
        #expect(try node.network.address(uid: pod.uid) == nil)
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        #expect(try inside.link(.name("eth0")) == nil)
    }

    @Test("A pod's interface carries its size and Ethernet address, the host's end the pod's name")
    func interface() throws {
        let pod = try TestPod("web")
        let result = try node.network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor)
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        var host = try node.routes()
        let eth0 = try #require(try inside.link(.name("eth0")))
        let end = try #require(try host.link(.name(result.hostInterface)))
        #expect(eth0.mtu == 1500 && eth0.mac == result.mac && result.mac.description == "0a:58:0a:58:00:02")
        #expect(end.alias == "swiftlet pod uid-of-web default/web")
        #expect(try inside.addresses(of: eth0.index).contains { $0.address == result.address && $0.prefixLength == 32 })
    }

    @Test("A failed attachment leaves nothing")
    func failedAttach() throws {
        let pod = try TestPod("web")
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        try inside.apply([.createVeth(VethPair(name: "eth0", peerName: "x"))])
        let before = try node.census()
        let error = try #require(throws: PodNetworkError.self) {
            _ = try node.attach(pod, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        }
        #expect("\(error)".contains("create veth") && "\(error)".contains("File exists"))
        #expect(try node.census() == before)
    }

    @Test("Forwarding is switched on with a note, and a reset puts it back and leaves nothing of ours")
    func reset() throws {
        let bare = try TestNamespace()
        let forwarding = NetworkSetting("net.ipv4.ip_forward")
        try forwarding.set("0", in: bare.descriptor)
        let directory = node.directory + "-bare"
        defer { try? removeTree(directory) }
        let pod = try TestPod("web")
        do {
            let network = try PodNetwork(
                configuration: node.configuration, directory: directory, in: bare.descriptor)
            #expect(
                network.notes == [
                    "net.ipv4.ip_forward was 0, set to 1: pods' packets are forwarded",
                    "net.ipv6.conf.all.forwarding was 0, set to 1: pods' packets are forwarded",
                ])
            _ = try network.attach(
                uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
                routeSocket: pod.socket.descriptor, hostPorts: [HostPort(port: 1, containerPort: 1)])
            #expect(throws: PodNetworkError.self) {
                try PodNetwork.removeEverything(directory: directory, in: bare.descriptor)
            }
        }
        do {
            let again = try PodNetwork(configuration: node.configuration, directory: directory, in: bare.descriptor)
            #expect(again.notes.isEmpty)
        }
        for _ in 0..<2 { try PodNetwork.removeEverything(directory: directory, in: bare.descriptor) }
        #expect(try forwarding.value(in: bare.descriptor) == "0")
        #expect(try NetworkSetting("net.ipv6.conf.all.forwarding").value(in: bare.descriptor) == "0")
        #expect(!fileExists(directory))
        var socket = try RouteSocket(in: bare.descriptor)
        var nftables = try NFTablesSocket(in: bare.descriptor)
        #expect(try socket.links().map(\.name) == ["lo"])
        #expect(try socket.routes(origin: PodNetworkConfiguration.routeProtocol).isEmpty)
        #expect(try !socket.addresses().contains { $0.address.description == "10.88.0.1" })
        #expect(try nftables.tableNames().isEmpty)
    }

    @Test("A pod CIDR that is somebody's network on this host is refused, naming whose")
    func overlap() throws {
        let before = try node.census()
        for cidr in ["192.0.2.0/25", "192.0.0.0/16", "192.0.2.128/26"] {
            let configuration = PodNetworkConfiguration(podCIDR: try #require(CIDR(cidr)))
            let directory = node.directory + "-other"
            defer { try? removeTree(directory) }
            let error = try #require(throws: PodNetworkError.self) {
                _ = try PodNetwork(configuration: configuration, directory: directory, in: node.namespace.descriptor)
            }
            #expect("\(error)" == "pod CIDR \(cidr) is in use on this host: up0 has 192.0.2.1/24")
        }
        #expect(try node.census() == before)
    }

    @Test("Without any address but its own, a host and its pods still reach each other")
    func offline() throws {
        let bare = try TestNamespace()
        let directory = node.directory + "-offline"
        defer { try? removeTree(directory) }
        let network = try PodNetwork(configuration: node.configuration, directory: directory, in: bare.descriptor)
        let pod = try TestPod("web")
        let address = try network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor, hostPorts: [HostPort(port: 8080, containerPort: 80)]
        ).address.description
        #expect(try peerSeen(from: bare, to: address, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
        #expect(try peerSeen(from: bare, to: "127.0.0.1", 8080, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
    }
}
