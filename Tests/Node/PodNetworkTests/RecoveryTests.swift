import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// The owner may die at any instant; what it left is found, adopted or taken back.
@Suite struct RecoveryTests {
    let node: TestNode

    init() throws { node = try TestNode() }

    @Test("A new owner adopts living pods without touching them, and takes back what others had")
    func adoption() throws {
        let before = try node.census()
        let (stays, goes) = (try TestPod("stays"), try TestPod("goes"))
        let address = try node.attach(stays, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        let with = try node.census()
        _ = try node.attach(goes, hostPorts: [HostPort(port: 9090, containerPort: 80)])
        try node.restart()
        #expect(try node.network.address(uid: stays.uid)?.address.description == address)
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        let report = try node.network.reconcile(live: [stays.uid])
        #expect(report.removed == [goes.uid] && report.repaired.isEmpty && report.lost.isEmpty)
        #expect(try node.census() == with)
        #expect(
            try peerSeen(from: node.outside, to: TestNode.address, 8080, at: stays.namespace, "0.0.0.0", 80)
                == TestNode.outsideAddress)
        // Nothing is different, so nothing is written.
        let generation = try nftables.generation()
        #expect(try node.network.reconcile(live: [stays.uid]) == Reconciliation())
        #expect(try nftables.generation() == generation)
        #expect(try node.network.reconcile(live: []).removed == [stays.uid])
        #expect(try node.census() == before)
    }

