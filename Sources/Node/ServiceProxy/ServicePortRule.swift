// What the proxy is asked to serve, in its own words: it knows neither Services nor pods, whoever watches them tells
// it.
import NFTables
import Netlink

/// One port of one Service and where its connections may go.
public struct ServicePortRule: Sendable, Hashable {
    /// A place where a connection may go.
    public struct Endpoint: Sendable, Hashable {
        public var address: IPv4Address
        public var port: UInt16
        /// Endpoints that are not ready get no connection.
        public var isReady: Bool
        /// Whether it runs on this node: then it may call its own Service and be given to itself.
        public var isLocal: Bool

        public init(_ address: IPv4Address, _ port: UInt16, isReady: Bool = true, isLocal: Bool = true) {
            (self.address, self.port, self.isReady, self.isLocal) = (address, port, isReady, isLocal)
        }
    }

    public var id: ServicePortID
    /// Empty for a headless Service, which has no rules.
    public var clusterIPs: [IPv4Address]
    public var port: UInt16
    /// The port on the node's own addresses.
    public var nodePort: UInt16?
    public var endpoints: [Endpoint]

    public init(
        _ id: ServicePortID, clusterIPs: [IPv4Address], port: UInt16, nodePort: UInt16? = nil,
        endpoints: [Endpoint]
    ) {
        (self.id, self.clusterIPs, self.port) = (id, clusterIPs, port)
        (self.nodePort, self.endpoints) = (nodePort, endpoints)
    }
}

/// The identity of a Service's port.
public struct ServicePortID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var namespace: String
    public var name: String
    /// The port's name, or its number where it has none.
    public var port: String
    public var transport: TransportProtocol

    public init(namespace: String, name: String, port: String, transport: TransportProtocol) {
        (self.namespace, self.name, self.port, self.transport) = (namespace, name, port, transport)
    }

    /// `default/web:http/tcp`
    public var description: String { "\(namespace)/\(name):\(port)/\(transport.name)" }

    /// The comment on elements: `default/web:http`. nft reads comments of at most 128 bytes back; two names of 63 bytes
    /// leave no room for the port, which is then left out.
    var comment: String {
        let whole = "\(namespace)/\(name):\(port)"
        return whole.utf8.count <= 127 ? whole : service
    }

    /// `default/web`
    var service: String { "\(namespace)/\(name)" }

    public static func < (left: Self, right: Self) -> Bool {
        (left.namespace, left.name, left.port, left.transport.rawValue)
            < (right.namespace, right.name, right.port, right.transport.rawValue)
    }
}

/// What a packet is addressed to when it asks for a Service.
public enum Frontend: Sendable, Hashable, Comparable {
    case cluster(IPv4Address, TransportProtocol, UInt16)
    /// A port of the node's own addresses.
    case node(TransportProtocol, UInt16)

    private var order: (UInt8, UInt32, UInt8, UInt16) {
        switch self {
        case .cluster(let address, let transport, let port): (0, address.value, transport.rawValue, port)
        case .node(let transport, let port): (1, 0, transport.rawValue, port)
        }
    }

    public static func < (left: Self, right: Self) -> Bool { left.order < right.order }
}

extension Frontend: CustomStringConvertible {
    /// `10.96.0.1:80/tcp`, or `*:30080/tcp` for a port of the node.
    public var description: String {
        switch self {
        case .cluster(let address, let transport, let port): "\(address):\(port)/\(transport.name)"
        case .node(let transport, let port): "*:\(port)/\(transport.name)"
        }
    }
}

/// Where the rules send a connection: an endpoint without what it is to the proxy.
public struct Backend: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var address: IPv4Address
    public var port: UInt16

    public init(_ address: IPv4Address, _ port: UInt16) { (self.address, self.port) = (address, port) }

    /// `10.244.0.3:8080`
    public var description: String { "\(address):\(port)" }

    public static func < (left: Self, right: Self) -> Bool {
        (left.address.value, left.port) < (right.address.value, right.port)
    }
}
