import Netlink
import TestSupport
import Testing

@testable import Overlay

/// What a firewall of others does with marks and translations does not reach encapsulated packets.
@Suite struct MasqueradeTests {
    /// As kube-proxy has it: packets with the mark are masqueraded, whatever they are. The counters tell who came by.
    private let kubeProxy = """
        table inet others {
            counter marked { }
            counter tracked { }
            counter inner { }
            chain output {
                type filter hook output priority mangle
                ip daddr 10.42.0.0/16 meta mark set 0x4000
                ip6 daddr fd42::/32 meta mark set 0x4000
            }
            chain late {
                type filter hook postrouting priority mangle
                udp dport 8472 meta mark and 0x4000 == 0x4000 counter name marked
                udp dport 8472 ct state new,established counter name tracked
            }
            chain input {
                type filter hook input priority filter
                meta l4proto tcp ct state new counter name inner
            }
            chain postrouting {
                type nat hook postrouting priority srcnat
                ip daddr 10.42.0.0/16 return
                ip6 daddr fd42::/32 return
                meta mark and 0x4000 == 0x4000 masquerade fully-random
            }
        }
        """

    @Test(arguments: [
        (OverlayBackend.vxlan, false), (.vxlan, true), (.tunnel, false), (.tunnel, true),
    ])
    func aMarkOfTheInnerPacketDoesNotSurviveEncapsulation(_ backend: OverlayBackend, _ v6: Bool) async throws {
        let fabric = try TestFabric(hosts: 2)
        for host in fabric.hosts {
            try host.makeDualStack()
            try host.namespace.output(of: ["nft", "-f", "-"], input: kubeProxy)
        }
        for host in fabric.hosts {
            try host.start(backend)
            try await host.update(fabric.leases)
            try host.requireNoProblems()
        }
        let tap = try PacketTap(fabric.bridge)
        try TestHost.talk(fabric[1], fabric[2], v6: v6)
        try TestHost.talk(fabric[1], fabric[2], v6: v6, size: 100_000, tcp: true)
        let outer = try tap.packets().filter { $0.transport == 17 && $0.destinationPort == 8472 }
        #expect(outer.count > 10)
        for host in fabric.hosts {
            for name in ["marked", "tracked"] {
                let counter = try host.run("nft list counter inet others \(name)")
                #expect(counter.contains("packets 0 bytes 0"), "\(counter)")
            }
            // The packets inside are: Services and policies depend on it.
            #expect(!(try host.run("nft list counter inet others inner").contains("packets 0 ")))
        }
        // Nobody gave the flow another source port: one flow has one.
        let addresses = Set(outer.map(\.source))
        #expect(addresses.count == 2)
    }

    @Test func withoutTheTableTheMarkWouldSurvive() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].namespace.output(of: ["nft", "-f", "-"], input: kubeProxy)
        for host in fabric.hosts {
            try host.start()
            try await host.update(fabric.leases)
        }
        try fabric[1].stop()
        try fabric[1].run("nft delete table inet swiftlet-overlay")
        try TestHost.talk(fabric[1], fabric[2])
        #expect(!(try fabric[1].run("nft list counter inet others marked").contains("packets 0")))
    }

    @Test func whatAPodSendsToSuchAPortElsewhereIsTracked() async throws {
        let fabric = try TestFabric(hosts: 2)
        try fabric[1].start()
        try await fabric[1].update(fabric.leases)
        let table = try fabric[1].run("nft list table inet swiftlet-overlay")
        #expect(
            table == """
                table inet swiftlet-overlay {
                \tchain output {
                \t\ttype filter hook output priority raw; policy accept;
                \t\tudp dport 8472 meta mark set 0x00000000 notrack
                \t}

                \tchain prerouting {
                \t\ttype filter hook prerouting priority raw; policy accept;
                \t\tudp dport 8472 fib daddr type local notrack
                \t}
                }

                """)
    }
}
