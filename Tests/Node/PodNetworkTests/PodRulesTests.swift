import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

@Suite struct PodRulesTests {
    private static let ipv4 = """
        table ip swiftlet-pods {
        	map host-ports {
        		type inet_proto . inet_service : ipv4_addr . inet_service
        		elements = { udp . 53 comment "default/web" : 10.88.0.2 . 5353,
        			     tcp . 8080 comment "default/web" : 10.88.0.2 . 80 }
        	}

        	map host-ports-at {
        		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
        		elements = { 127.0.0.1 . tcp . 9090 comment "default/api" : 10.88.0.3 . 90 }
        	}

        	set hairpin {
        		type ipv4_addr . ipv4_addr
        		elements = { 10.88.0.2 . 10.88.0.2 comment "default/web",
        			     10.88.0.3 . 10.88.0.3 comment "default/api" }
        	}

        	set pod-networks {
        		type ipv4_addr
        		flags interval
        		elements = { 10.88.0.0/24, 10.99.0.0/16 }
        	}

        	chain host-ports-of-host {
        		dnat ip to ip daddr . meta l4proto . th dport map @host-ports-at
        		fib daddr type local dnat ip to meta l4proto . th dport map @host-ports
        	}

        	chain prerouting {
        		type nat hook prerouting priority dstnat; policy accept;
        		ip daddr != 127.0.0.0/8 jump host-ports-of-host
        	}

        	chain output {
        		type nat hook output priority -100; policy accept;
        		jump host-ports-of-host
        	}

        	chain postrouting {
        		type nat hook postrouting priority srcnat; policy accept;
        		ct status dnat ip saddr . ip daddr @hairpin snat to 10.88.0.1
        		ip saddr 127.0.0.0/8 ip daddr 10.88.0.0/24 snat to 10.88.0.1
        		ip saddr 10.88.0.0/24 ip daddr != @pod-networks masquerade fully-random
        	}

        	chain input {
        		type filter hook input priority filter; policy accept;
        		iifname "sl*" ip daddr 127.0.0.0/8 ct state invalid,new drop
        	}

        	chain sources {
        		type filter hook prerouting priority raw; policy accept;
        		iifname "sl*" fib saddr . iif oif missing drop
        	}
        }

        """

    private static let ipv6 = """
        table ip6 swiftlet-pods {
        	map host-ports {
        		type inet_proto . inet_service : ipv6_addr . inet_service
        		elements = { udp . 53 comment "default/web" : fd42::2 . 5353,
        			     tcp . 8080 comment "default/web" : fd42::2 . 80 }
        	}

        	map host-ports-at {
        		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
        		elements = { ::1 . tcp . 9090 comment "default/api" : fd42::3 . 90 }
        	}

        	set hairpin {
        		type ipv6_addr . ipv6_addr
        		elements = { fd42::2 . fd42::2 comment "default/web",
        			     fd42::3 . fd42::3 comment "default/api" }
        	}

        	set pod-networks {
        		type ipv6_addr
        		flags interval
        		elements = { fd42::/64,
        			     fd43::/48 }
        	}

        	chain host-ports-of-host {
        		dnat ip6 to ip6 daddr . meta l4proto . th dport map @host-ports-at
        		fib daddr type local dnat ip6 to meta l4proto . th dport map @host-ports
        	}

        	chain prerouting {
        		type nat hook prerouting priority dstnat; policy accept;
        		jump host-ports-of-host
        	}

        	chain output {
        		type nat hook output priority -100; policy accept;
        		jump host-ports-of-host
        	}

        	chain postrouting {
        		type nat hook postrouting priority srcnat; policy accept;
        		ct status dnat ip6 saddr . ip6 daddr @hairpin snat to fd42::1
        		ip6 saddr ::1 ip6 daddr fd42::/64 snat to fd42::1
        		ip6 saddr fd42::/64 ip6 daddr != @pod-networks masquerade fully-random
        	}

        	chain sources {
        		type filter hook prerouting priority raw; policy accept;
        		iifname "sl*" fib saddr . iif oif missing drop
        	}
        }

        """

