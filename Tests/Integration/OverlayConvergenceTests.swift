// The leases file and the underlay change while pods run: every node follows without a restart.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

extension NodeTests {
    @Suite("A change of a node", .serialized) struct OverlayConvergence {
        /// IPv4 and IPv6 both: where a node has two addresses, neither change may be lost.
        @Test(arguments: ["vxlan", "vxlan-direct", "host-gw", "tunnel"])
        func ofItsAddressesIsFollowed(_ backend: String) async throws {
            try await Cluster.with(hosts: 2, overlay: backend) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                try await cluster.testbed.setAddresses(of: cluster.testbed.hosts[1], "192.0.2.77/24")
                try await cluster.expectAllReachAll(pods, seconds: 5)
                try await cluster.testbed.setAddresses(of: cluster.testbed.hosts[1], "2001:db8::77/64")
                try await cluster.expectAllReachAll(pods, seconds: 5)
                try await cluster.testbed.setAddresses(of: cluster.testbed.hosts[0], "192.0.2.78/24", "2001:db8::78/64")
                try await cluster.expectAllReachAll(pods, seconds: 5)
            }
        }

        @Test func ofItsMACIsFollowed() async throws {
            try await Cluster.with(hosts: 2) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                try await cluster.testbed.changeLease(
                    of: cluster.testbed.hosts[1], "vtepMAC=02:00:00:00:00:42", "vtepMACv6=02:00:00:00:00:46")
                for (device, mac) in [("swiftlet.1", "02:00:00:00:00:42"), ("swiftlet6.1", "02:00:00:00:00:46")] {
                    try await eventually("h2's \(device) has it", seconds: 5) {
                        try await cluster.nodes[1].host.run(["ip", "-o", "link", "show", device]).output.contains(mac)
                    }
                    try await eventually("h1 knows it", seconds: 5) {
                        try await cluster.nodes[0].host.run(["bridge", "fdb", "show", "dev", device]).output.contains(
                            mac)
                    }
                }
                try await cluster.expectAllReachAll(pods, seconds: 5)
            }
        }

        @Test func ofItsPodNetworkIsFollowed() async throws {
            try await Cluster.with(hosts: 2) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                let node = cluster.nodes[1]
                try await cluster.testbed.changeLease(
                    of: cluster.testbed.hosts[1], #"podCIDRs=[10.42.22.0/24,"fd42:0:0:22::/64"]"#)
                try await eventually("h1 has the new routes and not the old ones", seconds: 5) {
                    let routes = try await cluster.nodes[0].host.shell("ip route; ip -6 route").orFail().output
                    return ["10.42.22.0/24", "fd42:0:0:22::/64"].allSatisfy(routes.contains)
                        && !["10.42.2.0/24", "fd42:0:0:2::/64"].contains(where: routes.contains)
                }
                var young: PodAcross?
                try await eventually("a new pod has the new addresses", seconds: 10) {
                    _ = try await node.swiftlet("pod", "rm", "-f", "young")
                    try await node.runPod(Node.manifest("young", "sleep 1000")).orFail()
                    young = try await cluster.pod("young", on: node)
                    return young?.addresses.first?.hasPrefix("10.42.22.") ?? false
                }
                guard let young else { return }
                try await cluster.expectAllReachAll([pods[0], young], seconds: 5)
            }
        }

        @Test func ofItsUnderlaysMTUReachesThePodsThatRun() async throws {
            try await Cluster.with(hosts: 2, families: .ipv4) { cluster in
                let pods = try await cluster.startPods()
                #expect(try await pods[1].mtu() == 1450)
                for bytes in [1400, 1500] {
                    try await cluster.testbed.setMTU(of: "h2", bytes)
                    try await eventually("the pod's MTU follows \(bytes)", seconds: 5) {
                        try await pods[1].mtu() == bytes - 50
                    }
                    try await cluster.expectAllReachAll(pods)
                    try await pods[0].place.stream(to: pods[1].addresses[0])
                }
            }
        }

        @Test func thatLeavesAndComesBackIsFollowed() async throws {
            try await Cluster.with { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                try await cluster.testbed.removeLease(of: cluster.testbed.hosts[2])
                try await eventually("h1 knows nothing of h3", seconds: 5) {
                    let state = try await cluster.nodes[0].host.shell(
                        "ip route; ip -6 route; ip neigh; ip -6 neigh; bridge fdb"
                    ).orFail().output
                    return !["10.42.3.0", "fd42:0:0:3::", "dst 192.0.2.13", "dst 2001:db8::13"].contains(
                        where: state.contains)
                }
                #expect(try await pods[0].place.pings(pods[1].addresses[0]), "the others stay")
                try await cluster.testbed.changeLease(of: cluster.testbed.hosts[2], "publicIP=192.0.2.13")
                try await cluster.expectAllReachAll(pods, seconds: 5)
            }
        }

        /// Whether or not its interface tells.
        @Test(arguments: [false, true])
        func whoseLinkWasCutIsReachedWhenItIsHealed(_ silently: Bool) async throws {
            try await Cluster.with(hosts: 2) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                try await cluster.testbed.cut(cluster.testbed.hosts[1], silently: silently)
                #expect(try await !pods[0].place.pings(pods[1].addresses[0]))
                let check = try await cluster.nodes[0].swiftlet("overlay", "check", "h2", seconds: 30)
                #expect(check.exitCode == 1 && !check.timedOut, "\(check)")
                try await cluster.testbed.heal(cluster.testbed.hosts[1])
                try await cluster.expectAllReachAll(pods, seconds: 5)
                try await cluster.nodes[0].swiftlet("overlay", "check", "h2").orFail()
            }
        }

        @Test func thatIsWrongIsToldAndHarmsNobody() async throws {
            try await Cluster.with(hosts: 2) { cluster in
                let pods = try await cluster.startPods(serving: false)
                try await cluster.expectAllReachAll(pods)
                let good = try readText(cluster.testbed.leases)
                let wrong = [
                    ("nodes: [", "leases"),
                    (good + "- name: h9\n  publicIP: 192.0.2.99\n  podCIDRs: [10.42.2.0/25]\n", "10.42.2.0/25"),
                    (good + "- name: h9\n  publicIP: 192.0.2.99\n  podCIDRs: [10.42.300.0/24]\n", "10.42.300.0/24"),
                    (good + "- name: h9\n  publicIP: 192.0.2.99\n  podCIDRs: [192.0.2.0/24]\n", "192.0.2.0/24"),
                ]
                for (text, complaint) in wrong {
                    try writeFileAtomically(cluster.testbed.leases, Array(text.utf8), mode: 0o644)
                    try await eventually("the log says what is wrong: \(complaint)", seconds: 5) {
                        try readText(cluster.nodes[0].log).contains(complaint)
                    }
                    #expect(try await pods[0].place.pings(pods[1].addresses[0]), "\(complaint)")
                    try writeFileAtomically(cluster.testbed.leases, Array(good.utf8), mode: 0o644)
                }
                try await cluster.expectAllReachAll(pods)
            }
        }
    }
}
