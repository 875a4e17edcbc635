import Linux
import NFTables
import TestSupport
import Testing

/// A table of the family ip6 with what IPv6 needs.
private func tableOfIPv6() throws -> Table {
    let pods = try #require(Literal.ipv6("fd42:0:0:1::/64"))
    let nodes = try #require(Literal.ipv6("fd42::/29"))
    let one = try #require(Literal.ipv6("fd42::1"))
    let two = try #require(Literal.ipv6("fd42::2"))
    let frontend = Expression.concatenation(
        .payload(.ip6Destination), .meta(.transportProtocol), .payload(.transportDestination))
    return Table(
        TableName(.ipv6, "swiftlet-test"),
        sets: [
            NamedSet(
                "endpoints", key: ElementType(.ipv6Address, .inetProtocol, .inetService),
                value: .data(ElementType(.ipv6Address, .inetService)),
                elements: [SetElement(one, .transport(.tcp), .port(80), value: .data(two, .port(8080)))]),
            NamedSet(
                "networks", key: ElementType(.ipv6Address), flags: .interval,
                elements: SetElement.intervals(of: [pods, one, nodes, two])),
            NamedSet(
                "marks", key: ElementType(.mark), value: .data(ElementType(.ipv6Address)),
                elements: [SetElement(.mark(1), value: .data(two))]),
        ],
        chains: [
            Chain(
                "untracked", hook: BaseChain(.filter, .output, priority: BaseChain.rawPriority),
                rules: [
                    Rule(.match(.payload(.udpDestination), .equal, .port(8472)), .notrack),
                    Rule(.match(.payload(.udpDestination), .equal, .port(8472)), .setMeta(.mark, .literal(.mark(0)))),
                ]),
            Chain(
                "prerouting", hook: BaseChain(.nat, .prerouting, priority: BaseChain.destinationNATPriority),
                rules: [
                    Rule(.destinationNAT(.mapped(.map(frontend, map: "endpoints")))),
                    Rule(
                        .match(.payload(.ip6Destination), .equal, one),
                        .match(.payload(.tcpDestination), .equal, .port(80)),
                        .destinationNAT(.addressAndPort(.literal(two), .literal(.port(8080))))),
                    Rule(.destinationNAT(.address(.map(.meta(.mark), map: "marks")))),
                ]),
            Chain(
                "postrouting", hook: BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority),
                rules: [
                    Rule(
                        .match(.payload(.ip6Source), .equal, pods),
                        .match(.payload(.ip6Destination), .notEqual, nodes),
                        .lookup(.payload(.ip6Destination), set: "networks", negated: true),
                        .masquerade(.fullyRandom)),
                    Rule(.match(.payload(.ip6Source), .equal, one), .sourceNAT(.address(.literal(two)))),
                ]),
            Chain(
                "forward", hook: BaseChain(.filter, .forward, priority: BaseChain.filterPriority),
                rules: [
                    Rule(.match(.payload(.ip6Source), .equal, pods), .reject()),
                    Rule(.match(.payload(.ip6Source), .equal, nodes), .reject(.icmpv6(code: 1))),
                ]),
        ])
}

@Suite struct IPv6Tests {
    @Test func theKernelGivesBackAnIPv6TableAndNftPrintsTheSameText() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let table = try tableOfIPv6()
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        let dump = try #require(try socket.table(table.name))
        #expect(dump.chains == table.chains)
        for (read, made) in zip(dump.sets, table.sets) {
            #expect(read.isDeclared(like: made) && Set(read.elements) == Set(made.elements), "\(read.name)")
        }
        #expect(Transaction.changes(from: dump, to: table).isEmpty)
        #expect(try namespace.output(of: ["nft", "list", "table", "ip6", "swiftlet-test"]) == table.text)

        // And what nft makes of that text is the same.
        let other = try TestNamespace()
        try other.output(of: ["nft", "-f", "-"], input: table.text)
        var reader = try NFTablesSocket(in: other.descriptor)
        let theirs = try #require(try reader.table(table.name))
        #expect(theirs.chains == table.chains && theirs.text == table.text)
        #expect(Transaction.changes(from: theirs, to: table).isEmpty)
    }

    @Test func rulesOfBothFamiliesInOneTable() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let four = try #require(Literal.ipv4("10.0.0.0/8"))
        let six = try #require(Literal.ipv6("fd42::/64"))
        let table = Table(
            TableName(.inet, "swiftlet-test"),
            chains: [
                Chain(
                    "raw", hook: BaseChain(.filter, .prerouting, priority: BaseChain.rawPriority),
                    rules: [
                        Rule(
                            .match(.payload(.ip6Source), .equal, six),
                            .match(.payload(.udpDestination), .equal, .port(8472)), .notrack),
                        Rule(.match(.payload(.ip6Destination), .notEqual, six), .counter(), .verdict(.return)),
                    ]),
                Chain(
                    "forward", hook: BaseChain(.filter, .forward, priority: BaseChain.filterPriority),
                    rules: [
                        Rule(.match(.payload(.ip6Source), .equal, six), .reject(.icmpv6(code: 4))),
                        Rule(.match(.payload(.ipSource), .equal, four), .reject(.icmp(code: 13))),
                        Rule(.reject(.icmpv6(code: 0))), Rule(.reject()),
                    ]),
            ])
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        #expect(try socket.table(table.name)?.chains == table.chains)
        #expect(try namespace.output(of: ["nft", "list", "table", "inet", "swiftlet-test"]) == table.text)
    }
}

