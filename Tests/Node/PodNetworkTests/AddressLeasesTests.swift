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

    private func open(_ cidr: String) throws -> AddressLeases {
        try AddressLeases.open(directory, configuration: PodNetworkConfiguration(podCIDR: try #require(CIDR(cidr))))
    }

    @Test("The network's, the node's and the broadcast address are never given out, every other is, once")
    func exhaustion() throws {
        var leases = try open("10.1.2.0/28")
        let given = try (0..<13).map { try leases.acquire(uid: "u\($0)", name: "n", hostPorts: []).address.description }
        #expect(given == (2...14).map { "10.1.2.\($0)" })
        let error = try #require(throws: PodNetworkError.self) {
            _ = try leases.acquire(uid: "one more", name: "n", hostPorts: [])
        }
        #expect("\(error)" == "pod CIDR 10.1.2.0/28 has no free address")
        try leases.release(try #require(leases[uid: "u5"]))
        #expect(try leases.acquire(uid: "one more", name: "n", hostPorts: []).address.description == "10.1.2.7")
    }

    @Test("An address that was let go is the last to be given out again, also after a restart")
    func nextFit() throws {
        var first = try open("10.1.2.0/29")
        let one = try first.acquire(uid: "one", name: "n", hostPorts: [])
        try first.release(one)
        let two = try first.acquire(uid: "two", name: "n", hostPorts: [])
        #expect(one.address.description == "10.1.2.2" && two.address.description == "10.1.2.3")
        _ = consume first
        var second = try open("10.1.2.0/29")
        let rest = try (0..<4).map { try second.acquire(uid: "r\($0)", name: "n", hostPorts: []).address.description }
        #expect(rest == ["10.1.2.4", "10.1.2.5", "10.1.2.6", "10.1.2.2"])
    }

    @Test("Leases are read back as they were written, host ports included")
    func persistence() throws {
        let ports = [
            HostPort(port: 8080, containerPort: 80),
            HostPort(hostIP: .v4(IPv4Address(0x7f00_0001)), port: 53, transport: .udp, containerPort: 5353),
            HostPort(port: 9, transport: .sctp, containerPort: 10),
        ]
        var before = try open("10.1.0.0/16")
        let lease = try before.acquire(uid: "u-1", name: "default/\"web\"\n", hostPorts: ports)
        _ = consume before
        let after = try open("10.1.0.0/16")
        #expect(after.all == [lease])
        #expect(after[uid: "u-1"]?.hostPorts == ports)
    }

    @Test("What a killed owner was writing is dropped; a torn lease keeps its address back until it is removed")
    func torn() throws {
        do { _ = try open("10.1.2.0/29") }
        try writeFileAtomically(directory + "/leases/.10.1.2.2", [1, 2, 3])
        try writeFileAtomically(directory + "/leases/10.1.2.3", Array("{\"uid\": \"u".utf8))
        try writeFileAtomically(directory + "/leases/README", [])
        var leases = try open("10.1.2.0/29")
        #expect(leases.all.isEmpty && leases.unreadable.map(\.description) == ["10.1.2.3"])
        #expect(!fileExists(directory + "/leases/.10.1.2.2") && fileExists(directory + "/leases/README"))
        let given = try (0..<4).map { try leases.acquire(uid: "u\($0)", name: "n", hostPorts: []).address.description }
        #expect(given == ["10.1.2.2", "10.1.2.4", "10.1.2.5", "10.1.2.6"])
        try leases.removeUnreadable()
        #expect(try leases.acquire(uid: "x", name: "n", hostPorts: []).address.description == "10.1.2.3")
    }

    @Test("A second owner of the directory is refused")
    func singleOwner() throws {
        let first = try open("10.1.2.0/29")
        let error = try #require(throws: PodNetworkError.self) { _ = try open("10.1.2.0/29") }
        #expect("\(error)" == "\(directory): another swiftlet owns this pod network")
        #expect(first.all.isEmpty)
    }

    @Test("A disk that takes no lease gives no address")
    func writeFails() throws {
        var leases = try open("10.1.2.0/29")
        try removeTree(directory + "/leases")
        #expect(throws: PodNetworkError.self) { _ = try leases.acquire(uid: "u", name: "n", hostPorts: []) }
        #expect(leases.all.isEmpty)
        try makeDirectories(directory + "/leases")
        #expect(try leases.acquire(uid: "u", name: "n", hostPorts: []).address.description == "10.1.2.2")
    }

    @Test("Ports conflict where one packet could mean both")
    func conflicts() {
        let any = HostPort(port: 80, containerPort: 1)
        let local = HostPort(hostIP: .v4(IPv4Address(0x7f00_0001)), port: 80, containerPort: 2)
        let other = HostPort(hostIP: .v4(IPv4Address(0x0a00_0001)), port: 80, containerPort: 3)
        #expect(any.conflicts(with: local) && local.conflicts(with: any) && !local.conflicts(with: other))
        #expect(!any.conflicts(with: HostPort(port: 80, transport: .udp, containerPort: 1)))
        #expect(!any.conflicts(with: HostPort(port: 81, containerPort: 1)))
        #expect(any.conflicts(with: HostPort(hostIP: .v4(IPv4Address(0)), port: 80, containerPort: 9)))
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
            ("10.0.0.0/31", 1500, "sl"), ("fd00::/64", 1500, "sl"), ("10.0.0.0/24", 100, "sl"),
            ("10.0.0.0/24", 1500, "a/"), ("10.0.0.0/24", 1500, ""), ("0.0.0.0/0", 1500, "sl"),
        ])
    func badConfiguration(cidr: String, mtu: UInt32, prefix: String) throws {
        let configuration = PodNetworkConfiguration(
            podCIDR: try #require(CIDR(cidr)), mtu: mtu, hostInterfacePrefix: prefix)
        #expect(throws: PodNetworkError.self) { try configuration.validate() }
    }
}
