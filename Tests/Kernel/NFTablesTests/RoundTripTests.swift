import Linux
import NFTables
import TestSupport
import Testing

/// A table with one of everything this module can say.
func tableOfEverything() throws -> Table {
    let pods = try #require(Literal.ipv4("10.244.0.0/16"))
    let services = try #require(Literal.ipv4("10.96.0.0/12"))
    let frontend = Expression.concatenation(
        .payload(.ipDestination), .meta(.transportProtocol), .payload(.transportDestination))
    let pick = Expression.concatenation(
        .payload(.ipDestination), .meta(.transportProtocol), .payload(.transportDestination), .random(modulus: 3))
    let address = try #require(Literal.ipv4("10.96.0.1"))
    let other = try #require(Literal.ipv4("10.95.0.1"))
    let pod = try #require(Literal.ipv4("10.244.0.3"))
    return Table(
        TableName(.ipv4, "swiftlet-test"),
        sets: [
            NamedSet(
                "frontends", key: ElementType(.ipv4Address, .inetProtocol, .inetService), value: .verdict,
                comment: "where a packet for a Service goes",
                elements: [
                    SetElement(
                        address, .transport(.tcp), .port(80), value: .verdict(.goto("pick-3")),
                        comment: "default/web:http"),
                    SetElement(address, .transport(.udp), .port(53), value: .verdict(.drop)),
                    SetElement(other, .transport(.sctp), .port(4739), value: .verdict(.goto("no-endpoints"))),
                ]),
            NamedSet(
                "endpoints",
                key: ElementType(
                    typeof: .payload(.ipDestination), .meta(.transportProtocol), .payload(.transportDestination),
                    .random(modulus: 2)),
                value: .data(ElementType(typeof: .payload(.ipDestination), .payload(.transportDestination))),
                elements: [
                    SetElement(
                        address, .transport(.tcp), .port(80), .integer(300), value: .data(pod, .port(8080)),
                        comment: "default/web:http"),
                    SetElement(
                        address, .transport(.tcp), .port(80), .integer(2), value: .data(pod, .port(8080))),
                    SetElement(other, .transport(.tcp), .port(80), .integer(2), value: .data(pod, .port(8081))),
                ]),
            NamedSet(
                "cluster-ips", key: ElementType(.ipv4Address),
                elements: [
                    SetElement(address, comment: "default/web"), SetElement(other), SetElement(pod),
                ]),
            NamedSet(
                "ports", key: ElementType(.inetService), size: 100, elements: (1...7).map { SetElement(.port($0)) }),
            NamedSet("hairpin", key: ElementType(.ipv4Address, .ipv4Address), elements: [SetElement(pod, pod)]),
            NamedSet(
                "marks", key: ElementType(.mark), value: .data(ElementType(.ipv4Address)),
                elements: [
                    SetElement(.mark(1), value: .data(pod))
                ]),
            NamedSet("networks", key: ElementType(.ipv4Address), flags: .interval),
        ],
        chains: [
            Chain(
                "no-endpoints",
                rules: [Rule(.reject(.tcpReset)), Rule(.counter(packets: 3, bytes: 200), .reject())]),
            Chain(
                "pick-3", comment: "three slots",
                rules: [
                    Rule(.match(.payload(.ipSource), .notEqual, pods), .setMeta(.mark, .or(.meta(.mark), 0x4000))),
                    Rule(.destinationNAT(.mapped(.map(pick, map: "endpoints"))), comment: "to the slot's endpoint"),
                ]),
            Chain(
                "services",
                rules: [
                    Rule(.verdictMap(frontend, map: "frontends")),
                    Rule(
                        .match(.fibType(.destinationAddress), .equal, .localAddress),
                        .match(.payload(.ipDestination), .notEqual, .ipv4(0x7f00_0000, prefixLength: 8)),
                        .match(.payload(.tcpDestination), .equal, .port(8080)), .verdict(.return)),
                    Rule(.lookup(.payload(.ipDestination), set: "cluster-ips"), .verdict(.goto("no-endpoints"))),
                    Rule(.match(.fibRoute(.destinationAddress), .equal, .exists), .verdict(.return)),
                    Rule(.lookup(.payload(.ipSource), set: "cluster-ips", negated: true), .verdict(.accept)),
                    Rule(.match(.payload(.ipDestination), .equal, services), .verdict(.drop)),
                    Rule(
                        .match(.payload(.ipDestination), .equal, address),
                        .match(.payload(.tcpDestination), .equal, .port(80)),
                        .destinationNAT(.addressAndPort(.literal(pod), .literal(.port(8080))))),
                    Rule(
                        .match(.payload(.udpDestination), .notEqual, .port(80)),
                        .match(.payload(.udpSource), .greater, .port(1024)), .destinationNAT(.address(.literal(pod)))),
                    Rule(
                        .match(.meta(.inputInterfaceName), .equal, .interfaceName("lo")),
                        .match(.meta(.outputInterfaceName), .notEqual, .interfaceName("veth*")), .verdict(.return)),
                    Rule(.match(.conntrack(.state), .hasAnyOf, .state(.new, .established)), .verdict(.accept)),
                    Rule(
                        .match(.meta(.mark), .equal, .mark(2)), .setConntrackMark(.meta(.mark)),
                        .setMeta(.mark, .literal(.mark(7)))),
                    Rule(.match(.meta(.transportProtocol), .equal, .transport(.sctp)), .verdict(.drop)),
                    Rule(.destinationNAT(.address(.map(.meta(.mark), map: "marks")))),
                ]),
            Chain(
                "prerouting", hook: BaseChain(.nat, .prerouting, priority: BaseChain.destinationNATPriority),
                rules: [Rule(.verdict(.jump("services")))]),
            Chain(
                "sources", hook: BaseChain(.filter, .prerouting, priority: BaseChain.rawPriority),
                rules: [
                    Rule(.match(.fibRoute([.sourceAddress, .inputInterface]), .equal, .missing), .verdict(.drop))
                ]),
            Chain("output", hook: BaseChain(.nat, .output, priority: BaseChain.destinationNATPriority)),
            Chain(
                "postrouting", hook: BaseChain(.nat, .postrouting, priority: BaseChain.sourceNATPriority + 5),
                rules: [
                    Rule(
                        .match(.and(.meta(.mark), 0x4000), .equal, .mark(0x4000)),
                        .setMeta(.mark, .xor(.meta(.mark), 0x4000)), .masquerade(.fullyRandom)),
                    Rule(
                        .match(.conntrack(.status), .hasAnyOf, .status(.dnat)),
                        .lookup(.concatenation(.payload(.ipSource), .payload(.ipDestination)), set: "hairpin"),
                        .masquerade([.fullyRandom, .persistent])),
                    Rule(
                        .match(.payload(.ipSource), .equal, pods), .match(.payload(.ipDestination), .notEqual, pods),
                        .masquerade()),
                    Rule(.match(.payload(.ipSource), .equal, pod), .sourceNAT(.address(.literal(address)))),
                ]),
        ])
}

