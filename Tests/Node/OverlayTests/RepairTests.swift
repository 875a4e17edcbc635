import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What others remove or change is put back within a second.
@Suite struct RepairTests {
    @Test(arguments: [
        "ip route delete 10.42.2.0/24",
        "ip route replace 10.42.2.0/24 dev swiftlet.1 proto 95",
        "ip route append 10.42.2.0/24 via 192.0.2.77 proto 95",
        "ip -6 route delete fd42:0:0:2::/64",
        "ip neighbour delete 10.42.2.0 dev swiftlet.1",
        "ip neighbour replace 10.42.2.0 lladdr 02:00:00:00:00:99 dev swiftlet.1 nud permanent",
        "ip neighbour change 10.42.2.0 lladdr 02:00:00:00:00:99 dev swiftlet.1 nud stale",
        "ip neighbour add 10.42.77.0 lladdr 02:00:00:00:00:99 dev swiftlet.1 nud permanent",
        "ip neighbour flush dev swiftlet.1 nud permanent",
        "bridge fdb delete MAC dev swiftlet.1 dst 192.0.2.2",
        "bridge fdb replace MAC dev swiftlet.1 dst 192.0.2.77",
        "bridge fdb append MAC dev swiftlet.1 dst 192.0.2.77",
        "bridge fdb append 02:00:00:00:00:99 dev swiftlet.1 dst 192.0.2.77",
        "bridge fdb flush dev swiftlet.1",
        "ip address delete 10.42.1.0/32 dev swiftlet.1",
        "ip address add 10.42.1.77/24 dev swiftlet.1",
        "ip -6 address flush dev swiftlet6.1",
        "ip link set swiftlet.1 down",
        "ip link set swiftlet6.1 down",
        "ip link set swiftlet.1 address 02:00:00:00:00:98",
        "ip link set swiftlet.1 mtu 1300",
        "ip link delete swiftlet.1",
        "ip link delete swiftlet6.1",
        "ip link set swiftlet.1 name elsewhere",
        "ip link set eth0 down; ip link set eth0 up",
        "ip link set eth0 mtu 1400; ip link set eth0 mtu 1500",
        "nft delete table inet swiftlet-overlay",
        "nft flush ruleset",
    ])
    func whatIsTamperedWithIsRepaired(_ commands: String) async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack() }
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        let before = try fabric[1].census()
        for command in commands.split(separator: ";") {
            try fabric[1].run(String(command).replacing("MAC", with: "\(fabric[2].lease.mac(over: .v4))"))
        }
        // A link that was down has lost its IPv6 addresses and others' routes for good.
        if commands.contains("eth0 down") { try fabric[1].run("ip address replace 2001:db8::1/64 dev eth0 nodad") }
        try await fabric[1].isBack(to: before, within: commands.hasPrefix("nft") ? 5 : 3)
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], v6: true)
        try fabric[1].requireNoProblems()
    }
}
