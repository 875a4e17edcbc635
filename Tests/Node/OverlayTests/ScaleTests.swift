// A thousand nodes. Prints what it costs; the numbers in docs/overlay.md are from a release build.
import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// CPU milliseconds of this process so far, in user and kernel mode.
private func cpu() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func milliseconds(_ time: timeval) -> Double { Double(time.tv_sec) * 1e3 + Double(time.tv_usec) / 1e3 }
    return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime)
}

@Suite(.serialized) struct ScaleTests {
    private func leases(_ count: Int) -> [NodeLease] {
        (1...count).map { number in
            NodeLease(
                name: "node-\(number)", publicIPv4: IPv4Address(0xc612_0000 + UInt32(number)),
                podCIDRs: [CIDR(containing: .v4(IPv4Address(0x0a2a_0000 + UInt32(number) << 8)), prefixLength: 24)]
                    .compactMap { $0 })
        }
    }

    private func measure(_ what: String, _ body: () async throws -> Void) async throws {
        let (before, start) = (cpu(), ContinuousClock.now)
        try await body()
        let spent = cpu() - before
        print("\(what): CPU \((spent * 100).rounded() / 100) ms, \(ContinuousClock.now - start)")
    }

    @Test(arguments: [OverlayBackend.vxlan, .tunnel, .hostGateway])
    func aThousandNodes(_ backend: OverlayBackend) async throws {
        let fabric = try TestFabric(hosts: 1)
        let host = fabric[1]
        try host.run("ip address add 198.18.0.1/15 dev eth0")
        try host.start(backend)
        var all = leases(1000)
        try await measure("\(backend.rawValue): own node alone") { try await host.update([all[0]]) }
        try await measure("\(backend.rawValue): 999 more") { try await host.update(all) }
        try host.requireNoProblems()
        let counters = try host.state.counters
        #expect(counters.repairs == 0)
        #expect(try host.run("ip route show proto 95").split(separator: "\n").count == 999)
        try await measure("\(backend.rawValue): the same again") { try await host.update(all) }
        #expect(try host.state.counters == counters)
        try await measure("\(backend.rawValue): 100 times one changed node") {
            for round in 0..<100 {
                all[500].publicIPv4 = IPv4Address(0xc613_0000 + UInt32(round))
                try await host.update(all)
            }
        }
        #expect(try host.state.counters.readings == counters.readings)
        #expect(try host.state.counters.repairs == 0)
        try host.start(backend)
        try await measure("\(backend.rawValue): adoption by a new run") { try await host.update(all) }
        #expect(try host.state.counters.changes <= 1)
        try await measure("\(backend.rawValue): all but own node gone") { try await host.update([all[0]]) }
        #expect(try host.run("ip route show proto 95").isEmpty)
    }
}
