import Glibc
import Linux
import Netlink
import TestSupport
import Testing

/// `here` – `router` – `there`, where the second link takes packets of 1300 bytes at most.
@Suite struct EchoProbeTests {
    let here: TestNamespace
    let router: TestNamespace
    let there: TestNamespace
    let link: Int32

    init() async throws {
        here = try TestNamespace()
        router = try TestNamespace()
        there = try TestNamespace()
        var left = try RouteSocket(in: here.descriptor)
        var middle = try RouteSocket(in: router.descriptor)
        var right = try RouteSocket(in: there.descriptor)
        try middle.apply([
            .createVeth(VethPair(name: "left", peerName: "eth0", peerNamespace: here.descriptor.number)),
            .createVeth(VethPair(name: "right", peerName: "eth0", peerNamespace: there.descriptor.number, mtu: 1300)),
        ])
        link = try left.index(of: "eth0")
        try left.apply(
            try Self.addresses(link, "192.0.2.10", "fd01::10")
                + Self.defaults(link, "192.0.2.1", "fd01::1"))
        let far = try right.index(of: "eth0")
        try right.apply(
            try Self.addresses(far, "198.51.100.10", "fd02::10")
                + Self.defaults(far, "198.51.100.1", "fd02::1"))
        try middle.apply(
            try Self.addresses(try middle.index(of: "left"), "192.0.2.1", "fd01::1")
                + Self.addresses(try middle.index(of: "right"), "198.51.100.1", "fd02::1"))
        for (name, value) in [
            ("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1"), ("net.ipv4.icmp_ratelimit", "0"),
            ("net.ipv6.icmp.ratelimit", "0"),
        ] { try NetworkSetting(name).set(value, in: router.descriptor) }
        // The kernel's workers take their time to see that a link works, and give its addresses routes then.
        try await eventually("both ways work") { [self] in
            for address in ["198.51.100.10", "fd02::10", "fe80::1"] {
                var probe = try EchoProbe(to: try ip(address), in: here.descriptor, link: link)
                guard try probe.ask(timeout: .milliseconds(50)).isReply else { return false }
            }
            return true
        }
    }

    private static func addresses(_ link: Int32, _ v4: String, _ v6: String) throws -> [Change] {
        let last = v6.split(separator: ":").last ?? ""
        return [
            .changeLink(.index(link), LinkChange(addrGenMode: AddressGenerationMode.none)),
            .changeLink(.index(link), LinkChange(isUp: true)), .changeLink(.name("lo"), LinkChange(isUp: true)),
            .addAddress(
                Address(link: link, address: try ip("fe80::\(last)"), prefixLength: 64, scope: .link, flags: .noDAD)),
            .addAddress(Address(link: link, address: try ip(v4), prefixLength: 24)),
            .addAddress(Address(link: link, address: try ip(v6), prefixLength: 64, flags: .noDAD)),
        ]
    }

    private static func defaults(_ link: Int32, _ v4: String, _ v6: String) throws -> [Change] {
        [
            .addRoute(Route(to: .everyIPv4, gateway: try ip(v4), link: link)),
            .addRoute(Route(to: .everyIPv6, gateway: try ip(v6), link: link)),
        ]
    }

    @Test(
        "A reply tells how long it took, for packets of any size that fits", arguments: ["198.51.100.10", "fd02::10"])
    func reply(address: String) throws {
        let destination = try ip(address)
        var probe = try EchoProbe(to: destination, in: here.descriptor)
        let largest = EchoProbe.payload(ofPacketSize: 1300, to: destination)
        for payload in [0, 1, 56, largest] {
            guard case .reply(let time) = try probe.ask(payload: payload, timeout: .seconds(5)) else {
                Issue.record("no reply to \(payload) bytes")
                continue
            }
            #expect(time > .zero && time < .seconds(5))
        }
        #expect(try probe.next() == nil)
    }

    @Test(
        "A packet that is too large for its way is told of with the size that fits, by the router or this host",
        arguments: [("198.51.100.10", "192.0.2.1"), ("fd02::10", "fd01::1")])
    func tooLarge(address: String, gateway: String) throws {
        let destination = try ip(address)
        let router = try ip(gateway)
        func payload(_ size: Int) -> Int { EchoProbe.payload(ofPacketSize: size, to: destination) }
        var probe = try EchoProbe(to: destination, in: here.descriptor)
        #expect(try probe.ask(payload: payload(1301), timeout: .seconds(5)) == .tooLarge(mtu: 1300, from: router))
        // Again although the kernel knows by now: the way may have changed.
        #expect(try probe.ask(payload: payload(1500), timeout: .seconds(5)) == .tooLarge(mtu: 1300, from: router))
        #expect(try probe.send(payload: payload(1501)) == .tooLarge(mtu: 1500, from: nil))
        #expect(EchoAnswer.tooLarge(mtu: 1300, from: router).description == "1300 bytes at most (\(gateway))")

        var cut = try EchoProbe(to: destination, in: here.descriptor, dontFragment: false)
        #expect(try cut.ask(payload: 9000, timeout: .seconds(5)).isReply)
        #expect(try cut.send(payload: 70_000) == .notSent(errno: EMSGSIZE))
    }

