// Services that tests share, and randomness that repeats.
import NFTables
import Netlink
import Testing

@testable import ServiceProxy

func address(_ text: String) throws -> IPv4Address { try #require(IPv4Address(text), "\(text)") }

func network(_ text: String) throws -> IPv4Network {
    let network: IPv4Network? = IPv4Network(text)
    return try #require(network, "\(text)")
}

func configuration(
    _ nodePortAddresses: ProxyConfiguration.NodePortAddresses = .local
) throws -> ProxyConfiguration {
    ProxyConfiguration(
        serviceNetwork: try network("10.96.0.0/12"),
        masquerading: .fromOutside(of: try network("10.244.0.0/16")),
        nodePortAddresses: nodePortAddresses)
}

func service(
    _ name: String, port: String = "http", _ transport: TransportProtocol = .tcp, at clusterIPs: [String],
    _ number: UInt16, nodePort: UInt16? = nil, to endpoints: [(String, UInt16)]
) throws -> ServicePortRule {
    ServicePortRule(
        ServicePortID(namespace: "default", name: name, port: port, transport: transport),
        clusterIPs: try clusterIPs.map(address), port: number, nodePort: nodePort,
        endpoints: try endpoints.map { .init(try address($0.0), $0.1) })
}

/// A web Service with a NodePort, a name server over UDP, a Service that nobody answers for, and a headless one.
func sampleServices() throws -> [ServicePortRule] {
    [
        try service(
            "web", at: ["10.96.0.10"], 80, nodePort: 30080,
            to: [("10.244.0.3", 8080), ("10.244.0.4", 8080), ("10.244.0.5", 8080)]),
        try service(
            "dns", port: "dns", .udp, at: ["10.96.0.53"], 53, to: [("10.244.0.7", 5353), ("10.244.0.8", 5353)]),
        try service("empty", port: "80", at: ["10.96.0.11"], 80, nodePort: 30081, to: []),
        try service("headless", at: [], 80, to: [("10.244.0.3", 8080)]),
    ]
}

/// SplitMix64: the same numbers for the same seed.
struct Dice: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
