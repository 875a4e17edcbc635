// Hosts of a test: namespaces joined by a switch, which is a bridge in a namespace of its own.
import CLinux
import Glibc
import Linux
import NFTables
import Netlink
import TestSupport
import Testing

@testable import Overlay

/// A switch and the hosts at it, numbered from 1: 192.0.2.N, 2001:db8::N, pods in 10.42.N.0/24 and fd42:0:0:N::/64.
final class TestFabric: @unchecked Sendable {  // One test has it, and waits for what it starts.
    let bridge: TestNamespace
    private(set) var hosts: [TestHost] = []

    init(hosts count: Int, mtu: Int = 1500) throws {
        bridge = try TestNamespace()
        try bridge.output(
            of: [
                "ip", "link", "add", "br0", "mtu", "\(mtu)", "type", "bridge", "forward_delay", "0", "mcast_snooping",
                "0",
            ])
        try bridge.output(of: ["ip", "link", "set", "br0", "up"])
        for number in 1...count { hosts.append(try TestHost(number, bridge, mtu: mtu)) }
    }

    subscript(number: Int) -> TestHost { hosts[number - 1] }

    /// The leases of all hosts.
    var leases: [NodeLease] { hosts.map(\.lease) }
}

/// A host, its overlay, and a pod's address on `lo`.
final class TestHost: @unchecked Sendable {  // One test has it, and waits for what it starts.
    let number: Int
    let namespace: TestNamespace
    var lease: NodeLease
    let loop: EventLoop
    private(set) var overlay: Overlay?

