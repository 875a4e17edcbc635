import Glibc
import Linux
import NFTables
import TestSupport
import Testing

private let name = TableName(.ipv4, "swiftlet-test")

/// A table with one empty map of ports and one chain.
private func smallTable() -> Table {
    Table(
        name,
        sets: [
            NamedSet(
                "ports", key: ElementType(.inetService), value: .data(ElementType(.inetService)),
                elements: [SetElement(.port(1), value: .data(.port(10)), comment: "one")])
        ],
        chains: [Chain("c", rules: [Rule(.verdict(.accept), comment: "first"), Rule(.verdict(.drop))])])
}

@Suite struct TransactionTests {
    private let namespace: TestNamespace

    init() throws { namespace = try TestNamespace() }

    private func socketWithTable() throws -> NFTablesSocket {
        var socket = try NFTablesSocket(in: namespace.descriptor)
        var transaction = Transaction()
        transaction.create(smallTable())
        try socket.commit(transaction)
        return socket
    }

    @Test func allOfItHappensOrNothing() throws {
        var socket = try socketWithTable()
        var transaction = Transaction()
        transaction.add(.addElements(name, set: "ports", [SetElement(.port(2), value: .data(.port(20)))]))
        transaction.add(.deleteElements(name, set: "ports", [SetElement(.port(99))]))
        #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
        #expect(try socket.table(name) == smallTable())
    }

