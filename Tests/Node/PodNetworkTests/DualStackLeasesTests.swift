import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// Pods with an address of each family, and addresses that pods ask for: no kernel networking, no root.
@Suite final class DualStackLeasesTests {
    private let directory: String

    init() throws { directory = try makeTemporaryDirectory() }

    deinit { try? removeTree(directory) }

    private func open(_ networks: String...) throws -> AddressLeases {
        let networks = try networks.map { try #require(CIDR($0)) }
        return try AddressLeases.open(directory, configuration: PodNetworkConfiguration(podCIDRs: networks))
    }

    private func texts(_ lease: Lease) -> [String] { lease.addresses.map(\.description) }

    @Test("Both addresses of a pod stand at the same place in their networks, in one file")
    func pairs() throws {
        var leases = try open("10.1.2.0/24", "fd42::/64")
        let given = try (0..<3).map { texts(try leases.acquire(uid: "u\($0)", name: "n")) }
        #expect(given == [["10.1.2.2", "fd42::2"], ["10.1.2.3", "fd42::3"], ["10.1.2.4", "fd42::4"]])
        let files = try listDirectory(directory + "/leases")
        #expect(files.count == 3 && files.contains { $0.hasPrefix("10.1.2.3,fd42::3,sl") })
    }

    @Test("IPv6 alone works as IPv4 alone does")
    func ipv6Alone() throws {
        var leases = try open("fd42:1::/120")
        let given = try (0..<254).map { texts(try leases.acquire(uid: "u\($0)", name: "n"))[0] }
        #expect(given.first == "fd42:1::2" && given.last == "fd42:1::ff" && Set(given).count == 254)
        let error = try #require(throws: PodNetworkError.self) { _ = try leases.acquire(uid: "one more", name: "n") }
        #expect("\(error)" == "pod CIDR fd42:1::/120 has no free address")
    }

    @Test("Where the same place is taken in one network, each gets its next free address")
    func unequal() throws {
        var leases = try open("10.1.2.0/29", "fd42::/64")
        let named = PodNetworkRequest(addresses: try ["fd42::3", "fd42::5"].map { try #require(IPAddress($0)) })
        #expect(throws: PodNetworkError.self) {
            try named.validate(PodNetworkConfiguration(podCIDRs: [try #require(CIDR("fd42::/64"))]))
        }
        let one = try leases.acquire(
            uid: "one", name: "n", request: PodNetworkRequest(addresses: [try #require(IPAddress("fd42::3"))]))
        #expect(texts(one) == ["10.1.2.3", "fd42::3"])
        let far = PodNetworkRequest(addresses: [try #require(IPAddress("fd42::1:2:3"))])
        do {
            let lease = try leases.acquire(uid: "far", name: "n", request: far)
            #expect(texts(lease) == ["10.1.2.2", "fd42::1:2:3"])
        }
        var rest: [[String]] = []
        for number in 0..<3 { rest.append(texts(try leases.acquire(uid: "r\(number)", name: "n"))) }
        #expect(rest == [["10.1.2.4", "fd42::4"], ["10.1.2.5", "fd42::5"], ["10.1.2.6", "fd42::6"]])
        let error = try #require(throws: PodNetworkError.self) { _ = try leases.acquire(uid: "x", name: "n") }
        #expect("\(error)" == "pod CIDR 10.1.2.0/29 has no free address")
    }

    @Test("An address that is taken, or not one for pods, is refused, naming whose it is")
    func requested() throws {
        var leases = try open("10.1.2.0/24", "fd42::/64")
        let wanted = PodNetworkRequest(addresses: [try #require(IPAddress("10.1.2.9"))])
        do {
            let lease = try leases.acquire(uid: "one", name: "default/one", request: wanted)
            #expect(texts(lease) == ["10.1.2.9", "fd42::9"])
        }
        let error = try #require(throws: PodNetworkError.self) {
            _ = try leases.acquire(uid: "two", name: "default/two", request: wanted)
        }
        #expect("\(error)" == "address 10.1.2.9 is taken by pod default/one")
        for text in ["10.1.3.1", "10.1.2.0", "10.1.2.1", "10.1.2.255", "fd42::", "fd42::1", "fd43::2"] {
            let request = PodNetworkRequest(addresses: [try #require(IPAddress(text))])
            let error = try #require(throws: PodNetworkError.self) { try request.validate(leases.configuration) }
            #expect("\(error)" == "address \(text): not one that pods of 10.1.2.0/24, fd42::/64 can have")
        }
        // Out of turn: the next pod gets what it would have got.
        do {
            let lease = try leases.acquire(uid: "three", name: "n")
            #expect(texts(lease) == ["10.1.2.2", "fd42::2"])
        }
    }

    @Test("An Ethernet address is one pod's alone")
    func ethernetAddresses() throws {
        var leases = try open("10.1.2.0/24")
        let mac = try #require(MACAddress("02:aa:00:00:00:01"))
        let lease = try leases.acquire(uid: "one", name: "default/one", request: PodNetworkRequest(mac: mac))
        #expect(lease.mac == mac)
        let error = try #require(throws: PodNetworkError.self) {
            _ = try leases.acquire(uid: "two", name: "n", request: PodNetworkRequest(mac: mac))
        }
        #expect("\(error)" == "MAC 02:aa:00:00:00:01 is taken by pod default/one")
        let derived = try #require(MACAddress("0a:58:0a:01:02:09"))
        #expect(throws: PodNetworkError.self) {
            _ = try leases.acquire(uid: "two", name: "n", request: PodNetworkRequest(mac: derived))
        }
        let both = PodNetworkRequest(addresses: [try #require(IPAddress("10.1.2.9"))], mac: derived)
        let two = try leases.acquire(uid: "two", name: "n", request: both)
        #expect(two.mac == derived)
        for bad in [MACAddress(0), MACAddress(0x0100_0000_0001), PodNetworkConfiguration.gatewayMAC] {
            let request = PodNetworkRequest(mac: bad)
            #expect(throws: PodNetworkError.self) { try request.validate(leases.configuration) }
        }
    }

    @Test("Leases of a version that knew one address per pod are adopted, and found again by uid")
    func oldFiles() throws {
        do { _ = try open("10.1.2.0/24") }
        let interface = PodNetworkConfiguration(podCIDRs: []).interfaceName(of: "old")
        let text = """
            {"uid":"old","name":"default/old","interface":"\(interface)","hostPorts":[{"port":80,"protocol":"tcp",\
            "containerPort":8080}]}
            """
        try writeFileAtomically(directory + "/leases/10.1.2.2", Array(text.utf8))
        var leases = try open("10.1.2.0/24", "fd42::/64")
        let found = try leases.lease(uid: "old")
        let old = try #require(found)
        #expect(texts(old) == ["10.1.2.2"] && old.hostPorts == [HostPort(port: 80, containerPort: 8080)])
        do {
            let lease = try leases.acquire(uid: "new", name: "n")
            #expect(texts(lease) == ["10.1.2.3", "fd42::3"])
        }
        try leases.release(old)
        let after = try leases.lease(uid: "old")
        #expect(after == nil && !fileExists(directory + "/leases/10.1.2.2"))
    }

    @Test("A pod under another interface prefix is found by its uid")
    func otherPrefix() throws {
        var configuration = PodNetworkConfiguration(podCIDRs: [try #require(CIDR("10.1.2.0/24"))])
        do {
            var leases = try AddressLeases.open(directory, configuration: configuration)
            _ = try leases.acquire(uid: "one", name: "n")
        }
        configuration.hostInterfacePrefix = "pod"
        var leases = try AddressLeases.open(directory, configuration: configuration)
        let (one, two) = (try leases.lease(uid: "one"), try leases.lease(uid: "two"))
        #expect(one?.addresses.count == 1 && two == nil)
    }

    @Test("A second owner that waits gets its turn, and sees what the first did")
    func waiting() async throws {
        let directory = directory
        var first = try open("10.1.2.0/24")
        let configuration = first.configuration
        let second = Task.detached {
            try await blocking {
                var leases = try AddressLeases.open(directory, configuration: configuration, waits: true)
                return try leases.acquire(uid: "two", name: "n").addresses[0].description
            }
        }
        _ = try first.acquire(uid: "one", name: "n")
        _ = consume first
        #expect(try await second.value == "10.1.2.3")
    }

    @Test("Networks within networks are named once")
    func disjoint() throws {
        let networks = try ["10.42.0.0/16", "10.42.3.0/24", "10.41.0.0/16", "10.42.0.0/16", "fd42::/48"].map {
            try #require(CIDR($0))
        }
        #expect(CIDR.disjoint(networks).map(\.description) == ["10.41.0.0/16", "10.42.0.0/16", "fd42::/48"])
    }
}
