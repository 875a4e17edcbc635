import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

@Suite struct PodRulesTests {
    private let golden = """
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
        		ip saddr 10.88.0.0/24 ip daddr 10.99.0.0/16 accept
        		ip saddr 10.88.0.0/24 ip daddr != 10.88.0.0/24 masquerade fully-random
        	}

        	chain input {
        		type filter hook input priority filter; policy accept;
        		iifname "sl*" ip daddr 127.0.0.0/8 ct state invalid,new drop
        	}
        }

        """

    private func table() throws -> Table {
        let configuration = PodNetworkConfiguration(
            podCIDR: try #require(CIDR("10.88.0.0/24")), unmasqueraded: [try #require(CIDR("10.99.0.0/16"))])
        func lease(_ last: UInt32, _ name: String, _ ports: [HostPort]) -> Lease {
            Lease(
                address: IPv4Address(0x0a58_0000 + last), uid: name, name: "default/\(name)",
                interface: configuration.interfaceName(of: name), hostPorts: ports)
        }
        return PodRules(configuration: configuration).table(for: [
            lease(
                2, "web",
                [
                    HostPort(port: 8080, containerPort: 80),
                    HostPort(port: 53, transport: .udp, containerPort: 5353),
                ]),
            lease(3, "api", [HostPort(hostIP: IPAddress("127.0.0.1"), port: 9090, containerPort: 90)]),
            lease(4, "quiet", []),
        ])
    }

    @Test("The table reads as it should")
    func text() throws { #expect(try table().text == golden) }

    @Test("nft lists the table as we write it, and would load what it lists")
    func nftAgrees() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        var change = Transaction()
        change.create(try table())
        try socket.commit(change)
        // Elements come out in the order of a hash.
        let listed = try nft(in: namespace, "list", "table", "ip", "swiftlet-pods")
        #expect(sortedElements(listed) == sortedElements(golden))
        #expect(try Transaction.changes(from: socket.snapshot(of: table().name).table, to: table()).isEmpty)
        try withTemporaryDirectory { directory in
            try writeFileAtomically(directory + "/table.nft", Array(listed.utf8))
            #expect(try nft(in: try TestNamespace(), "-f", directory + "/table.nft") == "")
        }
    }

    private func sortedElements(_ text: String) -> [String] {
        text.split(whereSeparator: { "{},\n\t".contains($0) }).map { String($0).trimmingWhitespace() }.filter {
            !$0.isEmpty
        }.sorted()
    }

    /// What the program prints.
    private func nft(in namespace: TestNamespace, _ arguments: String...) throws -> String {
        let output = OwnedDescriptor(owning: try check(cl_memfd_create("nft"), "memfd_create"))
        let path = "/proc/\(getpid())/fd/\(namespace.descriptor.number)"
        let pid = try spawn(
            "/usr/bin/nsenter", arguments: ["nsenter", "--net=\(path)", "nft"] + arguments,
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], descriptors: [-1, output.number, output.number])
        var status: Int32 = 0
        try check(waitpid(pid, &status, 0), "waitpid")
        try check(lseek(output.number, 0, SEEK_SET), "lseek")
        let text = String(decoding: try output.readAll(), as: UTF8.self)
        try #require(status == 0, "nft: \(text)")
        return text
    }
}