    @Test func anErrorNamesTheOperationAndTheObject() throws {
        var socket = try socketWithTable()
        var transaction = Transaction()
        transaction.add(.addElements(name, set: "ports", [SetElement(.port(2), value: .data(.port(20)))]))
        transaction.add(.addElements(name, set: "nosuch", [SetElement(.port(2)), SetElement(.port(3))]))
        let error = #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
        #expect(
            error
                == .refused(operation: "add element ip swiftlet-test nosuch (2)", errno: ENOENT, detail: ""))
        #expect(error?.meansStaleView == true)
        #expect("\(try #require(error))" == "add element ip swiftlet-test nosuch (2): No such file or directory")
    }

    @Test func anErrorAmongManyMessagesOfOneOperationNamesIt() throws {
        var socket = try socketWithTable()
        // Far more than one message holds.
        let many = (1...20_000).map { SetElement(.port(UInt16($0)), value: .data(.port(7)), comment: "a comment") }
        var transaction = Transaction()
        transaction.add(.addTable(name, comment: nil))
        transaction.add(.addElements(name, set: "ports", many))
        // Port 1 is there with another value.
        let error = #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
        guard case .refused("add element ip swiftlet-test ports (20000)", let number, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(number == EBUSY || number == EEXIST)
        #expect(try socket.table(name)?.sets[0].elements.count == 1)
    }

    @Test func thousandsOfErrorsAtOnceAreStillAnError() throws {
        var socket = try socketWithTable()
        var transaction = Transaction()
        for port in 1000..<30_000 {
            transaction.add(.deleteElements(name, set: "ports", [SetElement(.port(UInt16(port)))]))
        }
        let error = #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
        #expect(error?.meansStaleView == true)
        // The socket is of use afterwards.
        #expect(try socket.table(name) == smallTable())
    }

    @Test func elementsOfManyMessagesAllArrive() throws {
        var socket = try socketWithTable()
        let many = (2...65535).map { SetElement(.port(UInt16($0)), value: .data(.port(7)), comment: "port \($0)") }
        var transaction = Transaction()
        transaction.add(.addElements(name, set: "ports", many))
        try socket.commit(transaction)
        let found = try #require(try socket.table(name)).sets[0].elements
        #expect(Set(found) == Set(many + smallTable().sets[0].elements))
    }

    @Test func aStaleGenerationIsRefusedAndAFreshOneTaken() throws {
        var socket = try socketWithTable()
        let (_, generation) = try socket.snapshot(of: name)
        var other = Transaction()
        other.add(.addTable(TableName(.ipv6, "stranger"), comment: nil))
        try socket.commit(other)
        var transaction = Transaction()
        transaction.add(.deleteTable(name))
        #expect(throws: NFTablesError.staleGeneration) { try socket.commit(transaction, ifGeneration: generation) }
        #expect(try socket.table(name) != nil)
        try socket.commit(transaction, ifGeneration: try socket.generation())
        #expect(try socket.table(name) == nil)
    }

    @Test func changesAreOnlyWhatDiffers() throws {
        var socket = try socketWithTable()
        var wanted = smallTable()
        wanted.sets[0].elements.append(SetElement(.port(2), value: .data(.port(20))))
        wanted.sets[0].elements[0].value = .data(.port(11))
        wanted.chains.append(Chain("d", rules: [Rule(.counter())]))
        wanted.chains[0].rules.append(Rule(.verdict(.jump("d"))))
        let current = try socket.table(name)
        let changes = Transaction.changes(from: current, to: wanted)
        #expect(
            changes.operations.map(\.description) == [
                "add chain ip swiftlet-test d", "flush chain ip swiftlet-test c",
                "delete element ip swiftlet-test ports (1)", "add element ip swiftlet-test ports (2)",
                "add rule ip swiftlet-test c accept comment \"first\"", "add rule ip swiftlet-test c drop",
                "add rule ip swiftlet-test c jump d", "add rule ip swiftlet-test d counter packets 0 bytes 0",
            ])
        try socket.commit(changes)
        let now = try #require(try socket.table(name))
        #expect(now.chains == wanted.chains)
        #expect(Transaction.changes(from: now, to: wanted).isEmpty)
        // And back again.
        try socket.commit(Transaction.changes(from: now, to: smallTable()))
        #expect(try socket.table(name) == smallTable())
    }

    @Test func whatIsDeclaredOtherwiseIsMadeAnewInOneStep() throws {
        var socket = try socketWithTable()
        var wanted = smallTable()
        wanted.comment = "with a comment"
        wanted.sets[0] = NamedSet("ports", key: ElementType(.mark), elements: [SetElement(.mark(1))])
        try socket.commit(Transaction.changes(from: try socket.table(name), to: wanted))
        #expect(try socket.table(name) == wanted)
    }

    @Test func countersThatCountedAreNoDifference() throws {
        var socket = try socketWithTable()
        var table = smallTable()
        table.chains[0].rules = [Rule(.counter(packets: 5, bytes: 500), .verdict(.accept))]
        try socket.commit(Transaction.changes(from: try socket.table(name), to: table))
        table.chains[0].rules = [Rule(.counter(), .verdict(.accept))]
        #expect(Transaction.changes(from: try socket.table(name), to: table).isEmpty)
    }

    @Test func theTableIsInTheNamespaceThatWasGiven() throws {
        _ = try socketWithTable()
        var elsewhere = try NFTablesSocket(in: TestNamespace().descriptor)
        #expect(try elsewhere.tableNames().isEmpty)
        var here = try NFTablesSocket(in: namespace.descriptor)
        #expect(try here.tableNames() == [name])
    }

    @Test func whatCannotBeSaidIsRefusedBeforeAnythingIsSent() throws {
        var socket = try socketWithTable()
        let foreign = Expression.payload(.ip6Source)
        let address = try #require(Literal.ipv6(Array(repeating: 1, count: 16)))
        for rule in [
            Rule(.match(foreign, .equal, address)), Rule(.unknown("xt")),
            Rule(
                .match(.payload(.tcpDestination), .equal, .port(1)),
                .match(.payload(.udpDestination), .equal, .port(1))),
        ] {
            var transaction = Transaction()
            transaction.add(.appendRule(name, chain: "c", rule))
            let error = #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
            guard case .invalid = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        var transaction = Transaction()
        transaction.add(.addTable(TableName(.ipv4, String(repeating: "x", count: 300_000)), comment: nil))
        #expect(throws: NFTablesError.self) { try socket.commit(transaction) }
        #expect(try socket.table(name) == smallTable())
    }
}

