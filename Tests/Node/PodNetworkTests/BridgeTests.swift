import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// Pods as ports of a bridge.
@Suite struct BridgeTests {
    let node: TestNode

    init() throws { node = try TestNode(mode: .bridge("podbr0")) }

    @Test("Pods reach each other, the host and the outside in both families, the outside sees the node's address")
    func reach() throws {
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        let (first, second) = (try node.attach(one, .init()), try node.attach(two, .init()))
        #expect(first.gateways.map(\.description) == ["10.88.0.1", "fd42:88::1"])
        for index in 0...1 {
            let wildcard = ["0.0.0.0", "::"][index]
            let (a, b, gateway) = (
                "\(first.addresses[index])", "\(second.addresses[index])", "\(first.gateways[index])"
            )
            let outside = [TestNode.outsideAddress, TestNode.outsideAddress6][index]
            let uplink = [TestNode.address, TestNode.address6][index]
            #expect(try peerSeen(from: one.namespace, to: b, 80, at: two.namespace, wildcard, 80) == a)
            #expect(try peerSeen(from: node.namespace, to: b, 81, at: two.namespace, wildcard, 81) == gateway)
            #expect(try peerSeen(from: one.namespace, to: gateway, 82, at: node.namespace, wildcard, 82) == a)
            #expect(try peerSeen(from: one.namespace, to: outside, 83, at: node.outside, wildcard, 83) == uplink)
        }
    }

    @Test("Host ports answer from everywhere, also their own pod's call and the host's on its loopback addresses")
    func hostPorts() throws {
        let (web, client) = (try TestPod("web"), try TestPod("client"))
        try node.attach(web, .init(hostPorts: [HostPort(port: 8080, containerPort: 80)]))
        let other = try node.attach(client, .init()).addresses.map(\.description)
        for index in 0...1 {
            let wildcard = ["0.0.0.0", "::"][index]
            let uplink = [TestNode.address, TestNode.address6][index]
            let gateway = ["10.88.0.1", "fd42:88::1"][index]
            func seen(_ from: TestNamespace, _ to: String) throws -> String {
                try peerSeen(from: from, to: to, 8080, at: web.namespace, wildcard, 80)
            }
            #expect(try seen(node.outside, uplink) == [TestNode.outsideAddress, TestNode.outsideAddress6][index])
            #expect(try seen(client.namespace, uplink) == other[index])
            #expect(try seen(web.namespace, uplink) == gateway)
            // Where br_netfilter translates frames before the host receives them, those to ::1 are not received.
            let filter = NetworkSetting("net/bridge/bridge-nf-call-ip6tables")
            if index == 1, (try? filter.value(in: node.namespace.descriptor)) == "1" {
                try filter.set("0", in: node.namespace.descriptor)
            }
            #expect(try seen(node.namespace, ["127.0.0.1", "::1"][index]) == gateway)
        }
    }

