// The table in the real kernel: what nft says of it, restarts, repairs, and what is not ours.
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import ServiceProxy

@Suite struct KernelTests {
    private let namespace: TestNamespace
    private let loop: TestLoop

    init() throws { (namespace, loop) = (try TestNamespace(), try TestLoop()) }

    private func proxy(_ nodePorts: ProxyConfiguration.NodePortAddresses = .local) throws -> ServiceProxy {
        ServiceProxy(
            configuration: try configuration(nodePorts), socket: try NFTablesSocket(in: namespace.descriptor),
            on: loop.loop)
    }

    private func listed() throws -> String {
        try namespace.output(of: ["nft", "list", "table", "ip", "swiftlet-proxy"])
    }

    private func handles() throws -> String {
        try namespace.output(of: ["nft", "-a", "list", "table", "ip", "swiftlet-proxy"])
    }

    @Test func nftListsTheGoldenTableAndReadsItBackTheSame() async throws {
        try await proxy().apply(sampleServices())
        #expect(try listed() == goldenText)
        let other = try TestNamespace()
        try other.output(of: ["nft", "-c", "-f", "-"], input: goldenText)
        try other.output(of: ["nft", "-f", "-"], input: goldenText)
        #expect(try other.output(of: ["nft", "list", "table", "ip", "swiftlet-proxy"]) == goldenText)
    }

    @Test func theDumpPrintsAsNftPrintsIt() async throws {
        try await proxy(.only([address("192.0.2.1")])).apply(sampleServices())
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let table = try #require(try socket.table(TableName(.ipv4, "swiftlet-proxy")))
        #expect(try table.text == listed())
        #expect(try ProxyView.read(through: &socket)?.services.count == 3)
    }

    @Test func theNextProxyAdoptsWhatItFindsAndTouchesNothing() async throws {
        try await proxy().apply(sampleServices())
        let before = try handles()
        let statistics = try await proxy().apply(sampleServices())
        #expect(statistics.way == .nothing)
        #expect(try handles() == before)
    }

    @Test func theNextProxyMakesOnlyTheDifference() async throws {
        try await proxy().apply(sampleServices())
        let rules = try handles().split(separator: "\n").filter { $0.contains("# handle") }
        var services = try sampleServices()
        services[0].endpoints[1].address = try address("10.244.0.40")
        services.remove(at: 2)
        let statistics = try await proxy().apply(services)
        #expect(statistics.way == .adopted)
        // web: one slot at each of two frontends and a hairpin; empty: two frontends and a cluster IP go.
        #expect(statistics.elementsAdded == 3 && statistics.elementsRemoved == 6)
        #expect(try handles().split(separator: "\n").filter { $0.contains("# handle") } == rules)
        // One that was told nothing yet leaves alone what is there.
        let listed = try handles()
        #expect(try await proxy().verify().isEmpty)
        #expect(try handles() == listed)
    }

    @Test func anotherConfigurationReplacesRulesAndLeavesTheElementsWhereTheyAre() async throws {
        let proxy = try proxy()
        try await proxy.apply(sampleServices())
        func elements() throws -> [String] {
            try listed().split(separator: "\n").filter { $0.contains(" : ") }.map(String.init)
        }
        let before = try elements()
        var changed = try configuration(.local)
        changed.masquerading = .everything
        try await proxy.reconfigure(changed)
        #expect(try elements() == before)
        #expect(try !listed().contains("10.244.0.0/16"))
        // And it is what later changes go by.
        #expect(try await proxy.verify().isEmpty)
        #expect(try await proxy.apply(sampleServices()).way == .nothing)
    }

    @Test func whatOthersChangeIsRepaired() async throws {
        let proxy = try proxy()
        try await proxy.apply(sampleServices())
        for damage in [
            "flush map ip swiftlet-proxy endpoints", "flush chain ip swiftlet-proxy services",
            "flush chain ip swiftlet-proxy prerouting", "delete table ip swiftlet-proxy",
            "add element ip swiftlet-proxy cluster-ips { 10.96.9.9 }", "add chain ip swiftlet-proxy extra",
            "add rule ip swiftlet-proxy services drop",
            "add rule ip swiftlet-proxy services tcp dport { 1, 2 } ip ttl 5 drop",
            "add table ip swiftlet-proxy { flags dormant; }", "add chain ip swiftlet-proxy prerouting { policy drop; }",
            "add set ip swiftlet-proxy odd { type ether_addr; }",
            "delete element ip swiftlet-proxy frontends { 10.96.0.10 . tcp . 80 }",
        ] {
            try namespace.output(of: ["nft", damage])
            #expect(try await !proxy.verify().isEmpty, "\(damage)")
            #expect(try listed() == goldenText, "\(damage)")
        }
        #expect(try await proxy.verify().isEmpty)
    }