    @Test("Who refuses to pass a packet on is told, and why")
    func unreachable() throws {
        var middle = try RouteSocket(in: router.descriptor)
        try middle.apply([
            .addRoute(Route(to: try cidr("203.0.113.0/25"), kind: .unreachable)),
            .addRoute(Route(to: try cidr("203.0.113.128/25"), kind: .prohibit)),
            .addRoute(Route(to: try cidr("fd09::/64"), kind: .unreachable)),
            .addRoute(Route(to: try cidr("fd0a::/64"), kind: .prohibit)),
            .addRoute(Route(to: try cidr("203.0.112.0/24"), kind: .blackhole)),
        ])
        let four = try ip("192.0.2.1")
        let six = try ip("fd01::1")
        #expect(try ask("203.0.113.1") == .unreachable(type: 3, code: 1, from: four))
        #expect(try ask("203.0.113.129") == .unreachable(type: 3, code: 13, from: four))
        #expect(try ask("203.0.111.1") == .unreachable(type: 3, code: 0, from: four))
        #expect(try ask("fd09::1") == .unreachable(type: 1, code: 0, from: six))
        #expect(try ask("fd0a::1") == .unreachable(type: 1, code: 1, from: six))
        #expect(try ask("203.0.113.1").description == "host unreachable (192.0.2.1)")
        #expect(try ask("fd0a::1").description == "administratively prohibited (fd01::1)")
        // Nobody says anything.
        #expect(try ask("203.0.112.1", timeout: .milliseconds(30)) == .timeout)
    }

    @Test("What this host does not send is told at once")
    func notSent() throws {
        var left = try RouteSocket(in: here.descriptor)
        try here.output(
            of: ["nft", "-f", "-"],
            input: "table inet t { chain c { type filter hook output priority 0; meta mark 7 drop; }; }")
        var marked = try EchoProbe(to: try ip("198.51.100.10"), in: here.descriptor, mark: 7)
        #expect(try marked.send() == .notSent(errno: EPERM))
        try left.apply([.deleteRoute(Route(to: .everyIPv4, link: link))])
        #expect(try ask("198.51.100.10") == .notSent(errno: ENETUNREACH))
        #expect(try ask("198.51.100.10").description == "not sent: Network is unreachable")
    }

    @Test("Source and interface are those that were asked for")
    func sourceAndLink() throws {
        var left = try RouteSocket(in: here.descriptor)
        try left.apply([.addAddress(Address(link: link, address: try ip("192.0.2.99"), prefixLength: 24))])
        let capture = try here.output(of: [
            "nft",
            "add table inet t; add chain inet t c { type filter hook output priority 0; }; "
                + "add rule inet t c ip saddr 192.0.2.99 counter comment seen",
        ])
        #expect(capture.isEmpty)
        var probe = try EchoProbe(
            to: try ip("198.51.100.10"), in: here.descriptor, source: try ip("192.0.2.99"), link: link)
        #expect(try probe.ask(timeout: .seconds(5)).isReply)
        #expect(try here.output(of: ["nft", "list", "table", "inet", "t"]).contains("packets 1 "))
        #expect(throws: SystemError.self) {
            _ = try EchoProbe(to: try ip("198.51.100.10"), in: here.descriptor, source: try ip("192.0.2.77"))
        }
        // A link-local address is reached over the interface that is named.
        var local = try EchoProbe(to: try ip("fe80::1"), in: here.descriptor, source: try ip("fd01::10"), link: link)
        #expect(try local.ask(timeout: .seconds(5)).isReply)
    }

    @Test("Two probes of one address do not take each other's answers, nor an old answer for a new one")
    func severalProbes() throws {
        var first = try EchoProbe(to: try ip("198.51.100.10"), in: here.descriptor)
        var second = try EchoProbe(to: try ip("198.51.100.10"), in: here.descriptor)
        for _ in 0..<20 {
            #expect(try first.send() == nil)
            #expect(try second.ask(timeout: .seconds(5)).isReply)
            #expect(try first.ask(timeout: .seconds(5)).isReply)
            #expect(try first.next() == nil && second.next() == nil)
        }
    }

    private func ask(_ address: String, timeout: Duration = .seconds(5)) throws -> EchoAnswer {
        var probe = try EchoProbe(to: try ip(address), in: here.descriptor)
        return try probe.ask(timeout: timeout)
    }
}

extension EchoAnswer {
    fileprivate var isReply: Bool {
        if case .reply = self { return true }
        return false
    }
}
