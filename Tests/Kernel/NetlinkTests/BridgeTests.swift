import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@Suite struct BridgeTests {
    let namespace: TestNamespace
    init() throws { namespace = try TestNamespace() }

    @Test("A bridge is made with its settings, and ports join it when they are made or later")
    func bridge() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let settings = BridgeSettings(multicastSnooping: false)
        try socket.apply([
            .createLink(
                NewLink(
                    name: "pods", kind: .bridge(settings), mac: try mac("02:00:00:00:00:01"), mtu: 1400, alias: "whose",
                    isUp: true))
        ])
        let bridge = try #require(try socket.link(.name("pods")))
        #expect(bridge.kind == "bridge" && bridge.bridge == settings && bridge.isUp && bridge.alias == "whose")
        #expect(bridge.mac == MACAddress("02:00:00:00:00:01") && bridge.mtu == 1400 && bridge.vxlan == nil)
        let words = try namespace.output(of: ["ip", "-d", "link", "show", "pods"])
        #expect(words.contains("bridge forward_delay 0 ") && words.contains("stp_state 0 "))
        #expect(words.contains("mcast_snooping 0"))

        let port = BridgePortSettings(hairpin: true, isolated: true, learning: false, flooding: false)
        try socket.apply([
            .createVeth(VethPair(name: "p0", master: bridge.index, peerName: "q0")),
            .createVeth(VethPair(name: "p1", peerName: "q1")),
            .changeLink(.name("p1"), LinkChange(master: bridge.index)),
            .changeLink(.name("p1"), LinkChange(bridgePort: port)),
            .createLink(NewLink(name: "x", kind: .vxlan(VXLANSettings(vni: 1)), isUp: true, master: bridge.index)),
            .changeLink(.name("x"), LinkChange(bridgePort: BridgePortSettings(neighbourSuppression: true))),
        ])
        for name in ["p0", "p1", "x"] { #expect(try socket.link(.name(name))?.master == bridge.index) }
        let first = try #require(try socket.link(.name("p0"))?.bridgePort)
        #expect(
            first
                == BridgePortSettings(
                    hairpin: false, isolated: false, learning: true, flooding: true, neighbourSuppression: false))
        var second = port
        second.neighbourSuppression = false
        #expect(try socket.link(.name("p1"))?.bridgePort == second)
        #expect(try socket.link(.name("x"))?.bridgePort?.neighbourSuppression == true)
        #expect(try namespace.output(of: ["bridge", "-d", "link", "show", "dev", "p1"]).contains("hairpin on"))

        try socket.apply([.changeLink(.name("p1"), LinkChange(master: 0))])
        let free = try #require(try socket.link(.name("p1")))
        #expect(free.master == nil && free.bridgePort == nil)
        // What is no port cannot be treated as one.
        let refused = try socket.attempt([.changeLink(.name("p1"), LinkChange(bridgePort: port))])
        #expect(refused.map { $0?.errno } == [EOPNOTSUPP])
    }

    @Test("A bridge with a spanning tree has the delay that it needs; a name in use is refused")
    func spanningTree() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        var settings = BridgeSettings(spanningTree: true, forwardDelay: 300, ageing: 100)
        try socket.apply([.createLink(NewLink(name: "tree", kind: .bridge(settings)))])
        #expect(try socket.link(.name("tree"))?.bridge == settings)
        settings.forwardDelay = 0
        let results = try socket.attempt([
            .createLink(NewLink(name: "tree", kind: .bridge(BridgeSettings()))),
            .createLink(NewLink(name: "hasty", kind: .bridge(settings))),
        ])
        #expect(results.map { $0?.errno } == [EEXIST, nil])
        settings.forwardDelay = 200
        #expect(try socket.link(.name("hasty"))?.bridge == settings)
    }

    @Test("An interface counts what passed, and says so when asked")
    func statistics() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([.changeLink(.name("lo"), LinkChange(isUp: true))])
        let receiver = try namespace.datagrams(on: "127.0.0.1", port: 4000)
        let sender = try namespace.datagrams(on: "127.0.0.1", port: 4001)
        try sender.send(String(repeating: "x", count: 100), to: "127.0.0.1", port: 4000)
        _ = try receiver.receive()
        let counted = try #require(try socket.link(.name("lo"), withStatistics: true)?.statistics)
        #expect(counted.sentPackets == 1 && counted.receivedPackets == 1)
        #expect(counted.sentBytes == 128 && counted.receivedBytes == 128)
        #expect(counted.sendDrops == 0 && counted.receiveErrors == 0)
        #expect(try socket.links(withStatistics: true).first { $0.name == "lo" }?.statistics == counted)
        #expect(try socket.links().first?.statistics == nil)
    }

    @Test("The operational state follows the other end")
    func operationalState() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([.createVeth(VethPair(name: "p0", peerName: "q0"))])
        #expect(try socket.link(.name("p0"))?.operationalState == .lowerLayerDown)
        #expect(try socket.link(.name("q0"))?.operationalState == .down)
        try socket.apply([.changeLink(.name("q0"), LinkChange(isUp: true))])
        #expect(try socket.link(.name("p0"))?.operationalState == .up)
        #expect(try socket.link(.name("lo"))?.operationalState != .up)
    }
}