    @Test func aChangeThatMeetsAStrangeTableFallsBackToWhatIsThere() async throws {
        let proxy = try proxy()
        try await proxy.apply(sampleServices())
        try namespace.output(of: ["nft", "delete", "table", "ip", "swiftlet-proxy"])
        var services = try sampleServices()
        services[1].endpoints[0].address = try address("10.244.0.9")
        #expect(try await proxy.apply(services).way == .loaded)
        try namespace.output(of: ["nft", "flush", "map", "ip", "swiftlet-proxy", "endpoints"])
        // The element that is to go is gone already: the kernel refuses the change.
        let statistics = try await proxy.apply(sampleServices())
        #expect(statistics.way == .adopted)
        #expect(try await proxy.verify().isEmpty)
    }

    @Test func nobodyElsesTableIsTouched() async throws {
        let foreign = """
            table ip swiftlet-pods { set a { type ipv4_addr; elements = { 10.0.0.1 } }; chain c { ip saddr @a drop; }; }
            table inet filter { chain input { type filter hook input priority filter; ct state established accept; }; }
            table ip6 swiftlet-proxy { chain x { accept; }; }

            """
        try namespace.output(of: ["nft", "-f", "-"], input: foreign)
        let before = try namespace.output(of: ["nft", "-a", "list", "ruleset"])
        let proxy = try proxy()
        try await proxy.apply(sampleServices())
        try await proxy.apply([])
        try await proxy.remove()
        #expect(try namespace.output(of: ["nft", "-a", "list", "ruleset"]) == before)
        try await proxy.remove()
        #expect(try await proxy.apply(sampleServices()).way == .loaded)
        #expect(try listed() == goldenText)
    }

    @Test func strangersWhoChangeTheirTablesAllTheTimeDoNotStopIt() async throws {
        let proxy = try proxy()
        var socket = try NFTablesSocket(in: namespace.descriptor)
        let stranger = TableName(.ipv4, "stranger")
        for round in 0..<20 {
            var transaction = Transaction()
            transaction.add(.addTable(stranger, comment: "round \(round)"))
            transaction.add(.addChain(stranger, Chain("c\(round)")))
            try socket.commit(transaction)
            try await proxy.apply(round % 2 == 0 ? sampleServices() : [])
            #expect(try await proxy.verify().isEmpty)
        }
    }

    @Test func twoProxiesOfOneTableEndWithOneOfTheirStates() async throws {
        let (first, second) = (try proxy(), try proxy())
        let services = try sampleServices()
        for round in 0..<10 {
            try await (round % 2 == 0 ? first : second).apply(Array(services.prefix(round % 4)))
        }
        try await first.apply(services)
        _ = try await first.verify()
        let table = try #require(try socketTable())
        #expect(ProxyView(table).services.count == 3)
    }

    private func socketTable() throws -> Table? {
        var socket = try NFTablesSocket(in: namespace.descriptor)
        return try socket.table(TableName(.ipv4, "swiftlet-proxy"))
    }

    @Test func churnInTheKernelEndsWhereAFreshStartWould() async throws {
        let proxy = try proxy()
        var dice = Dice(state: 7)
        for _ in 0..<100 {
            let services = try (0..<6).map { number in
                try service(
                    "s\(number)", at: ["10.96.1.\(number)"], 80, nodePort: 30100 + UInt16(number),
                    to: (0..<Int.random(in: 0...20, using: &dice)).map { ("10.244.1.\($0)", 80) })
            }
            try await proxy.apply(services.filter { _ in Int.random(in: 0..<4, using: &dice) > 0 })
        }
        #expect(try await proxy.verify().isEmpty)
        try await proxy.rebalance()
        #expect(try await proxy.verify().isEmpty)
    }
}