@Suite struct RoundTripTests {
    @Test func theKernelGivesBackTheTableItWasGiven() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let table = try tableOfEverything()
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        let dump = try #require(try socket.table(table.name))
        #expect(dump.chains == table.chains)
        for (read, made) in zip(dump.sets, table.sets) {
            #expect(read.isDeclared(like: made), "\(read.name)")
            #expect(Set(read.elements) == Set(made.elements), "\(read.name)")
        }
        #expect(dump.text == table.text)
        #expect(Transaction.changes(from: dump, to: table).isEmpty)
    }

    @Test func nftPrintsTheSameTextAndReadsItBackTheSame() throws {
        let namespace = try TestNamespace()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let table = try tableOfEverything()
        var transaction = Transaction()
        transaction.create(table)
        try socket.commit(transaction)
        let listed = try namespace.output(of: ["nft", "list", "table", "ip", "swiftlet-test"])
        #expect(listed == table.text)

        let other = try TestNamespace()
        try other.output(of: ["nft", "-c", "-f", "-"], input: table.text)
        try other.output(of: ["nft", "-f", "-"], input: table.text)
        #expect(try other.output(of: ["nft", "list", "table", "ip", "swiftlet-test"]) == table.text)
        // What nft made of the text is bytecode that means the same here.
        var reader = try NFTablesSocket(in: other.descriptor)
        let dump = try #require(try reader.table(table.name))
        #expect(dump.chains == table.chains)
        #expect(Transaction.changes(from: dump, to: table).isEmpty)
    }
}
