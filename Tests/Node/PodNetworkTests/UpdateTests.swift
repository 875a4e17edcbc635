import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// What changes while pods run, and several pod networks beside each other.
@Suite struct UpdateTests {
    let node: TestNode

    init() throws { node = try TestNode() }

    @Test("Networks that see pods' own addresses come and go while pods run, by what the receiver sees")
    func unmasqueraded() throws {
        let pod = try TestPod("web")
        let given = try node.attach(pod, .init())
        try node.letOutsideReachPods()
        func seen(_ to: String) throws -> String {
            try peerSeen(from: pod.namespace, to: to, 80, at: node.outside, to.contains(":") ? "::" : "0.0.0.0", 80)
        }
        #expect(try seen(TestNode.outsideAddress) == TestNode.address)
        #expect(try seen(TestNode.outsideAddress6) == TestNode.address6)
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        let before = try nftables.generation()
        let outside = try ["192.0.2.0/24", "2001:db8::/64"].map { try #require(CIDR($0)) }
        try node.network.update(unmasqueraded: outside, mtu: 1500)
        #expect(try nftables.generation() == before + 1)
        #expect(try seen(TestNode.outsideAddress) == "\(given.addresses[0])")
        #expect(try seen(TestNode.outsideAddress6) == "\(given.addresses[1])")
        try node.network.update(unmasqueraded: outside, mtu: 1500)
        #expect(try nftables.generation() == before + 1)
        try node.network.update(unmasqueraded: [], mtu: 1500)
        #expect(try seen(TestNode.outsideAddress) == TestNode.address)
        #expect(try seen(TestNode.outsideAddress6) == TestNode.address6)
    }

    @Test("Between pods nothing is masqueraded, whatever the networks are")
    func betweenPods() throws {
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        let (first, second) = (try node.attach(one, .init()), try node.attach(two, .init()))
        for networks in [[], ["10.88.0.0/16", "fd42:88::/48"]] {
            try node.network.update(unmasqueraded: networks.compactMap { CIDR($0) }, mtu: 1500)
            for (from, to) in zip(first.addresses, second.addresses) {
                let wildcard = from.bitWidth == 32 ? "0.0.0.0" : "::"
                let seen = try peerSeen(from: one.namespace, to: "\(to)", 80, at: two.namespace, wildcard, 80)
                #expect(seen == "\(from)")
            }
        }
    }

    @Test("Another MTU reaches the host's ends at once, pods when they are refreshed, and later pods")
    func mtu() throws {
        let (old, new) = (try TestPod("old"), try TestPod("new"))
        let given = try node.attach(old, .init())
        var host = try node.routes()
        var inside = try RouteSocket(in: old.namespace.descriptor)
        try node.network.update(unmasqueraded: [], mtu: 1430)
        #expect(try host.link(.name(given.hostInterface))?.mtu == 1430)
        #expect(try inside.link(.name("eth0"))?.mtu == 1500)
        try node.network.refresh(uid: old.uid, routeSocket: old.socket.descriptor)
        #expect(try inside.link(.name("eth0"))?.mtu == 1430)
        #expect(try node.attach(new, .init()).mtu == 1430)
        #expect(try node.network.reconcile(live: [old.uid, new.uid]) == Reconciliation())
        #expect(throws: PodNetworkError.self) { try node.network.update(unmasqueraded: [], mtu: 1000) }
        #expect(node.mtu == 1430)
    }

    @Test("A pod's inside that somebody took apart is put together again")
    func refresh() throws {
        let pod = try TestPod("web")
        let given = try node.attach(pod, .init())
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        let eth0 = try #require(try inside.link(.name("eth0"))).index
        try inside.apply([.changeLink(.index(eth0), LinkChange(isUp: false))])
        try inside.apply([
            .deleteAddress(Address(link: eth0, address: given.addresses[0], prefixLength: 32))
        ])
        try node.network.refresh(uid: pod.uid, routeSocket: pod.socket.descriptor)
        for address in given.addresses {
            let wildcard = address.bitWidth == 32 ? "0.0.0.0" : "::"
            let uplink = address.bitWidth == 32 ? TestNode.outsideAddress : TestNode.outsideAddress6
            _ = try peerSeen(from: node.namespace, to: "\(address)", 80, at: pod.namespace, wildcard, 80)
            _ = try peerSeen(from: pod.namespace, to: uplink, 81, at: node.outside, wildcard, 81)
        }
        let error = try #require(throws: PodNetworkError.self) {
            try node.network.refresh(uid: "nobody", routeSocket: pod.socket.descriptor)
        }
        #expect("\(error)" == "pod nobody is not attached")
    }

