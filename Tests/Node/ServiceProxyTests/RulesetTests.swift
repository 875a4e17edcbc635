import NFTables
import Netlink
import Testing

@testable import ServiceProxy

@Suite struct RulesetTests {
    @Test func theTableOfFourServicesReadsLikeThis() throws {
        let ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        #expect(ruleset.table.text == goldenText)
    }

    @Test func rulesAreAsManyForAThousandServicesAsForOne() throws {
        let one = try service(
            "web", at: ["10.96.0.1"], 80, nodePort: 30000, to: [("10.244.0.1", 80), ("10.244.0.2", 80)])
        let many = (0..<1000).map { number in
            var rule = one
            rule.id.name = "web-\(number)"
            rule.clusterIPs = [IPv4Address(0x0a60_0100 + UInt32(number))]
            rule.nodePort = 30000 + UInt16(number)
            return rule
        }
        let first = Ruleset.compile([one], configuration: try configuration()).table.chains
        #expect(Ruleset.compile(many, configuration: try configuration()).table.chains == first)
    }

    @Test func givenNodeAddressesReplaceTheRoutingTablesWord() throws {
        let addresses = [try address("192.0.2.7"), try address("192.0.2.1")]
        let table = Ruleset.compile(try sampleServices(), configuration: try configuration(.only(addresses))).table
        #expect(table[set: "nodeport-ips"]?.elements.map(\.key) == [[192, 0, 2, 1], [192, 0, 2, 7]])
        #expect(table.text.contains("ip daddr @nodeport-ips meta l4proto . th dport vmap @nodeports"))
        #expect(!table.text.contains("fib daddr"))
    }

    @Test func endpointsThatAreNotReadyAreLeftOut() throws {
        var rule = try sampleServices()[0]
        rule.endpoints[1].isReady = false
        let table = Ruleset.compile([rule], configuration: try configuration()).table
        #expect(!table.text.contains("10.244.0.4"))
        #expect(table[set: "endpoints"]?.elements.count == 2)
        #expect(table[set: "hairpin"]?.elements.count == 2)
    }

    @Test func onlyEndpointsOfThisNodeMayBeGivenToThemselves() throws {
        var rule = try sampleServices()[0]
        rule.endpoints[0].isLocal = false
        let table = Ruleset.compile([rule], configuration: try configuration()).table
        #expect(
            table[set: "hairpin"]?.elements.map { Array($0.key.prefix(4)) } == [[10, 244, 0, 4], [10, 244, 0, 5]])
    }

    @Test func twoServicesWithOneAddressAreToldAndTheOrderDoesNotMatter() throws {
        let first = try service("a", at: ["10.96.0.1"], 80, to: [("10.244.0.1", 80)])
        let second = try service("b", at: ["10.96.0.1"], 80, to: [("10.244.0.2", 80)])
        var ruleset = Ruleset.compile([second, first], configuration: try configuration())
        #expect(ruleset.conflicts == ["10.96.0.1:80/tcp: default/a:http/tcp, not default/b:http/tcp"])
        #expect(ruleset.table == Ruleset.compile([first, second], configuration: try configuration()).table)
        #expect(ruleset.table[set: "endpoints"]?.elements.map(\.comment) == ["default/a:http"])
        _ = ruleset.update(changed: [], removed: [first.id])
        #expect(ruleset.conflicts.isEmpty)
        #expect(ruleset.table[set: "endpoints"]?.elements.map(\.comment) == ["default/b:http"])
        #expect(ruleset.table[set: "cluster-ips"]?.elements.map(\.comment) == ["default/b"])
    }

    @Test func commentsThatNftCouldNotReadBackLoseThePort() {
        let long = String(repeating: "n", count: 63)
        let id = ServicePortID(namespace: long, name: long, port: "http", transport: .tcp)
        #expect(id.comment == "\(long)/\(long)")
        #expect(
            ServicePortID(namespace: long, name: "web", port: "http", transport: .tcp).comment == "\(long)/web:http")
    }
}