    @Test(
        "Killed after each step of an attachment, the pod is reported and attached anew, or its remains are taken back")
    func killedInTheMiddle() throws {
        let before = try node.census()
        for step in 0..<4 {
            let pod = try TestPod("half")
            let result = try node.network.attach(
                uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
                routeSocket: pod.socket.descriptor)
            var host = try node.routes()
            switch step {
            case 0:  // The lease is written, nothing else.
                try host.apply([.deleteLink(.name(result.hostInterface))])
            case 1:  // The pair is made, neither end configured.
                try host.apply([
                    .deleteLink(.name(result.hostInterface)),
                    .createVeth(
                        VethPair(
                            name: result.hostInterface, isUp: false, peerName: "eth0",
                            peerNamespace: pod.namespace.descriptor.number)),
                ])
            case 2:  // Link there, lease not written: another owner's disk, or a detach that was killed.
                try unlinkLease(result.address)
            default: break
            }
            try node.restart()
            if step == 1 || step == 0 {
                #expect(try node.network.reconcile(live: [pod.uid]).lost == [pod.uid])
                let again = try node.attach(pod)
                #expect(
                    try peerSeen(from: node.namespace, to: again, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
                #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
            }
            try node.restart()
            #expect(try node.network.reconcile(live: []).removed == [pod.uid])
            #expect(try node.census() == before)
        }
    }

    private func unlinkLease(_ address: IPAddress) throws {
        try check(unlink("\(node.directory)/leases/\(try node.leaseFile(of: "\(address)"))"), "unlink")
    }

    @Test("A detachment that was killed half-way is finished by a second one")
    func killedWhileDetaching() throws {
        let before = try node.census()
        let pod = try TestPod("half")
        let address = try node.attach(pod, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        try check(unlink("\(node.directory)/leases/\(try node.leaseFile(of: "\(address)"))"), "unlink")
        try node.restart()
        try node.network.detach(uid: pod.uid)
        #expect(try node.census() == before)
    }

    @Test("What others delete on the host's side is put back")
    func repair() throws {
        let pod = try TestPod("web")
        let result = try node.network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        let complete = try node.census()
        var host = try node.routes()
        let link = try #require(try host.link(.name(result.hostInterface))).index
        let route = try #require(
            try host.routes(origin: PodNetworkConfiguration.routeProtocol).first { $0.link == link })
        let damages: [Change] = [
            .deleteRoute(route), .deleteNeighbour(Neighbour(link: link, address: result.address, mac: nil)),
            .changeLink(.index(link), LinkChange(isUp: false)),
        ]
        for damage in damages {
            try host.apply([damage])
            #expect(try node.network.reconcile(live: [pod.uid]).repaired == [pod.uid])
            #expect(try node.census() == complete)
            #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        }
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        var change = Transaction()
        change.remove(PodNetworkConfiguration.table)
        try nftables.commit(change)
        try node.network.reconcile(live: [pod.uid])
        #expect(try node.census() == complete)
        #expect(
            try peerSeen(from: node.outside, to: TestNode.address, 8080, at: pod.namespace, "0.0.0.0", 80)
                == TestNode.outsideAddress)
    }

    @Test("After a change of the pod CIDR, pods of the old one are reported, and nothing of it stays")
    func changedCIDR() throws {
        let before = try node.census()
        let pod = try TestPod("web")
        _ = try node.attach(pod)
        // A network that holds the old one keeps the pods; only the host's routes follow its new address.
        try node.restart(networks: ["10.0.0.0/8", "fd42:88::/64"])
        #expect(try node.network.reconcile(live: [pod.uid]).repaired == [pod.uid])
        #expect(try peerSeen(from: node.namespace, to: "10.88.0.2", 80, at: pod.namespace, "0.0.0.0", 80) == "10.0.0.1")
        for cidr in ["10.99.0.0/16", "172.20.0.0/24"] {
            try node.restart(networks: [cidr, "fd42:99::/64"])
            #expect(try node.network.reconcile(live: [pod.uid]).lost == [pod.uid])
            let address = try node.attach(pod)
            #expect(try #require(CIDR(cidr)).contains(try #require(IPAddress(address))))
            let seen = try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "0.0.0.0", 80)
            #expect(seen == "\(try node.network.nodeAddress)")
            #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        }
        try node.network.detach(uid: pod.uid)
        try node.restart(networks: TestNode.networks)
        #expect(try node.census() == before)
    }

    @Test("An owner that was killed while it changed pod CIDRs leaves nothing of the former ones to the next")
    func killedWhileChangingCIDR() throws {
        node.close()
        // What is on disk before the first change to the kernel.
        var configuration = node.configuration
        configuration.podCIDRs = try ["10.99.0.0/24", "fd42:99::/64"].map { try #require(CIDR($0)) }
        var record = NodeRecord(configuration)
        record.follow(try #require(try NodeRecord.read(from: node.directory)))
        try record.write(to: node.directory)
        try node.restart(networks: ["10.99.0.0/24", "fd42:99::/64"])
        let entries = try node.census()
        #expect(!entries.contains { $0.contains("10.88.") || $0.contains("fd42:88:") })
        #expect(entries.contains("address 10.99.0.1/32 dev #1"))
        let after = try #require(try NodeRecord.read(from: node.directory))
        #expect(after.formerCIDRs.isEmpty && after.settings == record.settings)
    }

    @Test("Rules that somebody flushed do not keep pods from coming and going")
    func flushedRules() throws {
        let (one, two) = (try TestPod("one"), try TestPod("two"))
        _ = try node.attach(one, hostPorts: [HostPort(port: 8080, containerPort: 80)])
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        var flush = Transaction()
        flush.remove(PodNetworkConfiguration.table)
        try nftables.commit(flush)
        _ = try node.attach(two, hostPorts: [HostPort(port: 9090, containerPort: 80)])
        for (pod, port) in [(one, UInt16(8080)), (two, 9090)] {
            #expect(
                try peerSeen(from: node.outside, to: TestNode.address, port, at: pod.namespace, "0.0.0.0", 80)
                    == TestNode.outsideAddress)
        }
        try nftables.commit(flush)
        try node.network.detach(uid: one.uid)
        try node.network.detach(uid: two.uid)
        #expect(throws: SystemError.self) { _ = try node.outside.connect(to: TestNode.address, port: 8080) }
    }

    @Test("Interfaces, routes and tables of others are left alone")
    func strangers() throws {
        var host = try node.routes()
        try host.apply([
            .createVeth(VethPair(name: "slstranger", peerName: "slother")),
            .changeLink(.name("slstranger"), LinkChange(alias: "somebody's")),
        ])
        var nftables = try NFTablesSocket(in: node.namespace.descriptor)
        var change = Transaction()
        change.add(.addTable(TableName(.ipv4, "stranger"), comment: nil))
        try nftables.commit(change)
        try node.network.reconcile(live: [])
        #expect(try host.link(.name("slstranger")) != nil && host.link(.name("up0")) != nil)
        #expect(try nftables.tableNames().contains(TableName(.ipv4, "stranger")))
    }

    @Test(
        "1,000 random attachments, detachments and restarts give no address twice and leave nothing",
        .timeLimit(.minutes(3)))
    func churn() throws {
        let before = try node.census()
        var generator = SystemRandomNumberGenerator()
        // Reused, as making a namespace is most of the time.
        var idle = try (0..<24).map { try TestPod("p\($0)") }
        var live: [(pod: TestPod, address: String, port: UInt16?)] = []
        for round in 0..<1000 {
            if idle.isEmpty || (!live.isEmpty && Int.random(in: 0..<5, using: &generator) < 2) {
                let (pod, _, _) = live.remove(at: Int.random(in: 0..<live.count, using: &generator))
                try node.network.detach(uid: pod.uid)
                idle.append(pod)
            } else {
                let pod = idle.remove(at: Int.random(in: 0..<idle.count, using: &generator))
                let wanted = Bool.random(using: &generator) ? UInt16.random(in: 1...40, using: &generator) : nil
                let isTaken = wanted.map { port in live.contains { $0.port == port } } ?? false
                do {
                    let address = try node.attach(
                        pod, hostPorts: wanted.map { [HostPort(port: $0, containerPort: 80)] } ?? [])
                    #expect(!isTaken)
                    #expect(!live.contains { $0.address == address }, "\(address) twice")
                    live.append((pod, address, wanted))
                } catch let error as PodNetworkError {
                    guard case .hostPortTaken = error, isTaken else { throw error }
                    idle.append(pod)
                }
            }
            if round % 100 == 99 {
                try node.restart()
                #expect(try node.network.reconcile(live: live.map(\.pod.uid)) == Reconciliation())
            }
        }
        for (pod, address, _) in live {
            #expect(
                try peerSeen(from: node.namespace, to: address, 80, at: pod.namespace, "0.0.0.0", 80) == "10.88.0.1")
        }
        try node.network.reconcile(live: [])
        #expect(try node.census() == before)
    }

    @Test("Pods that come and go at the same time do not get in each other's way", .timeLimit(.minutes(2)))
    func concurrency() async throws {
        let before = try node.census()
        let network = try node.network
        let pods = try (0..<12).map { try TestPod("p\($0)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, pod) in pods.enumerated() {
                group.addTask {
                    try await blocking {
                        for round in 0..<10 {
                            let port = HostPort(port: UInt16(1000 + number), containerPort: 80)
                            let address = try network.attach(
                                uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
                                routeSocket: pod.socket.descriptor, hostPorts: [port])
                            #expect(network.address(uid: pod.uid) == address)
                            // Now and then a pod comes back without having left.
                            if round % 3 != 0 { try network.detach(uid: pod.uid) }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        let addresses = pods.compactMap { network.address(uid: $0.uid)?.address }
        #expect(!addresses.isEmpty && Set(addresses).count == addresses.count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in pods + pods {
                group.addTask { try await network.detachInBackground(uid: pod.uid) }
            }
            try await group.waitForAll()
        }
        #expect(try node.census() == before)
    }
}
