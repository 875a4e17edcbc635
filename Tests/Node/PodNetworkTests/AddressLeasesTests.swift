import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// Addresses on disk: no kernel networking, no root.
@Suite final class AddressLeasesTests {
    private let directory: String

    init() throws {
        var template = Array("/tmp/swiftlet-leases.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? removeTree(directory) }

    private func open(_ networks: String...) throws -> AddressLeases {
        let networks = try networks.map { try #require(CIDR($0)) }
        return try AddressLeases.open(directory, configuration: PodNetworkConfiguration(podCIDRs: networks))
    }

    @Test("The network's, the node's and the broadcast address are never given out, every other is, once")
    func exhaustion() throws {
        var leases = try open("10.1.2.0/28")
        let given = try (0..<13).map { try leases.acquire(uid: "u\($0)", name: "n").addresses[0].description }
        #expect(given == (2...14).map { "10.1.2.\($0)" })
        let error = try #require(throws: PodNetworkError.self) {
            _ = try leases.acquire(uid: "one more", name: "n")
        }
        #expect("\(error)" == "pod CIDR 10.1.2.0/28 has no free address")
        let fifth = try leases.lease(uid: "u5")
        try leases.release(try #require(fifth))
        #expect(try leases.acquire(uid: "one more", name: "n").addresses[0].description == "10.1.2.7")
    }

    @Test("An address that was let go is the last to be given out again, also after a restart")
    func nextFit() throws {
        var first = try open("10.1.2.0/29")
        let one = try first.acquire(uid: "one", name: "n")
        try first.release(one)
        let two = try first.acquire(uid: "two", name: "n")
        #expect(one.addresses[0].description == "10.1.2.2" && two.addresses[0].description == "10.1.2.3")
        _ = consume first
        var second = try open("10.1.2.0/29")
        let rest = try (0..<4).map { try second.acquire(uid: "r\($0)", name: "n").addresses[0].description }
        #expect(rest == ["10.1.2.4", "10.1.2.5", "10.1.2.6", "10.1.2.2"])
    }

    @Test("Leases are read back as they were written, host ports included")
    func persistence() throws {
        let ports = [
            HostPort(port: 8080, containerPort: 80),
            HostPort(hostIP: .v4(IPv4Address(0x7f00_0001)), port: 53, transport: .udp, containerPort: 5353),
            HostPort(port: 9, transport: .sctp, containerPort: 10),
        ]
        var before = try open("10.1.0.0/16", "fd42::/64")
        let request = PodNetworkRequest(
            hostPorts: ports, ingressBandwidth: 1_000_000, egressBandwidth: 2_000_000,
            mac: MACAddress("02:00:00:00:00:09"),
            interfaceName: "net1")
        let lease = try before.acquire(uid: "u-1", name: "default/\"web\"\n", request: request)
        _ = consume before
        var after = try open("10.1.0.0/16", "fd42::/64")
        let (all, one) = (try after.all(), try after.lease(uid: "u-1"))
        #expect(all == [lease] && one?.hostPorts == ports && lease.addresses.count == 2)
    }

    @Test("What a killed owner was writing is dropped; a torn lease keeps its address back until it is removed")
    func torn() throws {
        do { _ = try open("10.1.2.0/29") }
        try writeFileAtomically(directory + "/leases/.10.1.2.2", [1, 2, 3])
        try writeFileAtomically(directory + "/leases/10.1.2.3", Array("{\"uid\": \"u".utf8))
        try writeFileAtomically(directory + "/leases/README", [])
        var leases = try open("10.1.2.0/29")
        let all = try leases.all()
        #expect(all.isEmpty && leases.count == 1)
        #expect(!fileExists(directory + "/leases/.10.1.2.2") && fileExists(directory + "/leases/README"))
        let given = try (0..<4).map { try leases.acquire(uid: "u\($0)", name: "n").addresses[0].description }
        #expect(given == ["10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"])
        try leases.removeUnreadable()
        #expect(try leases.acquire(uid: "x", name: "n").addresses[0].description == "10.1.2.3")
    }

    @Test("A second owner of the directory is refused")
    func singleOwner() throws {
        let first = try open("10.1.2.0/29")
        let error = try #require(throws: PodNetworkError.self) { _ = try open("10.1.2.0/29") }
        #expect("\(error)" == "\(directory): another swiftlet owns this pod network")
        #expect(first.count == 0)
    }

    @Test("A disk that takes no lease gives no address")
    func writeFails() throws {
        var leases = try open("10.1.2.0/29")
        try removeTree(directory + "/leases")
        #expect(throws: PodNetworkError.self) { _ = try leases.acquire(uid: "u", name: "n") }
        let all = try leases.all()
        #expect(all.isEmpty)
        try makeDirectories(directory + "/leases")
        #expect(try leases.acquire(uid: "u", name: "n").addresses[0].description == "10.1.2.2")
    }

    @Test("Ports conflict where one packet could mean both")
    func conflicts() {
        let any = HostPort(port: 80, containerPort: 1)
        let local = HostPort(hostIP: .v4(IPv4Address(0x7f00_0001)), port: 80, containerPort: 2)
        let other = HostPort(hostIP: .v4(IPv4Address(0x0a00_0001)), port: 80, containerPort: 3)
        #expect(any.conflicts(with: local) && local.conflicts(with: any) && !local.conflicts(with: other))
        #expect(!any.conflicts(with: HostPort(port: 80, transport: .udp, containerPort: 1)))
        #expect(!any.conflicts(with: HostPort(port: 81, containerPort: 1)))
        let anyIPv4 = HostPort(hostIP: .v4(IPv4Address(0)), port: 80, containerPort: 9)
        let anyIPv6 = HostPort(hostIP: IPAddress("::"), port: 80, containerPort: 9)
        let localIPv6 = HostPort(hostIP: IPAddress("::1"), port: 80, containerPort: 9)
        #expect(any.conflicts(with: anyIPv4) && any.conflicts(with: anyIPv6) && any.conflicts(with: localIPv6))
        #expect(anyIPv4.conflicts(with: local) && anyIPv6.conflicts(with: localIPv6))
        #expect(!anyIPv4.conflicts(with: anyIPv6) && !localIPv6.conflicts(with: local))
    }

    @Test("Interface names are valid, differ, and never change")
    func interfaceNames() throws {
        let configuration = PodNetworkConfiguration(podCIDR: try #require(CIDR("10.1.0.0/16")))
        let names = Set((0..<10_000).map { configuration.interfaceName(of: "uid-\($0)") })
        #expect(names.count == 10_000)
        #expect(names.allSatisfy { $0.utf8.count == 15 && $0.hasPrefix("sl") })
        #expect(configuration.interfaceName(of: "uid-0") == configuration.interfaceName(of: "uid-0"))
    }

    @Test(
        "A configuration that cannot work is refused in words",
        arguments: [
            ("10.0.0.0/31", 1500, "sl"), ("fd00::/127", 1500, "sl"), ("fd00::/64", 1279, "sl"),
            ("10.0.0.0/24", 100, "sl"),
            ("10.0.0.0/24", 1500, "a/"), ("10.0.0.0/24", 1500, ""), ("0.0.0.0/0", 1500, "sl"),
        ])
    func badConfiguration(cidr: String, mtu: UInt32, prefix: String) throws {
        let configuration = PodNetworkConfiguration(
            podCIDR: try #require(CIDR(cidr)), mtu: mtu, hostInterfacePrefix: prefix)
        #expect(throws: PodNetworkError.self) { try configuration.validate() }
    }

    @Test("Two networks of one family, none, a bad owner and a bad bridge are refused in words")
    func moreBadConfiguration() throws {
        let one = try #require(CIDR("10.1.0.0/24"))
        var bad = [PodNetworkConfiguration(podCIDRs: []), PodNetworkConfiguration(podCIDRs: [one, one])]
        bad += ["", "Pods", "a b", "proxy", "overlay"].map { PodNetworkConfiguration(podCIDRs: [one], owner: $0) }
        bad += ["", "a/b", "lo", "sl0", "sixteencharacter"].map {
            PodNetworkConfiguration(podCIDRs: [one], mode: .bridge($0))
        }
        for configuration in bad { #expect(throws: PodNetworkError.self) { try configuration.validate() } }
    }
}
