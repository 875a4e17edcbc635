import Glibc
import Linux
import Netlink
import TestSupport
import Testing

/// Against the kernel, in network namespaces that each test makes.
@Suite struct RouteSocketTests {
    let here: TestNamespace
    let there: TestNamespace

    init() throws {
        here = try TestNamespace()
        there = try TestNamespace()
    }

    @Test("A veth pair is made with its peer in another namespace under its final name, address and size")
    func vethAcrossNamespaces() throws {
        var host = try RouteSocket(in: here.descriptor)
        var pod = try RouteSocket(in: there.descriptor)
        try host.apply([
            .createVeth(
                VethPair(
                    name: "left", mac: MACAddress(0x0200_0000_0001), isUp: false, peerName: "eth0",
                    peerMAC: MACAddress(0x0200_0000_0002), peerNamespace: there.descriptor.number, mtu: 1400))
        ])
        let left = try #require(try host.link(.name("left")))
        let right = try #require(try pod.link(.name("eth0")))
        #expect(left.kind == "veth" && right.kind == "veth")
        #expect(left.mtu == 1400 && right.mtu == 1400)
        #expect(left.mac == MACAddress(0x0200_0000_0001) && right.mac == MACAddress(0x0200_0000_0002))
        #expect(!left.isUp && !right.isUp)
        #expect(left.peer == right.index && left.peerIsElsewhere)
        #expect(try host.link(.name("eth0")) == nil)

        try host.apply([.changeLink(.index(left.index), LinkChange(isUp: true))])
        #expect(try #require(try host.link(.index(left.index))).isUp)
        try host.apply([.deleteLink(.name("left"))])
        #expect(try host.link(.index(left.index)) == nil)
        #expect(try pod.link(.name("eth0")) == nil)
    }

    @Test("Renames, aliases, sizes and Ethernet addresses are set and listed")
    func linkProperties() throws {
        var socket = try RouteSocket(in: here.descriptor)
        try socket.apply([.createVeth(VethPair(name: "one", isUp: false, peerName: "eno"))])
        let index = try #require(try socket.link(.name("one"))).index
        let mac = MACAddress(0x0200_0000_00aa)
        try socket.apply([
            .changeLink(
                .index(index),
                LinkChange(
                    isUp: true, name: "two", alias: "whose it is", mtu: 1300, mac: mac, ipv4: [.reversePathFilter: 1]))
        ])
        let links = try socket.links()
        let two = try #require(links.first { $0.name == "two" })
        #expect(two.index == index && two.alias == "whose it is" && two.mtu == 1300 && two.mac == mac && two.isUp)
        #expect(!links.contains { $0.name == "one" })
        #expect(links.contains { $0.name == "lo" && $0.index == 1 && $0.flags.contains(.loopback) && $0.mac == nil })
        let filter = NetworkSetting("net.ipv4.conf.two.rp_filter")
        #expect(try filter.value(in: here.descriptor) == "1")
    }

