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

    let namespace: TestNamespace
    let outside: TestNamespace
    let directory: String
    private(set) var configuration: PodNetworkConfiguration
    private var owner: PodNetwork?

    /// The one owner there is.
    var network: PodNetwork { get throws { try #require(owner) } }

    init() throws {
        namespace = try TestNamespace()
        outside = try TestNamespace()
        var template = Array("/tmp/swiftlet-podnet.XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        configuration = PodNetworkConfiguration(podCIDR: try #require(CIDR("10.88.0.0/24")))
        var node = try RouteSocket(in: namespace.descriptor)
        var peer = try RouteSocket(in: outside.descriptor)
        try node.apply([
            .createVeth(VethPair(name: "up0", peerName: "out0", peerNamespace: outside.descriptor.number)),
            .changeLink(.index(1), LinkChange(isUp: true)),
        ])
        let link = try #require(try node.link(.name("up0")))
        let other = try #require(link.peer)
        try node.apply([
            .setAddress(Address(link: link.index, address: .v4(IPv4Address(0xc000_0201)), prefixLength: 24))
        ])
        try peer.apply([
            .changeLink(.index(other), LinkChange(isUp: true)),
            .setAddress(Address(link: other, address: .v4(IPv4Address(0xc000_0202)), prefixLength: 24)),
        ])
        owner = try PodNetwork(configuration: configuration, directory: directory, in: namespace.descriptor)
    }

    deinit {
        try? removeTree(directory)
    }

    /// As if the agent had been killed and started again.
    func restart(podCIDR: String? = nil) throws {
        owner = nil
        if let podCIDR { configuration.podCIDR = try #require(CIDR(podCIDR)) }
        owner = try PodNetwork(configuration: configuration, directory: directory, in: namespace.descriptor)
    }

    func routes() throws -> RouteSocket { try RouteSocket(in: namespace.descriptor) }

    /// All that can be left behind: links, addresses, routes, neighbours that are permanent, rules, leases.
    func census() throws -> Set<String> {
        var socket = try routes()
        var nftables = try NFTablesSocket(in: namespace.descriptor)
        var entries: Set<String> = []
        for link in try socket.links() { entries.insert("link \(link.name) \(link.alias ?? "")") }
        for address in try socket.addresses() where address.address.bitWidth == 32 {
            entries.insert("address \(address)")
        }
        for route in try socket.routes() where route.destination.address.bitWidth == 32 {
            entries.insert("route \(route) \(route.origin.rawValue)")
        }
        for neighbour in try socket.neighbours() where neighbour.state == .permanent {
            entries.insert("neighbour \(neighbour)")
        }
        for set in try nftables.snapshot(of: PodNetworkConfiguration.table).table?.sets ?? [] {
            for element in set.elements { entries.insert("element \(set.name) \(element.key)") }
        }
        for name in try listDirectory(directory + "/leases") { entries.insert("lease \(name)") }
        return entries
    }

    func attach(_ pod: TestPod, hostPorts: [HostPort] = []) throws -> String {
        let address = try network.attach(
            uid: pod.uid, name: pod.name, networkNamespace: pod.namespace.descriptor,
            routeSocket: pod.socket.descriptor,
            hostPorts: hostPorts)
        return address.address.description
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