    private static let bridge = """
        table bridge swiftlet-pods {
        	set pods {
        		type ifname . ether_addr . ipv4_addr
        		elements = { "slweb" . 0a:58:0a:58:00:02 . 10.88.0.2 comment "default/web" }
        	}

        	set pods6 {
        		type ifname . ether_addr . ipv6_addr
        		elements = { "slweb" . 0a:58:0a:58:00:02 . fd42::2 comment "default/web" }
        	}

        	chain from-pods {
        		iifname . ether saddr . ip saddr @pods accept
        		iifname . ether saddr . arp saddr ip @pods accept
        		iifname . ether saddr . ip6 saddr @pods6 accept
        		drop
        	}

        	chain prerouting {
        		type filter hook prerouting priority filter; policy accept;
        		iifname "sl*" jump from-pods
        	}
        }

        """

    private func configuration(_ mode: PodNetworkMode = .pointToPoint) throws -> PodNetworkConfiguration {
        PodNetworkConfiguration(
            podCIDRs: try ["10.88.0.0/24", "fd42::/64"].map { try #require(CIDR($0)) }, mode: mode,
            unmasqueraded: try ["10.99.0.0/16", "fd43::/48"].map { try #require(CIDR($0)) })
    }

    private func lease(_ last: Int, _ name: String, _ ports: [HostPort] = []) throws -> Lease {
        Lease(
            addresses: try ["10.88.0.\(last)", "fd42::\(last)"].map { try #require(IPAddress($0)) }, uid: name,
            name: "default/\(name)", interface: "sl\(name)", hostPorts: ports)
    }

    private func tables() throws -> [Table] {
        PodRules(configuration: try configuration()).tables(for: [
            try lease(
                2, "web",
                [
                    HostPort(port: 8080, containerPort: 80),
                    HostPort(port: 53, transport: .udp, containerPort: 5353),
                ]),
            try lease(
                3, "api",
                [
                    HostPort(hostIP: IPAddress("127.0.0.1"), port: 9090, containerPort: 90),
                    HostPort(hostIP: IPAddress("::1"), port: 9090, containerPort: 90),
                ]),
            try lease(4, "quiet"),
        ])
    }

    private func bridgeTable() throws -> Table {
        let rules = PodRules(configuration: try configuration(.bridge("br0")))
        return try #require(try rules.tables(for: [lease(2, "web")]).last)
    }

    @Test("The tables read as they should")
    func text() throws {
        #expect(try tables().map(\.text) == [Self.ipv4, Self.ipv6])
        #expect(try bridgeTable().text == Self.bridge)
    }

    @Test("nft lists the tables as we write them, and would load what it lists")
    func nftAgrees() throws {
        for (table, golden) in zip(try tables() + [bridgeTable()], [Self.ipv4, Self.ipv6, Self.bridge]) {
            let namespace = try TestNamespace()
            var socket = try NFTablesSocket(in: namespace.descriptor)
            var change = Transaction()
            change.create(table)
            try socket.commit(change)
            // Elements come out in the order of a hash.
            let listed = try namespace.output(of: ["nft", "list", "table", table.name.family.name, "swiftlet-pods"])
            #expect(sortedElements(listed) == sortedElements(golden))
            #expect(try Transaction.changes(from: socket.snapshot(of: table.name).table, to: table).isEmpty)
            let other = try TestNamespace()
            #expect(try other.output(of: ["nft", "-f", "-"], input: listed) == "")
            var reader = try NFTablesSocket(in: other.descriptor)
            #expect(try Transaction.changes(from: reader.snapshot(of: table.name).table, to: table).isEmpty)
        }
    }

    @Test("Another network that is not masqueraded is one element more, not another table")
    func networks() throws {
        let before = PodRules(configuration: try configuration())
        var wanted = try configuration()
        // Inside of one that is there, instead of one that was, and a new one.
        wanted.unmasqueraded = try ["10.99.7.0/24", "10.100.0.0/16", "fd43::/48"].map { try #require(CIDR($0)) }
        let change = PodRules(configuration: wanted).networkChanges(from: before)
        #expect(
            change.operations.map(\.description) == [
                "delete element ip swiftlet-pods pod-networks (2)", "add element ip swiftlet-pods pod-networks (4)",
            ])
        #expect(PodRules(configuration: wanted).networkChanges(from: PodRules(configuration: wanted)).isEmpty)
    }

    private func sortedElements(_ text: String) -> [String] {
        text.split(whereSeparator: { "{},\n\t".contains($0) }).map { String($0).trimmingWhitespace() }.filter {
            !$0.isEmpty
        }.sorted()
    }
}
