// What others delete or change comes back; what is left of earlier runs goes; a killed agent leaves the network as it is.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

/// Something that another program does to the overlay's device, routes or entries on h1. DEVICE, PEER (h2's VTEP address) and
/// MAC (its VTEP's) are filled in.
struct Damage: Sendable, CustomTestStringConvertible {
    let what: String
    let script: String
    var testDescription: String { what }

    static let all = [
        Damage(what: "a deleted route", script: "ip route del 10.42.2.0/24"),
        Damage(what: "a deleted IPv6 route", script: "ip -6 route del fd42:0:0:2::/64"),
        Damage(what: "a route to elsewhere", script: "ip route replace 10.42.2.0/24 via 192.0.2.1 proto 95"),
        Damage(what: "a deleted neighbour", script: "ip neigh del 10.42.2.0 dev DEVICE"),
        Damage(
            what: "a neighbour with another MAC",
            script: "ip neigh replace 10.42.2.0 lladdr 02:00:00:00:00:99 dev DEVICE"),
        Damage(what: "a deleted forwarding entry", script: "bridge fdb del MAC dev DEVICE dst 192.0.2.12"),
        Damage(
            what: "a forwarding entry to elsewhere",
            script: "bridge fdb replace MAC dev DEVICE dst 192.0.2.13"),
        Damage(what: "a deleted device", script: "ip link del DEVICE"),
        Damage(what: "a device that is down", script: "ip link set DEVICE down"),
        Damage(
            what: "a device without its address",
            script:
                "ip address delete $(ip -4 -o address show dev DEVICE scope global | awk 'NR == 1 { print $4 }') dev DEVICE"
        ),
        Damage(what: "a device with another MTU", script: "ip link set DEVICE mtu 1000"),
        Damage(what: "a device with another MAC", script: "ip link set DEVICE address 02:00:00:00:00:98"),
        Damage(what: "a device that learns", script: "ip link set DEVICE type vxlan id 1 learning"),
        Damage(what: "a deleted table", script: "nft delete table inet swiftlet-overlay"),
    ]
}

extension Cluster {
    fileprivate static let device = "swiftlet.1"

    /// The overlay's part of a host's kernel state, without what counts or ages.
    fileprivate func kernelState(_ node: Node) async throws -> String {
        let script = """
            ip -d -o link show \(Self.device) | sed 's/^[0-9]*: //; s/ qlen .*ageing/ ageing/'
            ip -o address show dev \(Self.device) scope global | sed 's/^[0-9]*: //'
            ip route show proto 95; ip -6 route show proto 95
            ip neigh show dev \(Self.device) nud permanent; ip -6 neigh show dev \(Self.device) nud permanent
            bridge fdb show dev \(Self.device)
            nft --stateless list ruleset
            """
        return try await node.host.shell(script).orFail().output
    }
}

extension NodeTests {
    @Suite("What others do to the overlay", .serialized) struct OverlayRepairs {
        /// All in one test: each case begins and ends with a network in order.
        @Test func isUndoneAtOnce() async throws {
            try await Cluster.with(hosts: 2, families: .ipv4) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                let node = cluster.nodes[0]
                let entry = try await node.host.run(["ip", "neigh", "show", "10.42.2.0", "dev", Cluster.device])
                    .orFail()
                let words = entry.output.split(separator: " ").map(String.init)
                guard let at = words.firstIndex(of: "lladdr") else { throw TestFailure("no neighbour: \(entry)") }
                let before = try await cluster.kernelState(node)
                for damage in Damage.all {
                    let script = damage.script.replacing("DEVICE", with: Cluster.device)
                        .replacing("MAC", with: words[at + 1])
                    try await node.host.shell(script).orFail()
                    try await eventually("after \(damage.what): as before", seconds: 5) {
                        try await cluster.kernelState(node) == before
                    }
                    for address in pods[1].addresses {
                        try await eventually("after \(damage.what): \(address)", seconds: 5) {
                            try await pods[0].place.pings(address)
                        }
                    }
                }
            }
        }

