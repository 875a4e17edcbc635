// Ten thousand Services with ten endpoints each; a tenth of that in a debug build. Prints what it costs: the numbers in
// docs/service-proxy.md are from `scripts/bench-proxy`, which runs this in a release build.
import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import ServiceProxy

/// CPU seconds of this process so far, in user and kernel mode.
private func cpu() -> (user: Double, system: Double) {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

@discardableResult
private func measure<Result>(_ what: String, _ body: () async throws -> Result) async rethrows -> Result {
    let (before, start) = (cpu(), ContinuousClock.now)
    let result = try await body()
    let (after, wall) = (cpu(), ContinuousClock.now - start)
    func milliseconds(_ seconds: Double) -> String {
        let hundredths = Int((seconds * 100_000).rounded())
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
    let elapsed = Double(wall.components.seconds) + Double(wall.components.attoseconds) / 1e18
    print(
        "\(what): \(milliseconds(elapsed)) ms, CPU \(milliseconds(after.user - before.user)) ms user, "
            + "\(milliseconds(after.system - before.system)) ms kernel")
    return result
}

@Suite(.serialized) struct ScaleTests {
    private func services(_ count: Int, endpoints: Int) -> [ServicePortRule] {
        (0..<count).map { number in
            let id = ServicePortID(namespace: "default", name: "service-\(number)", port: "http", transport: .tcp)
            return ServicePortRule(
                id, clusterIPs: [IPv4Address(0x0a60_0000 + UInt32(number + 1))], port: 80,
                endpoints: (0..<endpoints).map {
                    .init(IPv4Address(0x0b00_0000 + UInt32(number * endpoints + $0)), 8080, isLocal: false)
                })
        }
    }

    @Test func thousandsOfServicesOfTenEndpoints() async throws {
        let count = _isDebugAssertConfiguration() ? 1000 : 10_000
        print("\(count) Services of 10 endpoints")
        let namespace = try TestNamespace()
        let proxy = ServiceProxy(
            configuration: try configuration(), socket: try NFTablesSocket(in: namespace.descriptor),
            on: try EventLoop(name: "proxy-test"))
        var services = services(count, endpoints: 10)
        let loaded = try await measure("cold load") { try await proxy.apply(services) }
        #expect(loaded.way == .loaded)
        // For each Service ten endpoints, a frontend and a cluster IP.
        #expect(loaded.elementsAdded == 12 * count)

        let swaps = 200
        try await measure("\(swaps) endpoints swapped, one transaction each") {
            for number in 0..<swaps {
                services[number * 4].endpoints[3].address = IPv4Address(0x0c00_0000 + UInt32(number))
                let statistics = try await proxy.apply(changed: [services[number * 4]])
                #expect(statistics.way == .incremental && statistics.elementsAdded == 1)
            }
        }
        services[1].endpoints[3].address = IPv4Address(0x0d00_0000)
        try await measure("one endpoint swapped, all Services compared") {
            let statistics = try await proxy.apply(services)
            #expect(statistics.elementsAdded == 1 && statistics.elementsRemoved == 1)
        }
        services[5].endpoints.removeLast(9)
        try await measure("one Service scaled from ten endpoints to one (its verdict changes)") {
            try await proxy.apply(changed: [services[5]])
        }
        let repaired = try await measure("verify: dump and compare") { try await proxy.verify() }
        #expect(repaired.isEmpty)

        let next = ServiceProxy(
            configuration: try configuration(), socket: try NFTablesSocket(in: namespace.descriptor),
            on: try EventLoop(name: "proxy-test"))
        let adopted = try await measure("restart with the table there") { try await next.apply(services) }
        #expect(adopted.way == .nothing)
        try await measure("remove") { try await next.remove() }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        print("most memory of this process, tests included: \(usage.ru_maxrss / 1024) MB")
    }
}
