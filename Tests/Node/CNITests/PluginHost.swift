import Glibc
import Linux
import TestSupport

@testable import CNI

/// A host for plugins, made on a thread of its own: an uplink (192.0.2.1) to `outside` (192.0.2.2), which knows nothing of
/// pods, and a directory.
final class PluginHost {
    static let address = "192.0.2.1"
    static let outsideAddress = "192.0.2.2"

    /// The host's own namespace.
    let namespace: TestNamespace
    let outside: TestNamespace
    let directory: String

    /// Runs `body` with a host; what it expects it throws (``require(_:_:line:)``).
    static func with(_ body: @escaping @Sendable (PluginHost) throws -> Void) async throws {
        try await inHostNamespaces { try body(try PluginHost()) }
    }

    private init() throws {
        namespace = try TestNamespace.current()
        outside = try TestNamespace()
        directory = try makeTemporaryDirectory()
        let script = """
            ip link add up0 type veth peer name out0 netns /proc/self/fd/4
            ip address add \(Self.address)/24 dev up0
            ip link set up0 up
            nsenter --net=/proc/self/fd/4 ip address add \(Self.outsideAddress)/24 dev out0
            nsenter --net=/proc/self/fd/4 ip link set out0 up
            ip route add default via \(Self.outsideAddress)
            """
        try shell(script, others: [outside])
    }

    deinit { try? removeTree(directory) }

    /// Runs lines of shell on the host; what they print.
    @discardableResult
    func shell(_ script: String, others: [TestNamespace] = []) throws -> String {
        try namespace.output(of: ["/bin/bash", "-euo", "pipefail", "-c", script], others: others)
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        let path = "\(directory)/\(name)"
        try makeDirectories(parentDirectory(of: path))
        try writeFileAtomically(path, Array(text.utf8), mode: mode)
    }

    /// A network whose configuration is `list`, with the plugins of `pluginDirectories`.
    func network(_ list: String, pluginDirectories: [String] = ["/usr/lib/cni"]) throws -> CNINetwork {
        try write("net.d/10-test.conflist", list)
        var configuration = CNINetwork.Configuration(
            directory: "\(directory)/cni", namespaceDirectory: "/run/swiftlet/netns")
        configuration.configurationDirectory = "\(directory)/net.d"
        configuration.pluginDirectories = pluginDirectories
        return CNINetwork(configuration)
    }
}

/// What is expected on a thread that belongs to no test is thrown.
func require(_ condition: Bool, _ what: @autoclosure () -> String = "", line: Int = #line) throws {
    if !condition { throw TestFailure("line \(line): \(what())") }
}

func requireEqual<Value: Equatable>(_ left: Value, _ right: Value, _ what: String = "", line: Int = #line) throws {
    if left != right { throw TestFailure("line \(line): \(left) is not \(right) \(what)") }
}

/// The error of `body` in words.
func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

/// Has `client` talk TCP to the address, which leads to a listener in `server`; what the listener saw as its peer.
/// Each call needs a port of its own: a child that is being started elsewhere holds the listener for a moment more.
func peerSeen(
    from client: TestNamespace, to address: String, _ port: UInt16, at server: TestNamespace, _ serverPort: UInt16
) throws -> String {
    let listener = try server.listen(on: "0.0.0.0", port: serverPort)
    let out = try client.connect(to: address, port: port)
    let (connection, peer) = try listener.accept()
    try out.send("ping")
    try requireEqual(try connection.receive().text, "ping")
    try connection.send("pong")
    try requireEqual(try out.receive().text, "pong")
    return peer
}
