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
        "ip link set swiftlet6.1 mtu 1000",
        "ip link set eth0 mtu 1290; ip link set eth0 mtu 1500",
        "sysctl -qw net/ipv6/conf/swiftlet6.1/disable_ipv6=1",
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
        if commands.contains("eth0 down") || commands.contains("1290") {
            try fabric[1].run("ip address replace 2001:db8::1/64 dev eth0 nodad")
        }
        try await fabric[1].isBack(
            to: before, within: commands.hasPrefix("nft") || commands.hasPrefix("sysctl") ? 8 : 3)
        try TestHost.talk(fabric[1], fabric[2])
        try TestHost.talk(fabric[1], fabric[2], v6: true)
        try fabric[1].requireNoProblems()
    }

    @Test func aDipOfTheMTUHealsAtOnceAndAccusesNobody() async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts { try host.makeDualStack() }
        try fabric[1].run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        let before = try fabric[1].census()
        for _ in 0..<25 {
            try fabric[1].run("ip link set eth0 mtu 1300")
            try await reached(within: 3) {
                guard try fabric[1].problems.map({ $0.hasPrefix("pods' packets may have 1230 bytes") }) == [true] else {
                    throw TestFailure("\(try fabric[1].problems)")
                }
            }
            try fabric[1].run("ip link set eth0 mtu 1500")
            try await fabric[1].isBack(to: before)
        }
        try await reached(within: 3) { try fabric[1].requireNoProblems() }
        let state = try fabric[1].state
        #expect(state.counters.failures == 0, "\(state)")
    }

    @Test func settingsThatNobodyTellsOfAreMadeAgainAtTheAudit() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].run("sysctl -qw net.ipv4.ip_forward=1")
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        let settings = ["net/ipv4/conf/swiftlet.1/forwarding=", "net/ipv4/conf/swiftlet.1/rp_filter="]
        for setting in settings { try fabric[1].run("sysctl -qw \(setting)0") }
        let worker = (try #require(fabric[1].overlay)).worker
        await worker.audit()
        for (setting, value) in zip(settings, ["1", "2"]) {
            #expect(try fabric[1].run("sysctl -n \(setting.dropLast())").contains(value))
        }
        try fabric[1].requireNoProblems()
        #expect(try fabric[1].state.counters.repairs == 0)
        try fabric[1].run("sysctl -qw net.ipv4.ip_forward=0")
        await worker.audit()
        #expect(try fabric[1].problems == ["forwarding is off: sysctl net.ipv4.ip_forward=1"])
        try fabric[1].run("sysctl -qw net.ipv4.ip_forward=1")
        // With the rules, every two seconds.
        try await reached(within: 5) { try fabric[1].requireNoProblems() }
    }
}
