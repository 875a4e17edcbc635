// What a pod's connection costs beside the kernel calls that it is made of: `PodNetworkChurn measure PODS DIRECTORY`, in
// a network namespace of its own.
import Glibc
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport

private struct Cost {
    var cpu = 0.0
    var wall = 0.0
    var samples: [Double] = []

    mutating func measure<Result: ~Copyable>(_ body: () throws -> Result) rethrows -> Result {
        let (start, begin) = (Self.used(), Self.now())
        defer {
            let used = Self.used() - start
            cpu += used
            wall += Self.now() - begin
            samples.append(used)
        }
        return try body()
    }

    /// Microseconds of the calling thread, in user and kernel mode.
    private static func used() -> Double { clock(CLOCK_THREAD_CPUTIME_ID) }
    private static func now() -> Double { clock(CLOCK_MONOTONIC) }
    private static func clock(_ id: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(id, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }

    var median: Double { samples.sorted()[samples.count / 2] }
    var text: String { "\(Int(median)) µs of CPU in the median, \(Int(cpu) / samples.count) in the mean" }
}

/// The pods' namespaces are there before anything is measured.
private struct Place {
    let namespace: TestNamespace
    let socket: TestSocket
    init() throws {
        namespace = try TestNamespace()
        socket = try namespace.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue))
    }
}

func measure(pods: Int, directory: String) throws {
    for (title, networks) in [("IPv4", ["10.42.0.0/16"]), ("IPv4 and IPv6", ["10.42.0.0/16", "fd42::/64"])] {
        let place = directory + "/" + networks.joined(separator: "-").replacing("/", with: "_")
        try measure(title, try networks.map { try unwrap(CIDR($0)) }, pods, place)
    }
    try measureLeases(directory + "/leases-only")
}

private func measure(_ title: String, _ networks: [CIDR], _ pods: Int, _ directory: String) throws {
    var (attach, detach, bare, ports) = (Cost(), Cost(), Cost(), Cost())
    let host = try TestNamespace.current()
    let network = try PodNetwork(
        configuration: PodNetworkConfiguration(podCIDRs: networks), directory: directory, in: host.descriptor)
    var calls = try BareCalls(host, networks)
    // Turn by turn, so that what the machine does besides meets all alike.
    for number in 0..<pods {
        let (one, two, three) = (try Place(), try Place(), try Place())
        // Who comes first finds the caches cold.
        let steps = (0..<3).map { ($0 + number) % 3 }
        func connect(_ place: Place, _ uid: String, _ ports: [HostPort], _ cost: inout Cost) throws {
            let (namespace, socket) = (place.namespace, place.socket)
            _ = try cost.measure {
                try network.attach(
                    uid: uid, name: "default/\(uid)", networkNamespace: namespace.descriptor,
                    routeSocket: socket.descriptor, hostPorts: ports)
            }
        }
        for step in steps {
            switch step {
            case 0: try connect(one, "one-\(number)", [], &attach)
            case 1: try connect(two, "two-\(number)", [HostPort(port: 8080, containerPort: 80)], &ports)
            default: try bare.measure { try calls.attach(number, three.namespace, three.socket) }
            }
        }
        try detach.measure { try network.detach(uid: "one-\(number)") }
        try network.detach(uid: "two-\(number)")
        try calls.detach(number)
    }
    say("\(title):")
    say("  attach                    \(attach.text)")
    say("  attach with a host port   \(ports.text)")
    say("  its kernel calls alone    \(bare.text)")
    say("  added by Swiftlet         \(Int(attach.median - bare.median)) µs")
    say("  detach                    \(detach.text); \(Int(detach.wall) / pods) µs by the clock")
    try PodNetwork.removeEverything(directory: directory + "-none", in: host.descriptor)
    _ = try network.reconcile(live: [])
    _ = consume network
    try PodNetwork.removeEverything(directory: directory, in: host.descriptor)
}

/// What ``PodNetwork`` asks of the kernel for a pod without host ports, with no lease and no book-keeping.
private struct BareCalls: ~Copyable {
    private var routes: RouteSocket
    private let networks: [CIDR]

    init(_ host: TestNamespace, _ networks: [CIDR]) throws {
        routes = try RouteSocket(in: host.descriptor)
        self.networks = networks
    }

    private func name(_ number: Int) -> String { "bare\(number)" }

