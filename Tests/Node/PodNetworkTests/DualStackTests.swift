import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// IPv6 beside IPv4, and alone.
@Suite struct DualStackTests {
    @Test("Pods reach each other, the host and the outside over IPv6, at once; the outside sees the node's address")
    func reach() throws {
        let node = try TestNode()
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        let (first, second) = (try node.attach(one, .init()), try node.attach(two, .init()))
        #expect(first.addresses.map(\.description) == ["10.88.0.2", "fd42:88::2"])
        #expect(first.gateways.map(\.description) == ["169.254.1.1", "fe80::1"])
        let (a, b) = ("\(first.addresses[1])", "\(second.addresses[1])")
        #expect(try peerSeen(from: one.namespace, to: b, 80, at: two.namespace, "::", 80) == a)
        #expect(try peerSeen(from: node.namespace, to: b, 81, at: two.namespace, "::", 81) == "fd42:88::1")
        #expect(try peerSeen(from: one.namespace, to: "fd42:88::1", 82, at: node.namespace, "::", 82) == a)
        #expect(try peerSeen(from: one.namespace, to: TestNode.address6, 83, at: node.namespace, "::", 83) == a)
        #expect(try peerSeen(from: one.namespace, to: "::1", 84, at: one.namespace, "::1", 84) == "::1")
        let seen = try peerSeen(from: one.namespace, to: TestNode.outsideAddress6, 85, at: node.outside, "::", 85)
        #expect(seen == TestNode.address6)
        let inbox = try two.namespace.datagrams(on: b, port: 53)
        try one.namespace.datagrams(on: a, port: 1053).send("question", to: b, port: 53)
        let message = try inbox.receive()
        #expect(message.text == "question" && message.peer == a && message.port == 1053)
        let error = try #require(throws: SystemError.self) {
            _ = try one.namespace.connect(to: "fd42:88::77", port: 80)
        }
        #expect([EHOSTUNREACH, ENETUNREACH, EACCES].contains(error.errno))
    }

    @Test("Each family works alone, and leaves nothing", arguments: [["10.88.0.0/24"], ["fd42:88::/64"]])
    func alone(networks: [String]) throws {
        let node = try TestNode(networks: networks)
        let before = try node.census()
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        let isIPv4 = networks[0].contains(".")
        let wildcard = isIPv4 ? "0.0.0.0" : "::"
        let ports = [HostPort(port: 8080, containerPort: 80)]
        let first = try node.attach(one, hostPorts: ports)
        let second = try node.attach(two)
        #expect(try peerSeen(from: two.namespace, to: first, 80, at: one.namespace, wildcard, 80) == second)
        let uplink = isIPv4 ? TestNode.address : TestNode.address6
        let outside = isIPv4 ? TestNode.outsideAddress : TestNode.outsideAddress6
        #expect(try peerSeen(from: node.outside, to: uplink, 8080, at: one.namespace, wildcard, 80) == outside)
        #expect(try peerSeen(from: two.namespace, to: outside, 80, at: node.outside, wildcard, 80) == uplink)
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        #expect(try nftables.tableNames() == [TableName(isIPv4 ? .ipv4 : .ipv6, "swiftlet-pods")])
        for pod in [one, two] { try node.network.detach(uid: pod.uid) }
        #expect(try node.census() == before)
    }

    @Test("Links that are too small for IPv6 carry IPv4", arguments: [PodNetworkMode.pointToPoint, .bridge("podbr0")])
    func smallLinks(mode: PodNetworkMode) throws {
        let node = try TestNode(networks: ["10.88.0.0/24"], mode: mode)
        try node.network.update(unmasqueraded: [], mtu: 1000)
        let pod = try TestPod("web")
        let address = "\(try node.attach(pod, .init()).address)"
        #expect(try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
        var host = try node.routes()
        let end = try #require(try node.network.address(uid: pod.uid)).hostInterface
        try host.apply([.changeLink(.name(end), LinkChange(isUp: false))])
        #expect(try node.network.reconcile(live: [pod.uid]).repaired == [pod.uid])
        #expect(try peerSeen(from: node.namespace, to: address, 81, at: pod.namespace, "0.0.0.0", 81) == "10.88.0.1")
    }

    @Test("An IPv6 host port answers from outside, from pods, from its own pod and from the host, on ::1 too")
    func hostPorts() throws {
        let node = try TestNode()
        let (web, client) = (try TestPod("web"), try TestPod("client"))
        // Two of them: each has a way back to ::1 of its own.
        try node.attach(try TestPod("other"), .init(hostPorts: [HostPort(port: 9090, containerPort: 80)]))
        try node.attach(web, .init(hostPorts: [HostPort(port: 8080, containerPort: 80)]))
        let other = "\(try node.attach(client, .init()).addresses[1])"
        func seen(_ from: TestNamespace, _ to: String) throws -> String {
            try peerSeen(from: from, to: to, 8080, at: web.namespace, "::", 80)
        }
        #expect(try seen(node.outside, TestNode.address6) == TestNode.outsideAddress6)
        #expect(try seen(client.namespace, TestNode.address6) == other)
        #expect(try seen(client.namespace, "fd42:88::1") == other)
        #expect(try seen(web.namespace, TestNode.address6) == "fd42:88::1")
        #expect(try seen(node.namespace, TestNode.address6) == TestNode.address6)
        #expect(try seen(node.namespace, "::1") == "fd42:88::1")
        #expect(throws: SystemError.self) { _ = try node.outside.connect(to: TestNode.address6, port: 80) }
        try node.network.detach(uid: web.uid)
        #expect(throws: SystemError.self) { _ = try node.namespace.connect(to: "::1", port: 8080) }
    }

    @Test("A host port of one address, or of all of one family, answers there alone")
    func hostPortOfOneAddress() throws {
        let node = try TestNode()
        let (local, wide, old) = (try TestPod("local"), try TestPod("wide"), try TestPod("old"))
        try node.attach(local, .init(hostPorts: [HostPort(hostIP: IPAddress("::1"), port: 8080, containerPort: 80)]))
        try node.attach(
            wide, .init(hostPorts: [HostPort(hostIP: IPAddress(TestNode.address6), port: 8080, containerPort: 81)]))
        try node.attach(old, .init(hostPorts: [HostPort(hostIP: IPAddress("0.0.0.0"), port: 8080, containerPort: 82)]))
        #expect(try peerSeen(from: node.namespace, to: "::1", 8080, at: local.namespace, "::", 80) == "fd42:88::1")
        #expect(
            try peerSeen(from: node.outside, to: TestNode.address6, 8080, at: wide.namespace, "::", 81)
                == TestNode.outsideAddress6)
        #expect(
            try peerSeen(from: node.outside, to: TestNode.address, 8080, at: old.namespace, "0.0.0.0", 82)
                == TestNode.outsideAddress)
        let taken = try #require(throws: PodNetworkError.self) {
            try node.attach(
                try TestPod("x"), .init(hostPorts: [HostPort(hostIP: IPAddress("::"), port: 8080, containerPort: 1)]))
        }
        #expect("\(taken)".hasPrefix("host port [::]:8080/tcp is taken by pod default/"))
    }

    @Test("A pod cannot send from an IPv6 address that is not its own, not even a link-local one of another")
    func spoofing() throws {
        let node = try TestNode()
        let (pod, victim) = (try TestPod("evil"), try TestPod("victim"))
        try node.attach(pod, .init())
        try node.attach(victim, .init())
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        let eth0 = try #require(try inside.link(.name("eth0"))).index
        let receivers = [
            (try node.namespace.datagrams(on: "fd42:88::1", port: 99), "fd42:88::1"),
            (try victim.namespace.datagrams(on: "fd42:88::3", port: 99), "fd42:88::3"),
            (try node.outside.datagrams(on: TestNode.outsideAddress6, port: 99), TestNode.outsideAddress6),
        ]
        let stolen = ["fd42:88::3", "fd42:88::1", "2001:db8::2", "fd99::1"]
        for (receiver, address) in receivers {
            for text in stolen where text != address {
                let theft = Address(
                    link: eth0, address: try #require(IPAddress(text)), prefixLength: 128, flags: .noDAD)
                try inside.apply([.setAddress(theft)])
                try pod.namespace.datagrams(on: text, port: 0).send("stolen", to: address, port: 99)
                try inside.apply([.deleteAddress(theft)])
            }
            try pod.namespace.datagrams(on: "fd42:88::2", port: 0).send("honest", to: address, port: 99)
            // One pod's packets arrive in order: when the honest one is here, the others have been dropped.
            #expect(try receiver.receive().text == "honest")
        }
    }

    @Test("IPv6 that is switched off is said in one line, and nothing is set up")
    func switchedOff() throws {
        let bare = try TestNamespace()
        try NetworkSetting("net.ipv6.conf.all.disable_ipv6").set("1", in: bare.descriptor)
        try withTemporaryDirectory { directory in
            let networks = try TestNode.networks.map { try #require(CIDR($0)) }
            let error = try #require(throws: PodNetworkError.self) {
                _ = try PodNetwork(
                    configuration: PodNetworkConfiguration(podCIDRs: networks), directory: directory,
                    in: bare.descriptor)
            }
            #expect(
                "\(error)"
                    == "pod CIDR fd42:88::/64: IPv6 is switched off on this host: net.ipv6.conf.all.disable_ipv6 is 1")
            var nftables = try NFTablesSocket(in: bare.descriptor)
            #expect(try nftables.tableNames().isEmpty)
            // IPv4 alone needs none.
            _ = try PodNetwork(
                configuration: PodNetworkConfiguration(podCIDRs: [networks[0]]), directory: directory,
                in: bare.descriptor)
        }
    }

    @Test("Interfaces that come without IPv6 get it")
    func offByDefault() throws {
        let node = try TestNode()
        let pod = try TestPod("web")
        for namespace in [node.namespace, pod.namespace] {
            try NetworkSetting("net.ipv6.conf.default.disable_ipv6").set("1", in: namespace.descriptor)
        }
        let address = "\(try node.attach(pod, .init()).addresses[1])"
        #expect(try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "::", 80) == "fd42:88::1")
    }

    @Test("An uplink that lives by router advertisements keeps doing so, and a reset puts its setting back")
    func routerAdvertisements() throws {
        let bare = try TestNamespace()
        var host = try RouteSocket(in: bare.descriptor)
        try host.apply([.createVeth(VethPair(name: "up.5", peerName: "o0"))])
        let (ours, theirs) = (
            NetworkSetting("net/ipv6/conf/up.5/accept_ra"), NetworkSetting("net/ipv6/conf/o0/accept_ra")
        )
        try theirs.set("0", in: bare.descriptor)
        try withTemporaryDirectory { directory in
            let configuration = PodNetworkConfiguration(podCIDRs: try TestNode.networks.map { try #require(CIDR($0)) })
            do {
                let network = try PodNetwork(configuration: configuration, directory: directory, in: bare.descriptor)
                #expect(try ours.value(in: bare.descriptor) == "2" && theirs.value(in: bare.descriptor) == "0")
                #expect(network.notes.count { $0.contains("net/ipv6/conf/up.5/accept_ra was 1, set to 2") } == 1)
            }
            try PodNetwork.removeEverything(directory: directory, in: bare.descriptor)
            #expect(try ours.value(in: bare.descriptor) == "1" && theirs.value(in: bare.descriptor) == "0")
        }
    }
}