    @Test("Addresses, routes and neighbours of both families are listed as they were set")
    func layerThree() throws {
        var socket = try RouteSocket(in: here.descriptor)
        try socket.apply([
            .createVeth(VethPair(name: "d0", peerName: "d1")), .changeLink(.name("d1"), LinkChange(isUp: true)),
        ])
        let link = try #require(try socket.link(.name("d0"))).index
        let v4 = Address(link: link, address: try ip("10.9.0.1"), prefixLength: 24)
        let v6 = Address(link: link, address: try ip("fd09::1"), prefixLength: 64)
        let gateway = try ip("169.254.1.1")
        let mine = RouteProtocol(rawValue: 94)
        let onLink = Route(to: .everyIPv4, gateway: gateway, isOnLink: true, link: link, origin: mine)
        let source = Route(
            to: try cidr("10.9.7.7/32"), link: link, source: try ip("10.9.0.1"), origin: mine, scope: .link)
        let sixth = Route(
            to: try cidr("fd0a::/64"), gateway: try ip("fd09::2"), link: link, origin: mine, metric: 77)
        let other = Route(to: try cidr("10.66.0.0/16"), kind: .unreachable, table: 1000, origin: mine)
        let permanent = Neighbour(link: link, address: gateway, mac: MACAddress(0x0253_4c00_0001))
        let permanent6 = Neighbour(link: link, address: try ip("fd09::2"), mac: MACAddress(0x0253_4c00_0002))
        try socket.apply([
            .addAddress(v4), .addAddress(v6), .addNeighbour(permanent), .addNeighbour(permanent6), .addRoute(onLink),
            .addRoute(source), .addRoute(sixth), .addRoute(other),
        ])
        let addresses = try socket.addresses()
        #expect(addresses.contains(v4) && addresses.contains(v6))
        let routes = try socket.routes(origin: mine)
        #expect(routes.count == 4)
        #expect(routes.contains(onLink) && routes.contains(source) && routes.contains(sixth) && routes.contains(other))
        #expect(try socket.routes().count > 4)
        let neighbours = try socket.neighbours()
        #expect(neighbours.contains(permanent) && neighbours.contains(permanent6))

        // Again with `set` is fine, with `add` it is not; then everything goes.
        try socket.apply([.setAddress(v4), .setNeighbour(permanent), .setRoute(onLink)])
        #expect(
            try socket.attempt([.addAddress(v4), .addRoute(onLink), .addNeighbour(permanent)])
                .map { $0?.errno } == [EEXIST, EEXIST, EEXIST])
        try socket.apply([
            .deleteRoute(onLink), .deleteRoute(source), .deleteRoute(sixth), .deleteRoute(other),
            .deleteNeighbour(permanent), .deleteNeighbour(permanent6), .deleteAddress(v4), .deleteAddress(v6),
        ])
        #expect(try socket.routes(origin: mine).isEmpty)
        #expect(try !socket.addresses().contains { $0 == v4 || $0 == v6 })
    }

    @Test("An error names operation, subject and errno, and carries the kernel's own words")
    func errors() throws {
        var socket = try RouteSocket(in: here.descriptor)
        try socket.apply([
            .createVeth(VethPair(name: "d0", peerName: "d1")), .changeLink(.name("d1"), LinkChange(isUp: true)),
        ])
        let link = try #require(try socket.link(.name("d0"))).index
        let route = Route(to: try cidr("10.5.0.0/16"), gateway: try ip("10.7.7.7"), link: link)
        let error = try #require(throws: NetlinkError.self) { try socket.apply([.addRoute(route)]) }
        #expect(error.operation == "add route" && error.errno == ENETUNREACH)
        #expect(error.message == "Nexthop has invalid gateway")
        #expect(
            error.description
                == "add route 10.5.0.0/16 via 10.7.7.7 dev #\(link): Network is unreachable (Nexthop has invalid gateway)"
        )
    }

    @Test("One failing change of several is reported at its place, and the others are made")
    func partialFailure() throws {
        var socket = try RouteSocket(in: here.descriptor)
        var changes = (0..<100).map { Change.createVeth(VethPair(name: "l\($0)", isUp: false, peerName: "r\($0)")) }
        changes.insert(changes[3], at: 70)
        let results = try socket.attempt(changes)
        #expect(results.count == 101)
        #expect(results.enumerated().compactMap { $1 == nil ? nil : $0 } == [70])
        #expect(results[70]?.errno == EEXIST && results[70]?.subject == "l3 (peer r3)")
        // The list spans many datagrams.
        #expect(try socket.links().filter { $0.kind == "veth" }.count == 200)
    }

    @Test("Of hundreds of failures each is told, with the kernel's words")
    func manyFailures() throws {
        var socket = try RouteSocket(in: here.descriptor)
        try socket.apply([.changeLink(.name("lo"), LinkChange(isUp: true))])
        let routes = try (0..<600).map {
            Route(to: try cidr("10.5.\($0 / 200).\($0 % 200)/32"), gateway: try ip("10.7.7.7"), link: 1)
        }
        let results = try socket.attempt(routes.map { .addRoute($0) })
        #expect(results.count == 600)
        #expect(results.allSatisfy { $0?.errno == ENETUNREACH && $0?.message == "Nexthop has invalid gateway" })
        #expect(results[599]?.subject == "10.5.2.199/32 via 10.7.7.7 dev #1")
    }

    @Test("Answers that did not fit are an error of the socket, which works on afterwards")
    func lostAnswers() throws {
        var socket = try RouteSocket(in: here.descriptor)
        var size: Int32 = 1
        setsockopt(socket.descriptor.number, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        let missing = (0..<100).map { Change.deleteLink(.name("no\($0)")) }
        let error = try #require(throws: NetlinkError.self) { try socket.attempt(missing) }
        #expect(error.errno == ENOBUFS && error.operation == "receive")
        // The buffer has room for one answer.
        try socket.apply([.changeLink(.name("lo"), LinkChange(isUp: true))])
        #expect(try socket.attempt(Array(missing.prefix(1))).map { $0?.errno } == [ENODEV])
        #expect(try socket.addresses(of: 1).contains { $0.address == IPAddress("127.0.0.1") })
    }

    @Test("Names that the kernel would cut or misread are refused, not changed")
    func badNames() throws {
        var socket = try RouteSocket(in: here.descriptor)
        for name in ["sixteen-letters-", "a/b", "a b", ".."] {
            let results = try socket.attempt([.createVeth(VethPair(name: name, peerName: "ok"))])
            #expect(results.first??.errno != nil, "\(name)")
        }
        let long = String(repeating: "x", count: 5000)
        let error = try #require(throws: NetlinkError.self) { try socket.apply([.deleteLink(.name(long))]) }
        #expect(error.errno == EMSGSIZE)
        #expect(try socket.links().map(\.name) == ["lo"])
    }

    @Test("A socket opened elsewhere acts where it was opened")
    func foreignSocket() throws {
        let number = try there.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue))
        var socket = try RouteSocket(owning: try number.descriptor.duplicate())
        try socket.apply([.createVeth(VethPair(name: "elsewhere", peerName: "x"))])
        var other = try RouteSocket(in: there.descriptor)
        var mine = try RouteSocket(in: here.descriptor)
        #expect(try other.link(.name("elsewhere")) != nil)
        #expect(try mine.link(.name("elsewhere")) == nil)
    }

    @Test("A setting belongs to its namespace")
    func settings() throws {
        let forwarding = NetworkSetting("net.ipv4.ip_forward")
        let before = try forwarding.value(in: there.descriptor)
        try forwarding.set(before == "1" ? "0" : "1", in: here.descriptor)
        #expect(try forwarding.value(in: here.descriptor) == (before == "1" ? "0" : "1"))
        #expect(try forwarding.value(in: there.descriptor) == before)
        let error = try #require(throws: SystemError.self) {
            try NetworkSetting("net.ipv4.no_such_thing").value(in: here.descriptor)
        }
        #expect(error.errno == ENOENT && error.subject == "/proc/sys/net/ipv4/no_such_thing")
    }
}
