import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@Suite struct QdiscTests {
    let underlay: Underlay
    var namespace: TestNamespace { underlay.namespace }
    var link: Int32 { underlay.index }

    init() throws { underlay = try Underlay() }

    @Test("A token bucket is what tc shows, changes in place, and goes")
    func tokenBucket() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        #expect(try socket.rootQdisc(of: link) == nil)
        let slow = TokenBucket(rate: 1_250_000, burst: 32_768, limit: 95_268)
        try socket.apply([.setRootQdisc(link, slow)])
        let made = try #require(try socket.rootQdisc(of: link))
        #expect(made.kind == "tbf" && made.tokenBucket == slow && made.isRoot && made.link == link)

        #expect(try tc().contains("root refcnt 3 rate 10Mbit burst 32Kb lat 50ms"))

        let slower = TokenBucket(rate: 125_000, burst: 20_000, limit: 40_000)
        try socket.apply([.setRootQdisc(link, slower), .setRootQdisc(link, slower)])
        let changed = try #require(try socket.rootQdisc(of: link))
        #expect(changed.tokenBucket == slower && changed.handle == made.handle)
        let all = try socket.qdiscs()
        #expect(all.contains { $0.link == link && $0.tokenBucket == slower })
        #expect(all.contains { $0.kind == "noqueue" && $0.handle == 0 && $0.tokenBucket == nil })

        try socket.apply([.deleteRootQdisc(link)])
        #expect(try socket.rootQdisc(of: link) == nil)
        let results = try socket.attempt([
            .deleteRootQdisc(link), .setRootQdisc(4711, slow), .deleteRootQdisc(4711),
            .setRootQdisc(link, TokenBucket(rate: 1000, burst: 0, limit: 1000)),
        ])
        #expect(results.map { $0?.errno } == [ENOENT, ENODEV, ENODEV, EINVAL])
        #expect(results[1]?.description == "set queue dev #4711: No such device")
    }

    @Test("A queue that somebody else put there is replaced")
    func replacesOthers() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try namespace.output(of: ["tc", "qdisc", "add", "dev", "under", "root", "handle", "1:", "pfifo", "limit", "10"])
        #expect(try socket.rootQdisc(of: link)?.kind == "pfifo")
        let bucket = TokenBucket(rate: 1_250_000, burst: 32_768, limit: 95_268)
        try socket.apply([.setRootQdisc(link, bucket)])
        #expect(try socket.rootQdisc(of: link)?.tokenBucket == bucket)
    }

    @Test(
        "Rates from bytes to terabits per second are told back as they were set",
        arguments: [
            (TokenBucket(rate: 100, burst: 4000, limit: 8000), "rate 800bit "),
            (TokenBucket(rate: 15_000_000), "rate 120Mbit "),
            (TokenBucket(rate: 125_000_000), "rate 1Gbit "),
            (TokenBucket(rate: 5_000_000_000), "rate 40Gbit "),
            (TokenBucket(rate: 125_000_000_000), "rate 1Tbit "),
        ])
    func rates(bucket: TokenBucket, words: String) throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([.setRootQdisc(link, bucket)])
        let listed = try #require(try socket.rootQdisc(of: link)?.tokenBucket)
        #expect(listed.isAsListed(for: bucket), "\(listed), \(bucket)")
        #expect(!listed.isAsListed(for: TokenBucket(rate: bucket.rate, burst: bucket.burst / 2, limit: bucket.limit)))
        #expect(!listed.isAsListed(for: TokenBucket(rate: bucket.rate + 1, burst: bucket.burst, limit: bucket.limit)))
        #expect(try tc().contains(words))
    }

    @Test("The sizes of a queue follow from its rate and the time that a packet may wait")
    func sizes() {
        #expect(TokenBucket(rate: 1_250_000) == TokenBucket(rate: 1_250_000, burst: 262_144, limit: 324_644))
        #expect(TokenBucket(rate: 1_250_000_000).burst == 12_500_000)
        #expect(TokenBucket(rate: 1000, burst: 2000, latency: .seconds(2)).limit == 4000)
        #expect(TokenBucket(rate: .max).limit == .max)
    }

    @Test("What leaves is shaped, and what does not fit is dropped and counted")
    func shaping() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        // A hundred bytes a second: one packet passes with the burst, one waits, the others find no room.
        try socket.apply([
            .setRootQdisc(link, TokenBucket(rate: 100, burst: 1500, limit: 1500)),
            .addNeighbour(Neighbour(link: link, address: try ip("192.168.50.2"), mac: MACAddress(0x0200_0000_0002))),
        ])
        let sender = try namespace.datagrams(on: "192.168.50.1", port: 4000)
        for _ in 0..<5 { try sender.send(String(repeating: "x", count: 1000), to: "192.168.50.2", port: 9) }
        let counted = try #require(try socket.rootQdisc(of: link)).statistics
        #expect(counted.sentPackets == 1 && counted.sentBytes == 1042 && counted.drops == 3)
        #expect(counted.backlog == 1042 && counted.overlimits > 0)
    }

    private func tc() throws -> String { try namespace.output(of: ["tc", "qdisc", "show", "dev", "under"]) }
}
