// Pods on different hosts reach each other by their own addresses, by each backend and over each underlay, and what their
// packets look like on the way.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

extension Cluster {
    /// Counts, on the way between the hosts, packets with a pod's address outside (`plain`) and UDP packets to the overlay's
    /// port (`wrapped`). On a bridge the switch sees them, else the first router.
    fileprivate func countPackets(topology: Testbed.Topology) async throws {
        let place = try testbed.place(topology == .bridge ? "switch" : "r1")
        let family = topology == .bridge ? "bridge" : "inet"
        let rules = """
            add table \(family) seen
            add chain \(family) seen forward { type filter hook forward priority 0; }
            add counter \(family) seen plain
            add counter \(family) seen wrapped
            add rule \(family) seen forward ip saddr 10.42.0.0/16 ip daddr 10.42.0.0/16 counter name plain
            add rule \(family) seen forward ip6 saddr fd42::/16 ip6 daddr fd42::/16 counter name plain
            add rule \(family) seen forward udp dport 8472 counter name wrapped
            """
        try await place.run(["nft", "-f", "-"], input: rules).orFail()
    }

    fileprivate func count(_ name: String, topology: Testbed.Topology) async throws -> Int {
        let place = try testbed.place(topology == .bridge ? "switch" : "r1")
        let family = topology == .bridge ? "bridge" : "inet"
        let text = try await place.run(["nft", "list", "counter", family, "seen", name]).orFail().output
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let at = words.firstIndex(of: "packets"), let count = Int(words[at + 1]) else {
            throw TestFailure("no counter in \(text)")
        }
        return count
    }
}

/// A backend over an underlay, and how pods' packets must look between the hosts.
struct OverlayCase: Sendable, CustomTestStringConvertible {
    let backend: String
    let topology: Testbed.Topology
    let isWrapped: Bool
    /// Of pods' interfaces, where hosts' have 1500.
    let mtu: Int

    var testDescription: String { "\(backend), \(topology)" }

    static let all = [
        // Where both underlays are there, pods' packets fit the one that takes more: IPv6, 20 bytes.
        OverlayCase(backend: "vxlan", topology: .bridge, isWrapped: true, mtu: 1430),
        OverlayCase(backend: "vxlan", topology: .star, isWrapped: true, mtu: 1430),
        // Another node may join elsewhere.
        OverlayCase(backend: "vxlan-direct", topology: .bridge, isWrapped: false, mtu: 1430),
        OverlayCase(backend: "vxlan-direct", topology: .star, isWrapped: true, mtu: 1430),
        OverlayCase(backend: "host-gw", topology: .bridge, isWrapped: false, mtu: 1500),
        // No Ethernet header inside: 14 bytes less.
        OverlayCase(backend: "tunnel", topology: .bridge, isWrapped: true, mtu: 1444),
        OverlayCase(backend: "tunnel", topology: .star, isWrapped: true, mtu: 1444),
    ]
}

extension NodeTests {
    @Suite("Pods on three hosts", .serialized) struct Overlays {
        @Test(arguments: OverlayCase.all)
        func reachEachOtherByEveryBackend(_ overlay: OverlayCase) async throws {
            try await Cluster.with(overlay: overlay.backend, topology: overlay.topology) { cluster in
                let pods = try await cluster.startPods()
                for pod in pods {
                    #expect(pod.addresses.count == 2, "an address of each family: \(pod.addresses)")
                }
                try await cluster.expectAllReachAll(pods)
                try await cluster.countPackets(topology: overlay.topology)
                for (from, to) in [(0, 1), (1, 2), (2, 0)] {
                    for address in pods[to].addresses {
                        try await pods[from].place.stream(to: address)
                        #expect(try await pods[from].place.datagrams(to: address, size: 65000) == 5, "\(address)")
                        for kind in ["tcp", "udp"] {
                            let seen = try await pods[from].place.seen(at: address, over: kind)
                            #expect(pods[from].addresses.contains(seen), "pod to pod is nobody's to change: \(seen)")
                        }
                    }
                }
                let plain = try await cluster.count("plain", topology: overlay.topology)
                let wrapped = try await cluster.count("wrapped", topology: overlay.topology)
                #expect(
                    overlay.isWrapped ? plain == 0 && wrapped > 1000 : plain > 1000 && wrapped == 0,
                    "\(plain), \(wrapped)")
                for pod in pods { #expect(try await pod.mtu() == overlay.mtu) }
            }
        }