    @Test("Other pod CIDRs while pods run: those who fit stay, the others are told of and keep working until they move")
    func podCIDRs() throws {
        let before = try node.census()
        let (stays, goes) = (try TestPod("stays"), try TestPod("goes"))
        try node.attach(stays, .init())
        let far = try node.attach(goes, .init(addresses: [try #require(IPAddress("10.88.0.200"))]))
        let narrow = try ["10.88.0.0/25", "fd42:88::/64"].map { try #require(CIDR($0)) }
        let report = try node.network.update(podCIDRs: narrow)
        #expect(report.lost == [goes.uid] && report.removed.isEmpty)
        _ = try peerSeen(from: node.namespace, to: "\(far.address)", 80, at: goes.namespace, "0.0.0.0", 80)
        let moved = try node.attach(goes, .init())
        #expect(narrow[0].contains(moved.address))
        #expect(try node.network.reconcile(live: [stays.uid, goes.uid]) == Reconciliation())
        // Somebody else's network is refused, and everything is as it was.
        let complete = try node.census()
        let taken = try #require(CIDR("192.0.2.0/24"))
        #expect(throws: PodNetworkError.self) { _ = try node.network.update(podCIDRs: [taken]) }
        #expect(try node.census() == complete && node.network.configuration.podCIDRs == narrow)
        // One family less: its table, address and route go.
        _ = try node.network.update(podCIDRs: [narrow[0]])
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        #expect(try nftables.tableNames().map(\.family) == [.ipv4])
        #expect(try !node.census().contains { $0.contains("fd42:88::1/128") || $0.contains("unreachable fd42:88::") })
        try node.network.reconcile(live: [])
        _ = try node.network.update(podCIDRs: TestNode.networks.map { try #require(CIDR($0)) })
        #expect(try node.census() == before)
    }

    @Test("UDP flows to a host port do not outlive its pod, and find a pod that comes later")
    func flows() throws {
        for (uplink, wildcard) in [(TestNode.address, "0.0.0.0"), (TestNode.address6, "::")] {
            let (first, second) = (try TestPod("first\(wildcard)"), try TestPod("second\(wildcard)"))
            let port = PodNetworkRequest(hostPorts: [HostPort(port: 53, transport: .udp, containerPort: 53)])
            let client = try node.outside.datagrams(on: wildcard, port: 1053)
            // Before anybody is there, the flow is left to the host itself.
            try client.send("early", to: uplink, port: 53)
            for pod in [first, second] {
                try node.attach(pod, port)
                let inbox = try pod.namespace.datagrams(on: wildcard, port: 53)
                try client.send("to \(pod.name)", to: uplink, port: 53)
                #expect(try inbox.receive().text == "to \(pod.name)")
                try node.network.detach(uid: pod.uid)
            }
        }
    }

    @Test("A second pod network in the same place touches nothing of the first, and goes without it")
    func owners() throws {
        let pod = try TestPod("web")
        let ports = [HostPort(port: 8080, containerPort: 80)]
        try node.attach(pod, .init(hostPorts: ports))
        let before = try node.census()
        try withTemporaryDirectory { directory in
            var configuration = node.configuration
            configuration.podCIDRs = try ["10.89.0.0/24", "fd42:89::/64"].map { try #require(CIDR($0)) }
            configuration.owner = "cni-lab"
            configuration.hostInterfacePrefix = "cn"
            let guest = try TestPod("web")
            do {
                let second = try PodNetwork(
                    configuration: configuration, directory: directory, in: node.namespace.descriptor)
                let given = try second.attach(
                    uid: guest.uid, name: guest.name, networkNamespace: guest.namespace.descriptor,
                    routeSocket: guest.socket.descriptor)
                let seen = try peerSeen(
                    from: node.namespace, to: "\(given.address)", 80, at: guest.namespace, "0.0.0.0", 80)
                #expect(seen == "10.89.0.1")
                #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
                #expect(try second.reconcile(live: [guest.uid]) == Reconciliation())
                #expect(try node.census().isSuperset(of: before))
                // Nor may it have what the first has.
                configuration.podCIDRs = [try #require(CIDR("10.88.0.128/25"))]
                configuration.owner = "greedy"
                let error = try #require(throws: PodNetworkError.self) {
                    _ = try PodNetwork(
                        configuration: configuration, directory: directory + "/greedy", in: node.namespace.descriptor)
                }
                #expect("\(error)".contains("another pod network has 10.88.0.0/24"))
            }
            try PodNetwork.removeEverything(directory: directory, in: node.namespace.descriptor)
        }
        #expect(try node.census() == before)
        #expect(try NetworkSetting("net.ipv4.ip_forward").value(in: node.namespace.descriptor) == "1")
    }

    @Test("A brief owner waits for its turn, finds what an earlier one set up, and mends what is gone as a whole")
    func brief() throws {
        try withTemporaryDirectory { directory in
            let bare = try TestNamespace()
            let configuration = node.configuration
            func open() throws -> PodNetwork {
                try PodNetwork(configuration: configuration, directory: directory, in: bare.descriptor, isBrief: true)
            }
            #expect(try open().notes.count == 2)
            #expect(try open().notes.isEmpty)
            let pod = try TestPod("web")
            func attach(_ network: PodNetwork) throws -> String {
                try network.attach(
                    uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
                    routeSocket: pod.socket.descriptor, hostPorts: [HostPort(port: 8080, containerPort: 80)]
                ).address.description
            }
            let address = try attach(try open())
            var nftables = try NFTablesSocket(in: bare.descriptor)
            var change = Transaction()
            change.remove(PodNetworkConfiguration.table)
            try nftables.commit(change)
            #expect(try open().address(uid: pod.uid)?.address.description == address)
            #expect(
                try peerSeen(from: bare, to: "127.0.0.1", 8080, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
            try open().detach(uid: pod.uid)
            #expect(try open().address(uid: pod.uid) == nil)
        }
    }
}
