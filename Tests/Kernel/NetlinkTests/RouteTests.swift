import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@Suite struct RouteTests {
    let underlay: Underlay
    var namespace: TestNamespace { underlay.namespace }
    let mine = RouteProtocol(rawValue: 95)

    init() throws { underlay = try Underlay() }

    @Test("Routes with an encapsulation are what ip shows, and read back as they were set")
    func encapsulation() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let external = VXLANSettings(vni: 0, port: 8473, isExternal: true, isGPE: true)
        try socket.apply([.createLink(NewLink(name: "tunnel", kind: .vxlan(external), isUp: true))])
        let link = try socket.index(of: "tunnel")
        let routes = [
            Route(
                to: try cidr("10.42.2.0/24"), link: link, origin: mine, scope: .link,
                encapsulation: RouteEncapsulation(id: 1, destination: try ip("192.168.50.2"))),
            Route(
                to: try cidr("10.42.3.0/24"), link: link, origin: mine, scope: .link, mtu: 1300,
                encapsulation: RouteEncapsulation(
                    id: 16_777_215, destination: try ip("fd50::2"), source: try ip("fd50::1"), ttl: 9,
                    udpChecksum: true)),
            Route(
                to: try cidr("fd42:0:0:2::/64"), link: link, origin: mine, metric: 1024,
                encapsulation: RouteEncapsulation(
                    id: 1, destination: try ip("192.168.50.2"), source: try ip("192.168.50.1"), udpChecksum: true)),
        ]
        try socket.apply(routes.map { .addRoute($0) })
        #expect(Set(try socket.routes(origin: mine)) == Set(routes))
        let words = try namespace.output(of: ["ip", "route", "show", "dev", "tunnel"])
        #expect(words.contains("10.42.2.0/24  encap ip id 1 src 0.0.0.0 dst 192.168.50.2 ttl 0 tos 0 proto 95"))
        #expect(words.contains("10.42.3.0/24  encap ip6 id 16777215 src fd50::1 dst fd50::2 hoplimit 9 tc 0 csum"))
        #expect(words.contains("mtu 1300"))
        #expect(
            routes[1].description == "10.42.3.0/24 encap ip6 id 16777215 dst fd50::2 dev #\(link)")

        try namespace.output(
            of: "ip route add 10.42.9.0/24 encap ip id 5 dst 192.168.50.9 ttl 3 csum dev tunnel proto 95"
                .split(separator: " ").map(String.init))
        let theirs = Route(
            to: try cidr("10.42.9.0/24"), link: link, origin: mine, scope: .link,
            encapsulation: RouteEncapsulation(id: 5, destination: try ip("192.168.50.9"), ttl: 3, udpChecksum: true))
        #expect(try socket.routes(origin: mine, of: link).contains(theirs))
        try socket.apply((routes + [theirs]).map { .deleteRoute($0) })
        #expect(try socket.routes(of: link).filter { $0.origin == mine }.isEmpty)
    }

    @Test("A route's MTU is set, listed, and changed by setting it again")
    func mtu() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        var route = Route(
            to: try cidr("10.42.2.0/24"), gateway: try ip("192.168.50.2"), link: underlay.index, origin: mine,
            mtu: 1400)
        var sixth = Route(
            to: try cidr("fd42:0:0:2::/64"), gateway: try ip("fd50::2"), link: underlay.index, origin: mine,
            metric: 1024, mtu: 1400)
        try socket.apply([.addRoute(route), .addRoute(sixth)])
        #expect(Set(try socket.routes(origin: mine)) == [route, sixth])
        route.mtu = 1300
        sixth.mtu = nil
        try socket.apply([.setRoute(route), .setRoute(sixth)])
        #expect(Set(try socket.routes(origin: mine)) == [route, sixth])
        #expect(try namespace.output(of: ["ip", "route", "show", "proto", "95"]).contains("mtu 1300"))
    }

    @Test("Routes are listed per interface")
    func perLink() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let route = Route(to: try cidr("10.42.2.0/24"), link: underlay.index, origin: mine, scope: .link)
        let dropped = Route(to: try cidr("10.42.3.0/24"), kind: .blackhole, origin: mine)
        try socket.apply([.addRoute(route), .addRoute(dropped)])
        let over = try socket.routes(of: underlay.index)
        #expect(over.contains(route) && over.allSatisfy { $0.link == underlay.index })
        #expect(over.contains { $0.destination.address.bitWidth == 128 })
        #expect(Set(try socket.routes(origin: mine)) == [route, dropped])
        #expect(try socket.routes(origin: mine, of: 1).isEmpty)
    }

    @Test("The kernel says which route a packet takes, or that there is none")
    func lookup() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let gateway = try ip("192.168.50.2")
        try socket.apply([
            .addRoute(Route(to: try cidr("10.42.2.0/24"), gateway: gateway, link: underlay.index, mtu: 1350)),
            .addRoute(Route(to: try cidr("10.42.3.0/24"), kind: .unreachable)),
            .addRoute(Route(to: try cidr("10.42.4.0/24"), kind: .prohibit)),
            .addRoute(Route(to: try cidr("fd42::/64"), gateway: try ip("fd50::2"), link: underlay.index)),
        ])
        let found = try #require(try socket.route(to: try ip("10.42.2.7")))
        #expect(found.destination == CIDR("10.42.2.7/32") && found.gateway == gateway && found.link == underlay.index)
        #expect(found.source == IPAddress("192.168.50.1") && found.mtu == 1350 && found.kind == .unicast)
        let sixth = try #require(try socket.route(to: try ip("fd42::7")))
        #expect(sixth.gateway == IPAddress("fd50::2") && sixth.source == IPAddress("fd50::1"))
        let local = try #require(try socket.route(to: try ip("192.168.50.1")))
        #expect(local.kind == .local && local.link == 1)
        #expect(try socket.route(to: try ip("10.99.0.1")) == nil)
        #expect(try socket.route(to: try ip("10.42.3.1")) == nil)
        #expect(try socket.route(to: try ip("2001:db8::1")) == nil)
        let error = try #require(throws: NetlinkError.self) { try socket.route(to: try ip("10.42.4.1")) }
        #expect(error.errno == EACCES && error.operation == "find route" && error.subject == "10.42.4.1")

        // Source, mark and the interface it comes from count.
        try namespace.output(of: ["ip", "rule", "add", "fwmark", "7", "table", "100"])
        try socket.apply([.addRoute(Route(to: try cidr("10.99.0.0/24"), link: 1, table: 100, scope: .link))])
        let marked = try #require(try socket.route(to: try ip("10.99.0.1"), mark: 7))
        #expect(marked.link == 1 && marked.table == 100)
        try NetworkSetting("net.ipv4.ip_forward").set("1", in: namespace.descriptor)
        let forwarded = try socket.route(
            to: try ip("10.42.2.7"), from: try ip("192.168.50.77"), arrivingOn: underlay.index)
        #expect(forwarded?.gateway == gateway)
    }

    @Test("Addresses keep what was asked for them")
    func addressFlags() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let plain = Address(link: underlay.index, address: try ip("10.42.1.1"), prefixLength: 24)
        let alone = Address(
            link: underlay.index, address: try ip("10.43.1.1"), prefixLength: 24, flags: .noPrefixRoute)
        let sixth = Address(
            link: underlay.index, address: try ip("fd43::1"), prefixLength: 64, flags: [.noDAD, .noPrefixRoute])
        try socket.apply([.addAddress(plain), .addAddress(alone), .addAddress(sixth)])
        #expect(Set(try socket.addresses(of: underlay.index)).isSuperset(of: [plain, alone, sixth]))
        let routes = try socket.routes(of: underlay.index)
        #expect(routes.contains { $0.destination == CIDR("10.42.1.0/24") })
        #expect(!routes.contains { $0.destination == CIDR("10.43.1.0/24") || $0.destination == CIDR("fd43::/64") })
        #expect(try namespace.output(of: ["ip", "addr", "show", "dev", "under"]).contains("noprefixroute"))
    }
}