    mutating func attach(_ number: Int, _ namespace: TestNamespace, _ socket: TestSocket) throws {
        let (mac, gatewayMAC) = (MACAddress(0x0a58_0000_0001), MACAddress(0x0253_4c00_0001))
        let pair = VethPair(
            name: name(number), mac: gatewayMAC, isUp: false, peerName: "eth0", peerMAC: mac,
            peerNamespace: namespace.descriptor.number, mtu: 1500)
        try routes.apply([.createVeth(pair)])
        let link = try unwrap(try routes.link(.name(pair.name)))
        let (end, peer) = (link.index, try unwrap(link.peer))
        var inside: [Change] = [
            .changeLink(.index(1), LinkChange(isUp: true)), .changeLink(.index(peer), LinkChange(isUp: true)),
        ]
        var outside: [Change] = [
            .changeLink(.index(end), LinkChange(addrGenMode: AddressGenerationMode.none)),
            .changeLink(
                .index(end),
                LinkChange(isUp: true, alias: "bare", mtu: 1500, ipv4: [.reversePathFilter: 1, .routeLocalnet: 0])),
        ]
        let origin = RouteProtocol(rawValue: 94)
        for network in networks {
            switch network.address {
            case .v4(let first):
                let address = IPAddress.v4(IPv4Address(first.value + 60_000))
                let gateway = PodNetworkConfiguration.gateway
                inside += [
                    .setNeighbour(Neighbour(link: peer, address: gateway, mac: gatewayMAC)),
                    .setAddress(Address(link: peer, address: address, prefixLength: 32)),
                    .setRoute(Route(to: .everyIPv4, gateway: gateway, isOnLink: true, link: peer, origin: origin)),
                ]
                outside += [
                    .setNeighbour(Neighbour(link: end, address: address, mac: mac)),
                    .setRoute(Route(to: CIDR(address), link: end, origin: origin, scope: .link)),
                ]
            case .v6(let first):
                let address = IPAddress.v6(IPv6Address(high: first.high, low: 60_000))
                let gateway = PodNetworkConfiguration.gatewayIPv6
                inside += [
                    .setRoute(
                        Route(to: CIDR(address), kind: .local, link: peer, table: 255, origin: origin, metric: 1024)),
                    .setNeighbour(Neighbour(link: peer, address: gateway, mac: gatewayMAC)),
                    .setAddress(Address(link: peer, address: address, prefixLength: 128, flags: .noDAD)),
                    .setRoute(Route(to: .everyIPv6, gateway: gateway, isOnLink: true, link: peer, origin: origin)),
                ]
                outside += [
                    .setAddress(Address(link: end, address: gateway, prefixLength: 64, flags: .noDAD)),
                    .setNeighbour(Neighbour(link: end, address: address, mac: mac)),
                    .setRoute(Route(to: CIDR(address), link: end, origin: origin)),
                ]
            }
        }
        var pod = try RouteSocket(owning: try socket.descriptor.duplicate())
        try pod.apply(inside)
        try routes.apply(outside)
    }

    mutating func detach(_ number: Int) throws { try routes.apply([.deleteLink(.name(name(number)))]) }
}

/// What an owner that lives for one request pays for the others' leases.
private func measureLeases(_ directory: String) throws {
    let networks = [try unwrap(CIDR("10.42.0.0/16")), try unwrap(CIDR("fd42::/64"))]
    let configuration = PodNetworkConfiguration(podCIDRs: networks)
    do {
        var leases = try AddressLeases.open(directory, configuration: configuration)
        for number in 0..<250 { _ = try leases.acquire(uid: "pod-\(number)", name: "default/pod-\(number)") }
    }
    var (open, acquire, release, list) = (Cost(), Cost(), Cost(), Cost())
    for _ in 0..<100 {
        _ = try list.measure { try listDirectory(directory + "/leases") }
        var leases = try open.measure { try AddressLeases.open(directory, configuration: configuration) }
        let lease = try acquire.measure { try leases.acquire(uid: "new", name: "default/new") }
        try release.measure { try leases.release(lease) }
    }
    var brief = Cost()
    let host = try TestNamespace.current()
    _ = try PodNetwork(configuration: configuration, directory: directory, in: host.descriptor)
    for _ in 0..<100 {
        _ = try brief.measure {
            try PodNetwork(configuration: configuration, directory: directory, in: host.descriptor, isBrief: true)
        }
    }
    try PodNetwork.removeEverything(directory: directory, in: host.descriptor)
    say("Leases, 250 of them there:")
    say("  open                      \(open.text)")
    say("  (reading the directory    \(list.text))")
    say("  acquire                   \(acquire.text)")
    say("  release                   \(release.text)")
    say("  start of a brief owner    \(brief.text)")
}

private struct Missing: Error {}

private func unwrap<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Missing() }
    return value
}
