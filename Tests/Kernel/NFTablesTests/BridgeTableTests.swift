import NFTables
import TestSupport
import Testing

/// Tables of the family bridge, which see frames of every protocol.
@Suite struct BridgeTableTests {
    private let text = """
        table bridge swiftlet-test {
        	set sources {
        		type ifname . ether_addr . ipv4_addr
        		elements = { "port1" . 0a:58:0a:00:00:01 . 10.0.0.1 }
        	}

        	set sources6 {
        		type ifname . ether_addr . ipv6_addr
        		elements = { "port1" . 0a:58:0a:00:00:01 . fd42::1 }
        	}

        	chain from-ports {
        		iifname . ether saddr . ip saddr @sources accept
        		iifname . ether saddr . arp saddr ip @sources accept
        		iifname . ether saddr . ip6 saddr @sources6 accept
        		ip daddr 10.1.0.0/16 drop
        		drop
        	}

        	chain prerouting {
        		type filter hook prerouting priority filter; policy accept;
        		iifname "port*" jump from-ports
        	}
        }

        """

    private func table() throws -> Table {
        let name = Literal.interfaceName("port1")
        let station = try #require(Literal.etherAddress([0x0a, 0x58, 0x0a, 0, 0, 1]))
        let address = try #require(Literal.ipv4("10.0.0.1"))
        let address6 = try #require(Literal.ipv6([0xfd, 0x42] + Array(repeating: 0, count: 13) + [1]))
        func from(_ field: PayloadField, _ set: String) -> Rule {
            Rule(
                .lookup(.concatenation(.meta(.inputInterfaceName), .payload(.etherSource), .payload(field)), set: set),
                .verdict(.accept))
        }
        return Table(
            TableName(.bridge, "swiftlet-test"),
            sets: [
                NamedSet(
                    "sources", key: ElementType(.interfaceName, .etherAddress, .ipv4Address),
                    elements: [SetElement(name, station, address)]),
                NamedSet(
                    "sources6", key: ElementType(.interfaceName, .etherAddress, .ipv6Address),
                    elements: [SetElement(name, station, address6)]),
            ],
            chains: [
                Chain(
                    "from-ports",
                    rules: [
                        from(.ipSource, "sources"), from(.arpSourceAddress, "sources"), from(.ip6Source, "sources6"),
                        Rule(
                            .match(.payload(.ipDestination), .equal, .ipv4(0x0a01_0000, prefixLength: 16)),
                            .verdict(.drop)),
                        Rule(.verdict(.drop)),
                    ]),
                Chain(
                    "prerouting",
                    hook: BaseChain(.filter, .prerouting, priority: BaseChain.bridgeFilterPriority),
                    rules: [
                        Rule(
                            .match(.meta(.inputInterfaceName), .equal, .interfaceName("port*")),
                            .verdict(.jump("from-ports")))
                    ]),
            ])
    }

    @Test("The kernel and nft give a table of the family bridge back as it was made, and as nft itself makes it")
    func roundTrip() throws {
        let table = try table()
        #expect(table.text == text)
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        #expect(try Transaction.changes(from: socket.table(table.name), to: table).isEmpty)
        #expect(try namespace.output(of: ["nft", "list", "table", "bridge", "swiftlet-test"]) == text)
        let other = try TestNamespace()
        try other.output(of: ["nft", "-f", "-"], input: text)
        var reader = try NFTablesSocket(in: other.descriptor)
        #expect(try Transaction.changes(from: reader.table(table.name), to: table).isEmpty)
    }
}