        @Test func whatIsNotTheOverlaysStays() async throws {
            try await Cluster.with(hosts: 2, families: .ipv4) { cluster in
                let node = cluster.nodes[0]
                let foreign = """
                    ip link add flannel.7 type vxlan id 7 dstport 8999 dev uplink0
                    ip link set flannel.7 up
                    ip route add 10.99.0.0/16 dev flannel.7
                    ip route add 10.98.0.0/16 via 192.0.2.1 proto 77
                    nft add table ip kept
                    """
                try await node.host.shell("set -e; \(foreign)").orFail()
                let script =
                    "ip route show 10.99.0.0/16; ip route show proto 77; ip -o link show flannel.7; nft list table ip kept"
                let before = try await node.host.shell(script).orFail().output
                try await node.host.shell("ip link del \(Cluster.device)").orFail()
                try await cluster.testbed.changeLease(of: cluster.testbed.hosts[1], "podCIDRs=[10.42.22.0/24]")
                try await eventually("the new route") {
                    try await node.host.run(["ip", "route", "show", "10.42.22.0/24"]).output.contains(Cluster.device)
                }
                #expect(try await node.host.shell(script).orFail().output == before)
            }
        }
    }

    @Suite("The overlay of an agent that ended", .serialized) struct OverlayLeftovers {
        @Test(arguments: Cluster.backends)
        func goesOnAndIsAdoptedWithWhatChangedMeanwhile(_ backend: String) async throws {
            try await Cluster.with(overlay: backend, families: .ipv4, podFamilies: .ipv4) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                let node = cluster.nodes[0]
                let links = try await node.host.shell("ip -o link | sed 's/ state .*//'").orFail().output
                try await cluster.killAgent(of: node)
                #expect(try await pods[0].place.pings(pods[1].addresses[0]), "without an agent")
                // One node goes, something is damaged, and nobody is there to see it.
                try await cluster.testbed.removeLease(of: cluster.testbed.hosts[2])
                try await node.host.shell("ip route del 10.42.2.0/24").orFail()
                #expect(try await !pods[0].place.pings(pods[1].addresses[0]))
                try await cluster.startAgent(of: node, backend)
                try await eventually("the damaged route", seconds: 5) {
                    try await pods[0].place.pings(pods[1].addresses[0])
                }
                try await eventually("no trace of the node that left", seconds: 5) {
                    try await !node.host.shell("ip route; ip neigh; bridge fdb").output.contains("10.42.3.0")
                }
                #expect(try await node.host.shell("ip -o link | sed 's/ state .*//'").orFail().output == links)
            }
        }

        @Test func goesWhenTheNextOneHasAnotherBackend() async throws {
            try await Cluster.with(hosts: 2, families: .ipv4, podFamilies: .ipv4) { cluster in
                let pods = try await cluster.startPods(serving: false)
                for backend in ["host-gw", "tunnel", "vxlan-direct", "vxlan"] {
                    for node in cluster.nodes {
                        try await cluster.killAgent(of: node)
                        try await cluster.startAgent(of: node, backend)
                    }
                    try await cluster.expectAllReachAll(pods)
                    let route = try await cluster.nodes[0].host.run(["ip", "route", "show", "10.42.2.0/24"]).orFail()
                        .lines
                    #expect(route.count == 1, "\(backend): \(route)")
                    let devices = try await cluster.nodes[0].host.run(["ip", "-o", "link", "show", "type", "vxlan"])
                        .lines
                    #expect(devices.count == (backend == "host-gw" ? 0 : 1), "\(backend): \(devices)")
                }
            }
        }

        @Test(arguments: Cluster.backends)
        func isRemovedByReset(_ backend: String) async throws {
            try await Testbed.with(hosts: 2) { testbed in
                let node = Node(
                    host: testbed.hosts[0], data: "\(testbed.hosts[0].directory)/data",
                    run: "\(testbed.hosts[0].directory)/run", manifests: "\(testbed.hosts[0].directory)/manifests")
                try makeDirectories(node.manifests)
                let before = try await node.host.census()
                let agent = try await Cluster(testbed: testbed, nodes: [node]).startAgent(of: node, backend)
                try await eventually("a route to the other node") {
                    try await !node.host.run(["ip", "route", "show", "10.42.2.0/24"]).output.isEmpty
                }
                _ = try await agent.stop(SIGKILL)
                try await node.swiftlet("reset", "--yes").orFail()
                #expect(try await node.host.census().left(since: before) == [])
            }
        }
    }
}