    @Test("A pod cannot speak in another's name, neither to its neighbours nor to the host, by ARP, IP or Ethernet")
    func spoofing() throws {
        let (evil, victim, friend) = (try TestPod("evil"), try TestPod("victim"), try TestPod("friend"))
        for pod in [evil, victim, friend] { try node.attach(pod, .init()) }
        let eth0 = "eth0"
        for (stolen, own, target) in [
            ("10.88.0.3", "10.88.0.2", "10.88.0.4"), ("10.88.0.200", "10.88.0.2", "10.88.0.1"),
            ("fd42:88::3", "fd42:88::2", "fd42:88::1"), ("fd42:88::3", "fd42:88::2", "fd42:88::4"),
        ] {
            let receiver = target.hasSuffix("1") ? node.namespace : friend.namespace
            let inbox = try receiver.datagrams(on: target, port: 99)
            let length = stolen.contains(":") ? ["128", "nodad"] : ["24"]
            let address = ["\(stolen)/\(length[0])", "dev", eth0] + length.dropFirst()
            try evil.namespace.output(of: ["ip", "address", "add"] + address)
            try evil.namespace.datagrams(on: stolen, port: 0).send("stolen", to: target, port: 99)
            try evil.namespace.output(of: ["ip", "address", "del", "\(stolen)/\(length[0])", "dev", eth0])
            try evil.namespace.datagrams(on: own, port: 0).send("honest", to: target, port: 99)
            #expect(try inbox.receive().text == "honest")
        }
        // Who was asked for by ARP in the thief's name has not learned from it.
        var inside = try RouteSocket(in: friend.namespace.descriptor)
        let mac = PodNetworkConfiguration.podMAC(.v4(IPv4Address(0x0a58_0002)))
        #expect(
            try !inside.neighbours().contains { $0.mac == mac && "\($0.address)" != "10.88.0.2" })
        // Another's Ethernet address is of no use either.
        try evil.namespace.output(of: ["ip", "link", "set", eth0, "address", "0a:58:0a:58:00:03"])
        let sender = try evil.namespace.datagrams(on: "10.88.0.2", port: 0)
        try sender.send("in another's frame", to: "10.88.0.1", port: 98)
        let inbox = try node.namespace.datagrams(on: "10.88.0.1", port: 98)
        try victim.namespace.datagrams(on: "10.88.0.3", port: 0).send("honest", to: "10.88.0.1", port: 98)
        #expect(try inbox.receive().text == "honest")
    }

    @Test("Detaching takes everything back; a new owner adopts what it finds and repairs what others undo")
    func lifeCycle() throws {
        let before = try node.census()
        let pod = try TestPod("web")
        let given = try node.attach(pod, .init(hostPorts: [HostPort(port: 8080, containerPort: 80)]))
        let complete = try node.census()
        try node.restart()
        #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        var host = try node.routes()
        let bridge = try #require(try host.link(.name("podbr0"))).index
        let port = try #require(try host.link(.name(given.hostInterface))).index
        let damages: [Change] = [
            .changeLink(.index(port), LinkChange(master: 0)), .changeLink(.index(port), LinkChange(isUp: false)),
            .deleteNeighbour(Neighbour(link: bridge, address: given.address, mac: nil)),
        ]
        for damage in damages {
            try host.apply([damage])
            #expect(try node.network.reconcile(live: [pod.uid]).repaired == [pod.uid])
            #expect(try node.census() == complete)
            #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        }
        try node.network.detach(uid: pod.uid)
        #expect(try node.census() == before)
        try node.attach(pod, .init())
        try node.restart()
        #expect(try node.network.reconcile(live: []).removed == [pod.uid])
        #expect(try node.census() == before)
    }

    @Test(
        "From point to point to a bridge and back, pods are told of and attached anew, and nothing of the former stays")
    func changedMode() throws {
        let before = try node.census()
        let pod = try TestPod("web")
        var given = try node.attach(pod, .init())
        for mode in [PodNetworkMode.pointToPoint, .bridge("podbr0"), .bridge("podbr1")] {
            try node.restart(mode: mode)
            let report = try node.network.reconcile(live: [pod.uid])
            // From one bridge to another it only moves.
            #expect(report.lost == (mode == .bridge("podbr1") ? [] : [pod.uid]))
            if !report.lost.isEmpty { given = try node.attach(pod, .init()) }
            let address = "\(given.address)"
            #expect(
                try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
            #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        }
        try node.network.detach(uid: pod.uid)
        try node.restart(mode: .bridge("podbr0"))
        #expect(try Set(node.census().map(withoutIndex)) == Set(before.map(withoutIndex)))
    }

    /// A bridge that was made anew has another number.
    private func withoutIndex(_ entry: String) -> String {
        entry.split(separator: " ").filter { !$0.hasPrefix("#") }.joined(separator: " ")
    }

    @Test("A bridge of that name that is somebody else's is left alone, and said so")
    func foreignBridge() throws {
        let bare = try TestNamespace()
        try bare.output(of: ["ip", "link", "add", "podbr0", "type", "bridge"])
        try withTemporaryDirectory { directory in
            let error = try #require(throws: PodNetworkError.self) {
                _ = try PodNetwork(configuration: node.configuration, directory: directory, in: bare.descriptor)
            }
            #expect("\(error)" == "bridge podbr0: not made by this pod network")
        }
    }

    @Test("A reset removes the bridge with everything on it")
    func reset() throws {
        let bare = try TestNamespace()
        try withTemporaryDirectory { directory in
            do {
                let network = try PodNetwork(
                    configuration: node.configuration, directory: directory, in: bare.descriptor)
                let pod = try TestPod("web")
                _ = try network.attach(
                    uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
                    routeSocket: pod.socket.descriptor)
            }
            try PodNetwork.removeEverything(directory: directory, in: bare.descriptor)
            var socket = try RouteSocket(in: bare.descriptor)
            var nftables = try NFTablesSocket(in: bare.descriptor)
            #expect(try socket.links().map(\.name) == ["lo"] && nftables.tableNames().isEmpty)
        }
    }
}
