import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// A host of its own: a namespace with an uplink to another that knows nothing of pods, and a pod network's directory.
final class TestNode {
    static let address = "192.0.2.1"
    static let outsideAddress = "192.0.2.2"
    static let address6 = "2001:db8::1"
    static let outsideAddress6 = "2001:db8::2"
    /// What most tests give their pods.
    static let networks = ["10.88.0.0/24", "fd42:88::/64"]

    let namespace: TestNamespace
    let outside: TestNamespace
    let directory: String
    private(set) var configuration: PodNetworkConfiguration
    private var owner: PodNetwork?

    /// The one owner there is.
    var network: PodNetwork { get throws { try #require(owner) } }

    /// - Parameter networks: of the pods.
    init(networks: [String] = TestNode.networks, mode: PodNetworkMode = .pointToPoint) throws {
        namespace = try TestNamespace()
        outside = try TestNamespace()
        var template = Array("/tmp/swiftlet-podnet.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        configuration = PodNetworkConfiguration(podCIDRs: try networks.map { try #require(CIDR($0)) }, mode: mode)
        var node = try RouteSocket(in: namespace.descriptor)
        var peer = try RouteSocket(in: outside.descriptor)
        try node.apply([
            .createVeth(VethPair(name: "up0", peerName: "out0", peerNamespace: outside.descriptor.number)),
            .changeLink(.index(1), LinkChange(isUp: true)),
        ])
        let link = try #require(try node.link(.name("up0")))
        let other = try #require(link.peer)
        try peer.apply([.changeLink(.index(other), LinkChange(isUp: true))])
        for (text, length) in [(Self.address, 24), (Self.address6, 64)] {
            try node.apply([.setAddress(try Self.address(text, length, on: link.index))])
        }
        for (text, length) in [(Self.outsideAddress, 24), (Self.outsideAddress6, 64)] {
            try peer.apply([.setAddress(try Self.address(text, length, on: other))])
        }
        owner = try PodNetwork(configuration: configuration, directory: directory, in: namespace.descriptor)
    }

    private static func address(_ text: String, _ length: Int, on link: Int32) throws -> Address {
        let address = try #require(IPAddress(text))
        return Address(
            link: link, address: address, prefixLength: length, flags: address.bitWidth == 128 ? .noDAD : [])
    }

    deinit {
        try? removeTree(directory)
    }

    /// As if the agent had been killed and started again.
    func restart(networks: [String]? = nil, mode: PodNetworkMode? = nil) throws {
        owner = nil
        if let mode { configuration.mode = mode }
        if let networks { configuration.podCIDRs = try networks.map { try #require(CIDR($0)) } }
        owner = try PodNetwork(configuration: configuration, directory: directory, in: namespace.descriptor)
    }

    /// Nobody owns it until ``restart(networks:mode:)``.
    func close() { owner = nil }

    /// The present one.
    var mtu: UInt32? { owner?.configuration.mtu }

    /// Gives the outside routes to the pods, so that what they send in their own name is answered.
    func letOutsideReachPods() throws {
        var far = try RouteSocket(in: outside.descriptor)
        let link = try #require(try far.link(.name("out0"))).index
        for cidr in configuration.podCIDRs {
            let gateway = IPAddress(cidr.address.bitWidth == 32 ? Self.address : Self.address6)
            try far.apply([.setRoute(Route(to: cidr, gateway: gateway, link: link))])
        }
    }

    func routes() throws -> RouteSocket { try RouteSocket(in: namespace.descriptor) }

    /// All that can be left behind: links, addresses, routes, neighbours that are permanent, rules, leases.
    func census() throws -> Set<String> {
        var socket = try routes()
        var nftables = try NFTablesSocket(in: namespace.descriptor)
        var entries: Set<String> = []
        for link in try socket.links() { entries.insert("link \(link.name) \(link.alias ?? "")") }
        // What the uplink's kernel does for itself comes when it comes.
        let own = ["fe80::/10", "ff00::/8"].compactMap { CIDR($0) }
        for address in try socket.addresses() where !own.contains(where: { $0.contains(address.address) }) {
            entries.insert("address \(address)")
        }
        let uplink = try #require(try socket.link(.name("up0"))).index
        for route in try socket.routes()
        where route.link != uplink && !own.contains(where: { $0.contains(route.destination.address) }) {
            entries.insert("route \(route) \(route.origin.rawValue)")
        }
        for neighbour in try socket.neighbours() where neighbour.state == .permanent {
            entries.insert("neighbour \(neighbour)")
        }
        for name in PodRules.names(owner: configuration.owner) {
            for set in try nftables.snapshot(of: name).table?.sets ?? [] {
                for element in set.elements { entries.insert("element \(name) \(set.name) \(element.key)") }
            }
        }
        for name in try listDirectory(directory + "/leases") { entries.insert("lease \(name)") }
        return entries
    }

    /// The name of the file of the lease that has the address.
    func leaseFile(of address: String) throws -> String {
        try #require(
            try listDirectory(directory + "/leases").first { $0.split(separator: ",").contains(Substring(address)) })
    }

    @discardableResult
    func attach(_ pod: TestPod, _ request: PodNetworkRequest) throws -> PodAddress {
        try network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor, request: request)
    }

    /// The pod's first address.
    func attach(_ pod: TestPod, hostPorts: [HostPort] = []) throws -> String {
        try attach(pod, PodNetworkRequest(hostPorts: hostPorts)).address.description
    }
}

/// A pod as far as the network sees it: a namespace, and a socket opened inside of it.
struct TestPod {
    let uid: String
    let name: String
    let namespace: TestNamespace
    let socket: TestSocket

    init(_ name: String) throws {
        self.name = "default/\(name)"
        uid = "uid-of-\(name)"
        namespace = try TestNamespace()
        socket = try namespace.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue))
    }
}

/// Has `client` connect to the address, which leads to a listener in `server`; what the listener saw as its peer.
/// Data flows both ways before it returns.
func peerSeen(
    from client: TestNamespace, to address: String, _ port: UInt16, source: String? = nil, at server: TestNamespace,
    _ serverAddress: String, _ serverPort: UInt16
) throws -> String {
    let listener = try server.listen(on: serverAddress, port: serverPort)
    let out = try client.connect(to: address, port: port, from: source)
    let (connection, peer) = try listener.accept()
    try out.send("ping")
    #expect(try connection.receive().text == "ping")
    try connection.send("pong")
    #expect(try out.receive().text == "pong")
    return peer
}