    init(_ number: Int, _ bridge: TestNamespace, mtu: Int) throws {
        self.number = number
        namespace = try TestNamespace()
        loop = try EventLoop(name: "test-\(number)")
        lease = NodeLease(
            name: "node-\(number)", publicIPv4: IPv4Address("192.0.2.\(number)"),
            podCIDRs: [try #require(CIDR("10.42.\(number).0/24"))])
        try run("ip link set lo up")
        try connect(to: bridge, as: "host\(number)", mtu: mtu)
        try run("ip address add \(pod)/32 dev lo")
        try run("ip address add \(pod6)/128 dev lo nodad")
    }

    deinit {
        overlay?.stop()
        loop.stop()
    }

    /// Gives the host an interface at the switch, with its addresses.
    func connect(to bridge: TestNamespace, as port: String, mtu: Int = 1500) throws {
        try bridge.output(
            of: [
                "ip", "link", "add", port, "mtu", "\(mtu)", "master", "br0", "up", "type", "veth", "peer", "name",
                "eth0",
                "mtu", "\(mtu)", "netns", "/proc/self/fd/4",
            ], others: [namespace])
        try run("ip link set eth0 up")
        try run("ip address add 192.0.2.\(number)/24 dev eth0")
        try run("ip address add 2001:db8::\(number)/64 dev eth0 nodad")
    }

    func stop() throws {
        overlay?.stop()
        overlay = nil
    }

    func mac(_ link: String) throws -> MACAddress {
        var socket = try routes()
        return try #require(try socket.link(.name(link))?.mac)
    }

    /// The overlay goes on answering, but puts nothing back.
    func stopRepairing() throws { overlay?.stop() }

    func linkIndex(_ name: String) throws -> Int32? {
        var socket = try routes()
        return try socket.link(.name(name))?.index
    }

    /// Addresses of a pod.
    var pod: String { "10.42.\(number).2" }
    var pod6: String { "fd42:0:0:\(number)::2" }

    /// Has IPv6 too, for pods and, unless told otherwise, for itself.
    func makeDualStack(publicly: Bool = true) throws {
        if publicly { lease.publicIPv6 = IPv6Address("2001:db8::\(number)") }
        lease.podCIDRs.append(try #require(CIDR("fd42:0:0:\(number)::/64")))
    }

    @discardableResult
    func run(_ command: String) throws -> String {
        try namespace.output(of: command.split(separator: " ").map(String.init))
    }

    /// Starts an overlay, as if the one before had been killed.
    @discardableResult
    func start(
        _ backend: OverlayBackend = .vxlan, _ change: (inout OverlayConfiguration) -> Void = { _ in }
    ) throws -> Overlay {
        overlay?.stop()
        var configuration = OverlayConfiguration(nodeName: lease.name, backend: backend)
        change(&configuration)
        let new = try Overlay(configuration: configuration, in: namespace.descriptor, eventLoop: loop)
        overlay = new
        return new
    }

    func update(_ leases: [NodeLease]) async throws { await (try #require(overlay)).update(leases) }

    var state: OverlayState { get throws { try #require(overlay).state } }

    /// What the overlay says is wrong.
    var problems: [String] { get throws { try state.problems.map(\.description) } }

    func requireNoProblems() throws {
        let problems = try problems
        guard problems.isEmpty else { throw TestFailure("problems: \(problems)") }
    }

    func routes() throws -> RouteSocket { try RouteSocket(in: namespace.descriptor) }

    /// What the overlay and others made, in words: to see whether anything was left or changed.
    func census() throws -> Set<String> {
        var socket = try routes()
        var nftables = try NFTablesSocket(in: namespace.descriptor)
        var result: Set<String> = []
        for link in try socket.links() {
            result.insert(
                "link \(link.name) \(link.mac?.description ?? "") \(link.mtu) \(link.isUp) \(link.alias ?? "")")
            for address in try socket.addresses(of: link.index) where address.link == link.index {
                result.insert("address \(address.address)/\(address.prefixLength) \(link.name)")
            }
            for route in try socket.routes(of: link.index) where route.table == 254 {
                result.insert("route \(route.destination) \(route.gateway?.description ?? "") \(link.name)")
            }
            for neighbour in try socket.neighbours(of: link.index) where neighbour.isSetByHand {
                result.insert("neighbour \(neighbour.address) \(neighbour.mac?.description ?? "") \(link.name)")
            }
            for entry in try socket.forwardingEntries(of: link.index) {
                result.insert("forwarding \(entry.mac) \(entry.destination) \(link.name)")
            }
        }
        for table in try nftables.tableNames() { result.insert("table \(table)") }
        return result
    }
}

/// Holds an event loop's thread until it is opened.
final class Gate: Sendable {
    private let event: OwnedDescriptor

    /// Returns when the thread is held.
    init(_ loop: EventLoop) async throws {
        event = OwnedDescriptor(owning: try check(eventfd(0, Int32(EFD_CLOEXEC)), "eventfd"))
        await withCheckedContinuation { held in
            Task { [self] in await Holder(loop).hold(event, held) }
        }
    }

    func open() {
        var one: UInt64 = 1
        _ = write(event.number, &one, 8)
    }

    private actor Holder {
        let loop: EventLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        init(_ loop: EventLoop) { self.loop = loop }
        func hold(_ event: borrowing OwnedDescriptor, _ held: CheckedContinuation<Void, Never>) {
            held.resume()
            var value: UInt64 = 0
            _ = read(event.number, &value, 8)
        }
    }
}

/// Asks `condition` until it throws nothing, on a thread of its own: the tests' own threads may be busy for seconds.
func reached(within seconds: Double, _ condition: @escaping @Sendable () throws -> Void) async throws {
    try await blocking {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            do { return try condition() } catch { if ContinuousClock.now > end { throw error } }
            usleep(5000)
        }
    }
}

extension TestHost {
    /// Waits until the host is as `before`.
    func isBack(to before: Set<String>, within seconds: Double = 3) async throws {
        try await reached(within: seconds) {
            let now = try self.census()
            let (missing, added) = (before.subtracting(now), now.subtracting(before))
            guard missing.isEmpty && added.isEmpty else {
                throw TestFailure("missing \(missing.sorted()), added \(added.sorted())")
            }
        }
    }

    /// Waits until the host has `entry`, or has it no more.
    func shows(_ entry: String, _ isThere: Bool = true, within seconds: Double = 3) async throws {
        try await reached(within: seconds) {
            let census = try self.census()
            guard census.contains(entry) == isThere else {
                throw TestFailure("\(entry) is \(isThere ? "not " : "")among \(census.sorted())")
            }
        }
    }

    /// Sends a datagram of `size` bytes from one address to the other and back; whom the receiver saw.
    static func exchange(
        _ from: TestHost, _ source: String, _ to: TestHost, _ destination: String, size: Int = 100, tcp: Bool = false
    ) throws -> String {
        // Datagrams are lost where many tests keep the kernel's queues full.
        for _ in 0..<2 {
            if let seen = try? exchangeOnce(from, source, to, destination, size: size, tcp: tcp) { return seen }
        }
        return try exchangeOnce(from, source, to, destination, size: size, tcp: tcp)
    }

    private static func exchangeOnce(
        _ from: TestHost, _ source: String, _ to: TestHost, _ destination: String, size: Int, tcp: Bool
    ) throws -> String {
        let server = try Endpoint(to.namespace, destination, tcp: tcp)
        let client = try Endpoint(from.namespace, source, tcp: tcp)
        return try client.exchange(with: server, size: size)
    }

    /// The same between pods, in both directions.
    static func talk(_ one: TestHost, _ other: TestHost, v6: Bool = false, size: Int = 100, tcp: Bool = false) throws {
        for (from, to) in [(one, other), (other, one)] {
            let (source, destination) = v6 ? (from.pod6, to.pod6) : (from.pod, to.pod)
            let seen = try exchange(from, source, to, destination, size: size, tcp: tcp)
            try #require(seen == source, "\(destination) saw \(seen) instead of \(source)")
        }
    }
}

/// A bound socket of either family whose calls give up after two seconds.
private final class Endpoint {
    let socket: OwnedDescriptor
    let address: String
    let isTCP: Bool

    init(_ namespace: TestNamespace, _ address: String, tcp: Bool) throws {
        self.address = address
        isTCP = tcp
        let family = address.contains(":") ? AF_INET6 : AF_INET
        let kind = Int32((tcp ? SOCK_STREAM : SOCK_DGRAM).rawValue)
        socket = OwnedDescriptor(
            owning: try check(cl_socket_in_netns(namespace.descriptor.number, family, kind, 0), "socket"))
        try Self.limit(socket)
        try Self.with(address, 0) { try check(bind(socket.number, $0, $1), "bind", address) }
    }

    private static func limit(_ socket: borrowing OwnedDescriptor) throws {
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            try check(
                setsockopt(socket.number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size)),
                "setsockopt")
        }
    }

    private var port: UInt16 {
        get throws {
            var storage = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            try withUnsafeMutablePointer(to: &storage) {
                try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = try check(getsockname(socket.number, $0, &size), "getsockname")
                }
            }
            return withUnsafeBytes(of: storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
        }
    }

    func exchange(with server: Endpoint, size: Int) throws -> String {
        let bytes = [UInt8](repeating: 0x2a, count: size)
        if isTCP { try check(listen(server.socket.number, 1), "listen") }
        try Self.with(server.address, try server.port) {
            try check(connect(socket.number, $0, $1), "connect", server.address)
        }
        var peer = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard !isTCP else {
            let number = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(server.socket.number, $0, &length) }
            }
            let accepted = OwnedDescriptor(owning: try check(number, "accept"))
            try Self.limit(accepted)
            try Self.pass(bytes, from: socket, to: accepted)
            try Self.pass(bytes, from: accepted, to: socket)
            return Self.text(peer)
        }
        try check(send(socket.number, bytes, size, 0), "send")
        var buffer = [UInt8](repeating: 0, count: size + 1)
        let count = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(server.socket.number, &buffer, buffer.count, 0, $0, &length)
            }
        }
        try check(count, "recvfrom")
        guard count == size else { throw TestFailure("\(count) of \(size) bytes arrived") }
        let sent = withUnsafePointer(to: peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(server.socket.number, bytes, size, 0, $0, length)
            }
        }
        try check(sent, "sendto")
        guard try check(recv(socket.number, &buffer, buffer.count, 0), "recv", "the answer") == size else {
            throw TestFailure("the answer is not whole")
        }
        return Self.text(peer)
    }

    /// All of `bytes` through a stream, whose buffers hold less than that.
    private static func pass(
        _ bytes: [UInt8], from: borrowing OwnedDescriptor, to: borrowing OwnedDescriptor
    ) throws {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var (sent, received) = (0, 0)
        while received < bytes.count {
            if sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    send(
                        from.number, $0.baseAddress.map { $0 + sent }, bytes.count - sent,
                        Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
                }
                if count < 0, errno != EAGAIN { throw SystemError("send", "stream") }
                sent += max(count, 0)
            }
            let flags = sent < bytes.count ? Int32(MSG_DONTWAIT) : 0
            let count = recv(to.number, &buffer, buffer.count, flags)
            if count < 0, errno == EAGAIN, flags != 0 { continue }
            received += try check(count, "recv", "stream")
            if count == 0 { throw TestFailure("the stream ended after \(received) bytes") }
        }
    }

    private static func text(_ address: sockaddr_storage) -> String {
        withUnsafeBytes(of: address) { bytes in
            let range = address.ss_family == sa_family_t(AF_INET) ? 4..<8 : 8..<24
            return IPAddress(bytes: Array(bytes[range]))?.description ?? "?"
        }
    }

    private static func with(
        _ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Void
    ) throws {
        var storage = sockaddr_storage()
        guard let address = IPAddress(text) else { throw TestFailure("\(text) is no address") }
        let isV6 = address.bitWidth == 128
        storage.ss_family = sa_family_t(isV6 ? AF_INET6 : AF_INET)
        withUnsafeMutableBytes(of: &storage) { bytes in
            (bytes[2], bytes[3]) = (UInt8(port >> 8), UInt8(port & 255))
            for (index, byte) in address.bytes.enumerated() { bytes[(isV6 ? 8 : 4) + index] = byte }
        }
        try withUnsafePointer(to: &storage) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(isV6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
