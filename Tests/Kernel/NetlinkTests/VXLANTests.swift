import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@Suite struct VXLANTests {
    let underlay: Underlay
    var namespace: TestNamespace { underlay.namespace }

    init() throws { underlay = try Underlay() }

    @Test("A device made as flannel makes it is what ip shows, and reads back as it was asked for")
    func likeFlannel() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let settings = VXLANSettings(vni: 1, local: try ip("192.168.50.1"), underlay: underlay.index, port: 8472)
        try socket.apply([
            .createLink(
                NewLink(
                    name: "swiftlet.1", kind: .vxlan(settings), mac: try mac("02:53:4c:00:00:01"), mtu: 1450,
                    alias: "swiftlet overlay", isUp: true, addrGenMode: AddressGenerationMode.none))
        ])
        let link = try #require(try socket.link(.name("swiftlet.1")))
        #expect(link.kind == "vxlan" && link.vxlan == settings && link.isUp && link.mtu == 1450)
        #expect(link.mac == MACAddress("02:53:4c:00:00:01") && link.alias == "swiftlet overlay")
        #expect(link.addrGenMode == AddressGenerationMode.none && link.bridge == nil && link.statistics == nil)
        #expect(try socket.links().contains(link))
        let words = try namespace.output(of: ["ip", "-d", "link", "show", "swiftlet.1"])
        #expect(words.contains("vxlan id 1 local 192.168.50.1 dev under srcport 0 0 dstport 8472 nolearning"))
        #expect(words.contains("mtu 1450") && words.contains("addrgenmode none") && words.contains("udpcsum"))
        // Without a link-local address of its own.
        #expect(try !socket.addresses(of: link.index).contains { $0.scope == .link })

        // And the same that ip made is the same here.
        try namespace.output(
            of: "ip link add flannel.2 type vxlan id 2 local 192.168.50.1 dev under dstport 8472 nolearning"
                .split(separator: " ").map(String.init))
        var same = settings
        same.vni = 2
        #expect(try socket.link(.name("flannel.2"))?.vxlan == same)
    }

    @Test("The MTU of a new device follows from that of its underlay")
    func defaultMTU() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let four = VXLANSettings(vni: 1, local: try ip("192.168.50.1"), underlay: underlay.index)
        let six = VXLANSettings(vni: 2, local: try ip("fd50::1"), underlay: underlay.index)
        try socket.apply([
            .createLink(NewLink(name: "four", kind: .vxlan(four))),
            .createLink(NewLink(name: "six", kind: .vxlan(six))),
        ])
        #expect(try socket.link(.name("four"))?.mtu == 1450)
        let link = try socket.link(.name("six"))
        #expect(link?.mtu == 1430 && link?.vxlan == six && link?.isUp == false)
    }

    @Test(
        "Every setting arrives in the kernel and comes back",
        arguments: [
            (
                VXLANSettings(vni: 0, port: 8473, isExternal: true, isGPE: true),
                "vxlan external id 0 srcport 0 0 dstport 8473 nolearning"
            ),
            (VXLANSettings(vni: 16_777_215, learning: true, udpChecksum: false), "noudpcsum"),
            (
                VXLANSettings(
                    vni: 7, local: IPAddress("fd50::1"), sendsZeroChecksum6: true, acceptsZeroChecksum6: true),
                "udp6zerocsumtx udp6zerocsumrx"
            ),
            (VXLANSettings(vni: 8, ttl: 9, dontFragment: .inherit), "ttl 9 df inherit"),
        ])
    func settings(settings: VXLANSettings, words: String) throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([.createLink(NewLink(name: "x", kind: .vxlan(settings), isUp: true))])
        let link = try #require(try socket.link(.name("x")))
        #expect(link.vxlan == settings && link.isUp)
        #expect(try namespace.output(of: ["ip", "-d", "link", "show", "x"]).contains(words))
    }

    @Test("A VNI, a name or a port in use, a missing underlay and a VNI out of range are refused by name")
    func refusals() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        let first = VXLANSettings(vni: 1, underlay: underlay.index)
        try socket.apply([.createLink(NewLink(name: "first", kind: .vxlan(first), alias: "mine"))])
        let other = VXLANSettings(vni: 2, underlay: underlay.index)
        let results = try socket.attempt([
            .createLink(NewLink(name: "second", kind: .vxlan(first), alias: "yours")),
            .createLink(NewLink(name: "first", kind: .vxlan(other), alias: "yours", isUp: true)),
            .createLink(NewLink(name: "lost", kind: .vxlan(VXLANSettings(vni: 3, underlay: 4711)))),
            .createLink(NewLink(name: "large", kind: .vxlan(VXLANSettings(vni: 1 << 24)))),
            .createLink(NewLink(name: "fine", kind: .vxlan(other))),
        ])
        #expect(results.map { $0?.errno } == [EEXIST, EEXIST, ENODEV, ERANGE, nil])
        #expect(results[0]?.operation == "create vxlan" && results[0]?.subject == "second")
        #expect(results[0]?.message == "A VXLAN device with the specified VNI already exists")
        // What failed left its mark on nobody else's device.
        let link = try #require(try socket.link(.name("first")))
        #expect(link.alias == "mine" && !link.isUp && link.vxlan == first)
        #expect(try socket.links().map(\.name).sorted() == ["fine", "first", "lo", "other", "under"])
    }

    @Test("Forwarding entries are what bridge shows, are listed per device, replaced and deleted")
    func forwardingEntries() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([
            .createLink(
                NewLink(name: "a", kind: .vxlan(VXLANSettings(vni: 1, underlay: underlay.index)), isUp: true)),
            .createLink(
                NewLink(name: "b", kind: .vxlan(VXLANSettings(vni: 2, local: try ip("fd50::1"))), isUp: true)),
            .createLink(NewLink(name: "bridge", kind: .bridge(BridgeSettings()), isUp: true)),
        ])
        let a = try socket.index(of: "a")
        let b = try socket.index(of: "b")
        var entry = ForwardingEntry(
            link: a, mac: try mac("02:00:00:00:00:02"), destination: try ip("192.168.50.2"))
        let sixth = ForwardingEntry(link: b, mac: try mac("02:00:00:00:00:02"), destination: try ip("fd50::2"))
        let special = ForwardingEntry(
            link: a, mac: try mac("02:00:00:00:00:03"), destination: try ip("192.168.50.3"),
            state: [.reachable, .noARP], port: 4789, vni: 77, underlay: underlay.index)
        try socket.apply([.addForwardingEntry(entry), .addForwardingEntry(sixth), .addForwardingEntry(special)])
        #expect(Set(try socket.forwardingEntries()) == [entry, sixth, special])
        #expect(try socket.forwardingEntries(of: b) == [sixth])
        #expect(try socket.forwardingEntries(of: underlay.index).isEmpty)
        let words = try namespace.output(of: ["bridge", "fdb", "show", "dev", "a"])
        #expect(words.contains("02:00:00:00:00:02 dst 192.168.50.2 self permanent\n"))
        #expect(words.contains("02:00:00:00:00:03 dst 192.168.50.3 port 4789 vni 77 via under self"))

        // `add` refuses what is there; `set` changes where it leads, and repeats without complaint.
        #expect(try socket.attempt([.addForwardingEntry(entry)]).map { $0?.errno } == [EEXIST])
        entry.destination = try ip("192.168.50.9")
        try socket.apply([.setForwardingEntry(entry), .setForwardingEntry(entry)])
        #expect(Set(try socket.forwardingEntries(of: a)) == [entry, special])
        try namespace.output(
            of: "bridge fdb add 02:00:00:00:00:04 dev a dst 192.168.50.4".split(separator: " ").map(String.init))
        let made = ForwardingEntry(
            link: a, mac: try mac("02:00:00:00:00:04"), destination: try ip("192.168.50.4"),
            state: [.permanent, .noARP])
        #expect(try socket.forwardingEntries(of: a).contains(made))

        try socket.apply([.deleteForwardingEntry(special), .deleteForwardingEntry(made), .deleteForwardingEntry(entry)])
        #expect(try socket.forwardingEntries() == [sixth])
        let missing = try socket.attempt([
            .deleteForwardingEntry(entry),
            .addForwardingEntry(ForwardingEntry(link: 4711, mac: made.mac, destination: made.destination)),
        ])
        #expect(missing.map { $0?.errno } == [ENOENT, ENODEV])
        #expect(missing[0]?.description.hasPrefix("delete forwarding entry 02:00:00:00:00:02 dst 192.168.50.9") == true)
    }

    @Test("Neighbours are listed per device")
    func neighbours() throws {
        var socket = try RouteSocket(in: namespace.descriptor)
        try socket.apply([
            .createLink(
                NewLink(name: "a", kind: .vxlan(VXLANSettings(vni: 1, underlay: underlay.index)), isUp: true))
        ])
        let a = try socket.index(of: "a")
        let mine = Neighbour(link: a, address: try ip("10.42.1.0"), mac: try mac("02:00:00:00:00:02"))
        let sixth = Neighbour(link: a, address: try ip("fd42:0:0:1::"), mac: try mac("02:00:00:00:00:02"))
        let other = Neighbour(
            link: underlay.index, address: try ip("192.168.50.2"), mac: try mac("02:00:00:00:00:09"))
        try socket.apply([.setNeighbour(mine), .setNeighbour(sixth), .setNeighbour(other)])
        #expect(Set(try socket.neighbours(of: a).filter { $0.state == .permanent }) == [mine, sixth])
        #expect(Set(try socket.neighbours()).isSuperset(of: [mine, sixth, other]))
    }
}