@Suite struct ChangeTests {
    @Test func oneEndpointForAnotherIsOneElementForAnother() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        var rule = try sampleServices()[1]
        rule.endpoints[1].address = try address("10.244.0.9")
        let change = ruleset.update(changed: [rule])
        #expect(
            change.transaction.operations.map(\.description) == [
                "delete element ip swiftlet-proxy endpoints (1)", "delete element ip swiftlet-proxy hairpin (1)",
                "add element ip swiftlet-proxy endpoints (1)", "add element ip swiftlet-proxy hairpin (1)",
            ])
    }

    @Test func anEndpointThatGoesTouchesNoVerdictMap() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        var rule = try sampleServices()[0]
        rule.endpoints.remove(at: 1)
        let change = ruleset.update(changed: [rule])
        #expect(change.removed[.frontends] == nil && change.added[.frontends] == nil)
        #expect(change.removed[.nodePorts] == nil && change.added[.nodePorts] == nil)
        #expect(change.removed[.endpoints]?.count == 1 && change.added[.endpoints]?.count == 1)
    }

    @Test func theWorkOfAChangeDoesNotGrowWithTheServices() throws {
        func operations(among count: Int) throws -> Int {
            let services = try (0..<count).map { number in
                try service(
                    "web-\(number)", at: ["10.97.\(number / 256).\(number % 256)"], 80,
                    to: [("10.244.1.1", 80), ("10.244.1.2", 80)])
            }
            var ruleset = Ruleset.compile(services, configuration: try configuration())
            var changed = services[count / 2]
            changed.endpoints[0].address = try address("10.244.1.3")
            let change = ruleset.update(changed: [changed])
            return change.elementsAdded + change.elementsRemoved
        }
        // The slot and the hairpin entry change; the old address stays a hairpin of the other Services.
        #expect(try operations(among: 10) == 3)
        #expect(try operations(among: 1000) == 3)
    }

    @Test func nothingChangedIsNothingToDo() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        #expect(ruleset.update(changed: try sampleServices()).isEmpty)
        #expect(ruleset.changes(from: ruleset.table).isEmpty)
    }

    @Test func aChainOutlivesItsLastUseByOneChange() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        let change = ruleset.update(changed: [], removed: [try sampleServices()[1].id])
        #expect(change.obsoleteChains.isEmpty)
        #expect(ruleset.table[chain: "pick-2"] != nil)
        let next = ruleset.update(changed: [try service("x", at: ["10.96.1.1"], 1, to: [("10.244.0.1", 1)])])
        #expect(next.obsoleteChains.map(\.name) == ["pick-2"])
        #expect(ruleset.table[chain: "pick-2"] == nil)
    }

    @Test func aRestartedProxyKeepsTheSlotsItFinds() throws {
        var ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        var services = try sampleServices()
        services[0].endpoints.remove(at: 1)
        services[0].endpoints.append(.init(try address("10.244.0.2"), 8080))
        _ = ruleset.update(changed: services)
        let kernel = ruleset.table
        // A fresh start would put 10.244.0.2 first; it stays in the slot that became free.
        #expect(Ruleset.compile(services, configuration: try configuration()).table != kernel)
        let restarted = Ruleset.compile(
            services, configuration: try configuration(), keeping: SlotLayout(kernel))
        #expect(restarted.changes(from: kernel).isEmpty)
    }
}

@Suite struct TraceTests {
    private let tracer: PacketTracer

    init() throws {
        let ruleset = Ruleset.compile(try sampleServices(), configuration: try configuration())
        tracer = PacketTracer(table: ruleset.table, localAddresses: ["192.0.2.1"])
    }

    private func fate(
        _ source: String, _ destination: String, _ transport: TransportProtocol, _ port: UInt16, roll: UInt32 = 0,
        hook: String = "prerouting"
    ) throws -> Fate {
        var tracer = tracer
        tracer.roll = roll
        return try tracer.fate(of: try Packet(source, destination, transport, port), entering: hook)
    }

    @Test func aPodReachesEveryEndpointUnderItsOwnAddress() throws {
        let seen = try Set((0..<3).map { try fate("10.244.0.99", "10.96.0.10", .tcp, 80, roll: $0) })
        #expect(
            seen == [
                .sent(to: "10.244.0.3:8080", masqueraded: false), .sent(to: "10.244.0.4:8080", masqueraded: false),
                .sent(to: "10.244.0.5:8080", masqueraded: false),
            ])
    }

    @Test func aPodThatGetsItselfIsMasqueraded() throws {
        #expect(try fate("10.244.0.3", "10.96.0.10", .tcp, 80) == .sent(to: "10.244.0.3:8080", masqueraded: true))
        #expect(
            try fate("10.244.0.3", "10.96.0.10", .tcp, 80, roll: 1) == .sent(to: "10.244.0.4:8080", masqueraded: false))
    }

    @Test func whoeverComesFromOutsideIsMasqueraded() throws {
        #expect(try fate("198.51.100.9", "192.0.2.1", .tcp, 30080) == .sent(to: "10.244.0.3:8080", masqueraded: true))
        #expect(try fate("198.51.100.9", "10.96.0.10", .tcp, 80) == .sent(to: "10.244.0.3:8080", masqueraded: true))
    }

    @Test func theNodeItselfReachesBoth() throws {
        let sent = Fate.sent(to: "10.244.0.3:8080", masqueraded: true)
        #expect(try fate("192.0.2.1", "192.0.2.1", .tcp, 30080, hook: "output") == sent)
        #expect(try fate("192.0.2.1", "10.96.0.10", .tcp, 80, hook: "output") == sent)
    }

    @Test func protocolsAreApart() throws {
        #expect(try fate("10.244.0.99", "10.96.0.53", .udp, 53) == .sent(to: "10.244.0.7:5353", masqueraded: false))
        #expect(try fate("10.244.0.99", "10.96.0.53", .tcp, 53) == .reset)
        #expect(try fate("198.51.100.9", "192.0.2.1", .udp, 30080) == .untouched)
    }

    @Test func noEndpointIsRefusedNotForgotten() throws {
        #expect(try fate("10.244.0.99", "10.96.0.11", .tcp, 80) == .reset)
        #expect(try fate("198.51.100.9", "192.0.2.1", .tcp, 30081) == .reset)
        #expect(try fate("10.244.0.99", "10.96.0.10", .tcp, 81) == .reset)
        #expect(try fate("10.244.0.99", "10.96.0.10", .udp, 80) == .unreachable)
    }

    @Test func anAddressThatNoServiceHasIsDropped() throws {
        #expect(try fate("10.244.0.99", "10.96.7.7", .tcp, 80) == .dropped)
    }

    @Test func everythingElsePasses() throws {
        #expect(try fate("198.51.100.9", "192.0.2.1", .tcp, 22) == .untouched)
        #expect(try fate("10.244.0.99", "198.51.100.9", .tcp, 80) == .untouched)
        #expect(try fate("198.51.100.9", "198.51.100.8", .tcp, 30080) == .untouched)
        #expect(try fate("127.0.0.1", "127.0.0.1", .tcp, 30080, hook: "output") == .untouched)
    }
}