@Suite struct IntervalTests {
    @Test(arguments: [
        (["10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/8"], ["10.0.0.0/8"]),
        (["10.0.1.0/24", "10.0.0.0/24"], ["10.0.0.0/24", "10.0.1.0/24"]),
        (["192.0.2.7", "192.0.2.8"], ["192.0.2.7", "192.0.2.8"]),
        (["0.0.0.0/1", "255.255.255.0/24", "255.255.255.255"], ["0.0.0.0/1", "255.255.255.0/24"]),
        (["0.0.0.0/0", "10.0.0.0/8"], ["0.0.0.0/0"]), ([], []),
    ])
    func networksOfIPv4(networks: [String], kept: [String]) throws {
        let literals = try networks.map { try #require(Literal.ipv4($0)) }
        try check(literals, .ipv4Address, kept)
    }

    @Test(arguments: [
        (["fd00::/64", "fd00:0:0:1::/64"], ["fd00::/64", "fd00:0:0:1::/64"]),
        (["fd00::1", "fd00::/61", "fd00:0:0:8::/61"], ["fd00::/61", "fd00:0:0:8::/61"]),
        (["ff00::/8", "::/1", "::1"], ["::/1", "ff00::/8"]), (["::/0"], ["::/0"]),
        (["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
    ])
    func networksOfIPv6(networks: [String], kept: [String]) throws {
        let literals = try networks.map { try #require(Literal.ipv6($0)) }
        try check(literals, .ipv6Address, kept)
    }

    /// The kernel takes the networks and gives them back; nft prints them as we do.
    private func check(_ networks: [Literal], _ type: DataType, _ kept: [String]) throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let name = TableName(.inet, "swiftlet-test")
        let set = NamedSet(
            "networks", key: ElementType(type), flags: .interval, elements: SetElement.intervals(of: networks))
        let table = Table(name, sets: [set])
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        let dump = try #require(try socket.table(name))
        #expect(Set(dump.sets[0].elements) == Set(set.elements))
        #expect(dump.text == table.text)
        for network in kept { #expect(table.text.contains(" \(network)")) }
        #expect(table.text.split(separator: ",").count == max(kept.count, 1))
        let listed = try namespace.output(of: ["nft", "list", "table", "inet", "swiftlet-test"])
        #expect(listed == table.text)
    }

    @Test func aChangeOfNetworksIsMadeInOneStepFromAnyOfTheseToAnyOther() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let name = TableName(.ipv4, "swiftlet-test")
        let states = [
            ["10.0.0.0/8"], ["10.0.0.0/16", "10.1.0.0/16"], ["10.0.0.0/16"], [], ["10.0.0.0/9", "192.168.0.0/16"],
            ["0.0.0.0/0"], ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"], ["10.0.1.0/24"], ["255.0.0.0/8"],
        ]
        func table(_ networks: [String]) throws -> Table {
            let literals = try networks.map { try #require(Literal.ipv4($0)) }
            let set = NamedSet(
                "networks", key: ElementType(.ipv4Address), flags: .interval,
                elements: SetElement.intervals(of: literals))
            return Table(name, sets: [set])
        }
        for before in states {
            for after in states {
                var start = Transaction()
                start.replace(with: try table(before))
                try socket.commit(start)
                let wanted = try table(after)
                try socket.commit(Transaction.changes(from: try socket.table(name), to: wanted))
                let dump = try #require(try socket.table(name))
                #expect(Set(dump.sets[0].elements) == Set(wanted.sets[0].elements), "\(before) \(after)")
                #expect(Transaction.changes(from: dump, to: wanted).isEmpty)
            }
        }
    }

    @Test func portsAreIntervalsToo() throws {
        let namespace = try TestNamespace()
        let text = """
            table ip swiftlet-test {
            \tset ports {
            \t\ttype inet_service
            \t\tflags interval
            \t\telements = { 1-2, 80, 1024-2047, 60000-65535 }
            \t}
            }

            """
        try namespace.output(of: ["nft", "-f", "-"], input: text)
        var socket = try NFTablesSocket(in: namespace.descriptor)
        #expect(try socket.table(TableName(.ipv4, "swiftlet-test"))?.text == text)
    }
}

@Suite struct IPv6LiteralTests {
    @Test(arguments: ["fd00::1", "::", "fd00::/64", "::/0", "fe80::/10", "fd00:0:0:1::/127"])
    func anAddressReadsAsItPrints(text: String) throws {
        #expect(try #require(Literal.ipv6(text)).text == text)
    }

    @Test(arguments: [
        "", "fd00", "fd00::1::", "fd00::/129", "fd00::/", "fd00::/+1", "fd00::/-1", "10.0.0.1", "fd00::1%lo",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(Literal.ipv6(text) == nil)
    }

    @Test func aNetworkHasNoHostBits() {
        #expect(Literal.ipv6("fd00::1/64") == Literal.ipv6("fd00::/64"))
        #expect(Literal.ipv6(Array(repeating: 0xff, count: 16), prefixLength: 9)?.text == "ff80::/9")
        #expect(Literal.ipv6([1, 2, 3]) == nil)
    }
}