        @Test(arguments: ["vxlan", "host-gw"])
        func reachHostsAndTheOutsideWithTheirHostsAddressOnly(_ backend: String) async throws {
            try await Cluster.with(hosts: 2, overlay: backend) { cluster in
                let pods = try await cluster.startPods()
                try await cluster.expectAllReachAll(pods)
                try await cluster.outside.serve()
                try await cluster.place(1).serve()
                for kind in ["tcp", "udp"] {
                    // Host to pod: its own and the other's.
                    for (host, address) in [
                        (0, pods[0].addresses[0]), (0, pods[1].addresses[0]), (1, pods[0].addresses[1]),
                    ] {
                        let seen = try await cluster.place(host).seen(at: address, over: kind)
                        #expect(!seen.isEmpty)
                    }
                    // Pod to a host that is a node: the answer must find back either way.
                    for address in ["192.0.2.12", "2001:db8::12"] {
                        #expect(try await !pods[0].place.seen(at: address, over: kind).isEmpty)
                    }
                    // The world knows no pod.
                    #expect(try await pods[0].place.seen(at: "192.0.2.1", over: kind) == "192.0.2.11")
                    #expect(try await pods[1].place.seen(at: "2001:db8::1", over: kind) == "2001:db8::12")
                }
            }
        }

        /// A mark that asks for masquerading stays on a packet when it is encapsulated: the outer packet would get another
        /// source port, and an entry in the connection table, for nothing.
        @Test(arguments: ["vxlan", "tunnel"])
        func haveTheirPacketsWrappedInSomeThatNobodyTranslates(_ backend: String) async throws {
            try await Cluster.with(hosts: 2, overlay: backend, families: .ipv4, podFamilies: .ipv4) { cluster in
                let rules = """
                    table ip foreign {
                        chain marking {
                            type filter hook prerouting priority mangle;
                            ip saddr 10.42.0.0/16 meta mark set 0x4000
                        }
                        chain masquerading {
                            type nat hook postrouting priority srcnat;
                            meta mark & 0x4000 == 0x4000 masquerade random,fully-random
                        }
                    }
                    """
                try await cluster.nodes[0].host.run(["nft", "-f", "-"], input: rules).orFail()
                let pods = try await cluster.startPods()
                try await cluster.expectAllReachAll(pods)
                try await pods[0].place.stream(to: pods[1].addresses[0])
                let seen = try await pods[0].place.seen(at: pods[1].addresses[0], over: "tcp")
                #expect(seen != pods[0].addresses[0], "the inner packet is what the rule asked for")
                for node in cluster.nodes {
                    let table = try await node.host.run(["conntrack", "-L", "-p", "udp", "--orig-port-dst", "8472"])
                        .orFail()
                    #expect(table.output.isEmpty)
                }
            }
        }

        /// The hosts' own links have 1500 bytes; one between their routers has less.
        @Test(arguments: ["vxlan", "tunnel"])
        func useWhatFitsThroughASmallerLinkOnTheWay(_ backend: String) async throws {
            try await Cluster.with(overlay: backend, topology: .chain, mtu: ["r1-r2": 1400]) { cluster in
                let pods = try await cluster.startPods()
                try await cluster.expectAllReachAll(pods)
                for (from, to) in [(0, 1), (1, 0), (2, 0)] {
                    for address in pods[to].addresses {
                        try await pods[from].place.stream(to: address)
                        // The first datagrams may be lost to learning the path's MTU, later ones not.
                        _ = try await pods[from].place.datagrams(to: address, size: 65000, count: 3)
                        #expect(try await pods[from].place.datagrams(to: address, size: 65000) == 5, "\(address)")
                    }
                }
            }
        }

        @Test func haveTheMTUOfTheirHostsOwnUnderlay() async throws {
            try await Cluster.with(hosts: 2, mtu: ["h2": 1400], families: .ipv4) { cluster in
                let pods = try await cluster.startPods()
                #expect(try await pods[0].mtu() == 1450)
                #expect(try await pods[1].mtu() == 1350)
                try await cluster.expectAllReachAll(pods)
                for (from, to) in [(0, 1), (1, 0)] {
                    for address in pods[to].addresses { try await pods[from].place.stream(to: address) }
                }
            }
        }

        @Test(arguments: [
            ("vxlan", Testbed.Families.ipv6, 1430), ("tunnel", .ipv6, 1444), ("host-gw", .ipv6, 1500),
            ("vxlan", .ipv4, 1450), ("tunnel", .ipv4, 1464),
        ])
        func areOfBothFamiliesOverAnUnderlayOfOne(_ backend: String, _ underlay: Testbed.Families, _ mtu: Int)
            async throws
        {
            try await Cluster.with(hosts: 2, overlay: backend, families: underlay) { cluster in
                let pods = try await cluster.startPods()
                for pod in pods { #expect(try await pod.mtu() == mtu) }
                // A plain route needs a next hop of its own family.
                let reachable = pods[1].addresses.filter {
                    backend != "host-gw" || $0.contains(":") == (underlay == .ipv6)
                }
                for address in reachable {
                    try await eventually("\(address)", seconds: 10) { try await pods[0].place.pings(address) }
                    try await pods[0].place.stream(to: address)
                    #expect(try await pods[0].place.datagrams(to: address, size: 65000) == 5)
                }
            }
        }
    }
}