@Suite struct ForeignTableTests {
    private let text = """
        table inet swiftlet-test {
        \tset networks {
        \t\ttype ipv4_addr
        \t\tflags interval
        \t\telements = { 10.0.0.0/8 comment "private", 192.0.2.7,
        \t\t\t     192.0.2.9-192.0.2.12 }
        \t}

        \tchain input {
        \t\ttype filter hook input priority filter - 5; policy drop;
        \t\tip saddr @networks tcp dport 22 accept
        \t\tip6 saddr fd00::1 udp dport 53 counter packets 0 bytes 0 accept
        \t\tip saddr 10.0.0.0/12 meta l4proto . th dport vmap @verdicts
        \t\tip daddr 127.0.0.0/8 reject with icmp port-unreachable
        \t\ttcp dport 23 reject with tcp reset
        \t\tmeta l4proto tcp reject with tcp reset
        \t\tmeta mark { 0x00000001, 0x00000002 } accept
        \t\treject
        \t}
        }

        """

    /// The same with the map that a rule names.
    private var whole: String {
        text.replacing(
            "\tchain input",
            with: "\tmap verdicts {\n\t\ttype inet_proto . inet_service : verdict\n\t}\n\n\tchain input")
    }

    @Test func whatNftMadeIsReadAndPrintedTheSame() throws {
        let namespace = try TestNamespace()
        try namespace.output(of: ["nft", "-f", "-"], input: whole)
        let name = TableName(.inet, "swiftlet-test")
        var socket = try NFTablesSocket(in: namespace.descriptor)
        var table = try #require(try socket.table(name))
        let listed = try namespace.output(of: ["nft", "list", "table", "inet", "swiftlet-test"])
        #expect(table.text == listed)
        // And what was read can be written, but for what belongs to one rule: the same again in another namespace.
        table.sets.removeAll { $0.flags.contains(.anonymous) }
        table.chains[0].rules.removeAll { $0.statements.first == .lookup(.meta(.mark), set: "__set0") }
        let other = try TestNamespace()
        var writer = try NFTablesSocket(in: other.descriptor)
        var transaction = Transaction()
        transaction.create(table)
        try writer.commit(transaction)
        let again = try other.output(of: ["nft", "list", "table", "inet", "swiftlet-test"])
        #expect(again == table.text)
    }

    @Test func whatIsNotUnderstoodIsNeverTakenForSomethingElse() throws {
        let namespace = try TestNamespace()
        try namespace.output(
            of: ["nft", "-f", "-"],
            input:
                "table ip x { chain c { ip ttl 5 accept; limit rate 1/second drop; tcp flags syn log; ip length 3; }; }"
        )
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let rules = try #require(try socket.table(TableName(.ipv4, "x"))).chains[0].rules
        #expect(rules.count == 4)
        for rule in rules {
            let isUnknown = rule.statements.contains { if case .unknown = $0 { true } else { false } }
            #expect(isUnknown, "\(rule.statements)")
        }
    }
}

@Suite struct LiteralTests {
    @Test(arguments: ["10.0.0.1", "0.0.0.0", "255.255.255.255", "10.0.0.0/8", "0.0.0.0/0", "10.1.2.0/23"])
    func anAddressReadsAsItPrints(text: String) throws {
        #expect(try #require(Literal.ipv4(text)).text == text)
    }

    @Test(arguments: [
        "", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.-1", "a.b.c.d", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/8/8",
        "+1.0.0.0",
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(Literal.ipv4(text) == nil)
    }

    @Test func aNetworkHasNoHostBits() {
        #expect(Literal.ipv4("10.1.2.3/8") == Literal.ipv4("10.0.0.0/8"))
    }
}
