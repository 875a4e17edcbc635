import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@Suite struct RouteEventsTests {
    let underlay: Underlay
    var namespace: TestNamespace { underlay.namespace }

    init() throws { underlay = try Underlay() }

    @Test("What happens is told in its order, as the value that a list would have")
    func events() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        var events = try RouteEvents(in: namespace.descriptor, groups: .all)
        #expect(try events.next() == nil)
        let settings = VXLANSettings(vni: 1, underlay: underlay.index)
        try socket.apply([.createLink(NewLink(name: "x", kind: .vxlan(settings), isUp: true))])
        let link = try #require(try socket.link(.name("x")))
        let address = Address(link: link.index, address: try ip("10.42.1.0"), prefixLength: 32)
        let sixth = Address(
            link: link.index, address: try ip("fd42::1"), prefixLength: 128, flags: [.noDAD, .noPrefixRoute])
        let neighbour = Neighbour(link: link.index, address: try ip("10.42.2.0"), mac: MACAddress(0x0200_0000_0002))
        let entry = ForwardingEntry(
            link: link.index, mac: MACAddress(0x0200_0000_0002), destination: try ip("192.168.50.2"))
        let route = Route(
            to: try cidr("10.42.2.0/24"), gateway: try ip("10.42.2.0"), isOnLink: true, link: link.index, mtu: 1400)
        try socket.apply([
            .addAddress(address), .addAddress(sixth), .addNeighbour(neighbour), .addForwardingEntry(entry),
            .addRoute(route),
        ])
        // An IPv6 address is told of by a worker of the kernel, some time later.
        let made = try all(&events, until: .address(sixth))
        #expect(made.contains { if case .link(let it) = $0 { it.name == "x" && it.vxlan == settings } else { false } })
        let expected: [RouteEvent] = [
            .address(address), .neighbour(neighbour), .forwardingEntry(entry), .route(route),
        ]
        #expect(made.filter { expected.contains($0) } == expected)

        try socket.apply([
            .deleteRoute(route), .deleteForwardingEntry(entry), .deleteNeighbour(neighbour), .deleteAddress(sixth),
            .deleteAddress(address), .deleteLink(.name("x")),
        ])
        let gone = try all(&events)
        let ends: [RouteEvent] = [
            .routeGone(route), .forwardingEntryGone(entry), .addressGone(sixth), .addressGone(address),
        ]
        #expect(gone.filter { ends.contains($0) } == ends)
        #expect(gone.contains { if case .linkGone(let it) = $0 { it.index == link.index } else { false } })
        // A neighbour is told of once more as it fails, then it is gone.
        #expect(
            gone.contains {
                switch $0 {
                case .neighbour(let it), .neighbourGone(let it): it.address == neighbour.address
                default: false
                }
            })
        #expect(try events.next() == nil)
    }

    @Test("Only what was subscribed to is told, and a port that leaves its bridge is not an interface that is gone")
    func groups() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([.createLink(NewLink(name: "pods", kind: .bridge(BridgeSettings()), isUp: true))])
        let bridge = try socket.index(of: "pods")
        var links = try RouteEvents(in: namespace.descriptor, groups: .link)
        var routes = try RouteEvents(in: namespace.descriptor, groups: [.ipv4Route, .ipv6Address])
        try socket.apply([
            .changeLink(.name("under"), LinkChange(master: bridge)), .changeLink(.name("under"), LinkChange(master: 0)),
            .setAddress(Address(link: bridge, address: try ip("10.42.1.1"), prefixLength: 24)),
        ])
        let seen = try all(&links)
        #expect(seen.contains { if case .link(let it) = $0 { it.master == bridge } else { false } })
        #expect(!seen.contains { if case .linkGone = $0 { true } else { false } })
        let told = try all(&routes)
        #expect(told.contains { if case .route(let it) = $0 { it.destination == CIDR("10.42.1.0/24") } else { false } })
        #expect(
            !told.contains {
                if case .address(let it) = $0 { it.link == bridge && it.address.bitWidth == 32 } else { false }
            })
        #expect(!told.contains { if case .link = $0 { true } else { false } })
    }

    @Test("Events that did not fit are reported as lost, and those after that come again")
    func overrun() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        var events = try RouteEvents(in: namespace.descriptor, groups: .ipv4Route, receiveBuffer: 1)
        let routes = try (0..<200).map { Route(to: try cidr("10.42.\($0).0/24"), link: underlay.index, scope: .link) }
        try socket.apply(routes.map { .addRoute($0) })
        let seen = try all(&events)
        #expect(seen.contains(.overrun))
        #expect(seen.count < routes.count)
        #expect(try events.next() == nil)
        try socket.apply([.deleteRoute(routes[7])])
        #expect(try all(&events) == [.routeGone(routes[7])])
    }

    @Test("The descriptor is readable when there is something, and thousands of events fit")
    func readiness() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        var events = try RouteEvents(in: namespace.descriptor, groups: .ipv4Route)
        var poller = pollfd(fd: events.descriptor.number, events: Int16(POLLIN), revents: 0)
        #expect(poll(&poller, 1, 0) == 0)
        let routes = try (0..<4000).map {
            Route(to: try cidr("10.42.\($0 / 250).\($0 % 250)/32"), link: underlay.index, scope: .link)
        }
        try socket.apply(routes.map { .addRoute($0) })
        #expect(poll(&poller, 1, 0) == 1)
        #expect(try all(&events) == routes.map { .route($0) })
        #expect(poll(&poller, 1, 0) == 0)
    }

    /// Everything there is, which is all that was asked for: the kernel tells before it answers the request that made it
    /// happen. With `last` everything up to that.
    private func all(_ events: inout RouteEvents, until last: RouteEvent? = nil) throws -> [RouteEvent] {
        var result: [RouteEvent] = []
        repeat {
            while let more = try events.next() { result += more }
            guard let last, !result.contains(last) else { return result }
            var poller = pollfd(fd: events.descriptor.number, events: Int16(POLLIN), revents: 0)
            try #require(poll(&poller, 1, 10_000) == 1, "\(last) was not told")
        } while true
    }
}
