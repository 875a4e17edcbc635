// A node with three pods and a client outside, each a network namespace, wired as PodNetwork wires them: a veth for
// each pod with a /32 address, routed.
import CLinux
import Glibc
import Linux
import NFTables
import TestSupport

@testable import ServiceProxy

final class TestNetwork: Sendable {
    let node: TestNamespace
    /// 192.0.2.100, which reaches cluster IPs through the node.
    let client: TestNamespace
    /// 10.244.0.3 and on.
    let pods: [TestNamespace]

    static func podAddress(_ index: Int) -> String { "10.244.0.\(3 + index)" }
    static let nodeAddress = "192.0.2.1"
    /// What masqueraded connections come from: the node's end of each pod's veth.
    static let gateway = "10.244.0.1"

    init(pods count: Int = 3) throws {
        node = try TestNamespace()
        client = try TestNamespace()
        pods = try (0..<count).map { _ in try TestNamespace() }
        try node.output(
            of: ["ip", "-batch", "-"],
            input: """
                link set lo up
                link add eth0 type veth peer name eth0 netns /proc/self/fd/4
                addr add \(Self.nodeAddress)/24 dev eth0
                link set eth0 up
                route add default via 192.0.2.100
                """, others: [client])
        try client.output(
            of: ["ip", "-batch", "-"],
            input: """
                link set lo up
                addr add 192.0.2.100/24 dev eth0
                link set eth0 up
                route add 10.96.0.0/12 via \(Self.nodeAddress)
                """)
        for (index, pod) in pods.enumerated() {
            try node.output(
                of: ["ip", "-batch", "-"],
                input: """
                    link add veth\(index) type veth peer name eth0 netns /proc/self/fd/4
                    addr add \(Self.gateway)/32 dev veth\(index)
                    link set veth\(index) up
                    route add \(Self.podAddress(index)) dev veth\(index)
                    """, others: [pod])
            try pod.output(
                of: ["ip", "-batch", "-"],
                input: """
                    link set lo up
                    addr add \(Self.podAddress(index))/32 dev eth0
                    link set eth0 up
                    route add \(Self.gateway) dev eth0
                    route add default via \(Self.gateway)
                    """)
        }
        try node.output(of: ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    }

    /// A proxy of the node.
    func proxy(_ nodePorts: ProxyConfiguration.NodePortAddresses = .local) throws -> ServiceProxy {
        ServiceProxy(
            configuration: try configuration(nodePorts), socket: try NFTablesSocket(in: node.descriptor),
            on: try EventLoop(name: "proxy-test"))
    }

    func nft(_ words: String...) throws -> String { try node.output(of: ["nft"] + words) }
}

/// Takes `count` connections from whichever of `listeners` get them: the peers' addresses by listener.
func accept(_ count: Int, from listeners: [TestSocket]) throws -> [[String]] {
    var result = listeners.map { _ in [String]() }
    for _ in 0..<count {
        var pollers = listeners.map { pollfd(fd: $0.descriptor.number, events: Int16(POLLIN), revents: 0) }
        guard poll(&pollers, nfds_t(pollers.count), 2000) > 0,
            let index = pollers.firstIndex(where: { $0.revents != 0 })
        else { throw TestFailure("\(result.joined().count) of \(count) connections arrived") }
        result[index].append(try listeners[index].accept().peer)
    }
    return result
}

/// The error number of what must fail.
func errorNumber(_ body: () throws -> Void) -> Int32 {
    do {
        try body()
        return 0
    } catch let error as SystemError {
        return error.errno
    } catch {
        return -1
    }
}
