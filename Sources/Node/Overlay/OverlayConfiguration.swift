import Netlink

/// How packets between pods of different nodes travel.
public enum OverlayBackend: String, Sendable, Hashable, CaseIterable {
    /// In VXLAN, as flannel does it: one device, and per node a neighbour, a forwarding entry and a route.
    case vxlan
    /// As they are to nodes on the same link, in VXLAN to others.
    case vxlanDirect = "vxlan-direct"
    /// As they are, by a route to each node; all nodes must be on one link.
    case hostGateway = "host-gw"
    /// In VXLAN without Ethernet headers (GPE), by one route per node and nothing else. All nodes must use it.
    case tunnel
    /// Not by us: somebody else routes between pod networks.
    case none

    /// Whether there is a device that encapsulates.
    public var encapsulates: Bool { self == .vxlan || self == .vxlanDirect || self == .tunnel }
}

/// What this node is told about the overlay, beside the leases.
public struct OverlayConfiguration: Sendable, Hashable {
    /// Which of the leases is this node's own.
    public var nodeName: String
    public var backend: OverlayBackend
    /// The VXLAN network's number, 1 to 2^24 - 1; the same on all nodes.
    public var vni: UInt32
    /// UDP port of encapsulated packets, 1 to 65535; the same on all nodes. 8472 is flannel's, 4789 the assigned one.
    public var port: UInt16
    /// The interface that encapsulated packets leave through; nil: the one that has the node's public address.
    public var interface: String?
    /// The most that a pod's packet may have in bytes, 576 to 65535; nil: as many as the underlay carries.
    public var mtu: UInt32?

    public init(
        nodeName: String, backend: OverlayBackend = .vxlan, vni: UInt32 = 1, port: UInt16 = 8472,
        interface: String? = nil, mtu: UInt32? = nil
    ) {
        self.nodeName = nodeName
        self.backend = backend
        self.vni = vni
        self.port = port
        self.interface = interface
        self.mtu = mtu
    }

    /// What routes of this module carry as their protocol number (PodNetwork has 94).
    public static let routeProtocol = RouteProtocol(rawValue: 95)
    /// What is written on every device of this module.
    public static let alias = "swiftlet overlay"

    func validate() throws(OverlayError) {
        guard (1..<1 << 24).contains(vni) else { throw .invalidConfiguration("VNI \(vni): need 1 to 16777215") }
        guard port > 0 else { throw .invalidConfiguration("port 0: need 1 to 65535") }
        if let mtu, !(576...65535).contains(mtu) {
            throw .invalidConfiguration("MTU \(mtu): need 576 to 65535")
        }
    }

    /// The device that encapsulates into packets of `underlay`. A tunnel has one for both.
    func deviceName(_ underlay: IPFamily) -> String {
        Self.deviceName(backend == .tunnel ? .v4 : underlay, vni: vni)
    }

    /// `swiftlet.1`, `swiftlet6.1`; where that is longer than 15 bytes, with the VNI in hexadecimal digits:
    /// `swiftle4.f4240`, `swiftle6.186a0`.
    private static func deviceName(_ underlay: IPFamily, vni: UInt32) -> String {
        let name = (underlay == .v6 ? "swiftlet6." : "swiftlet.") + "\(vni)"
        return name.utf8.count <= 15 ? name : "swiftle\(underlay.rawValue)." + String(vni, radix: 16)
    }

    /// Whether `name` is one that this module gives to a device of `vni`; nil: of any.
    static func isDeviceName(_ name: String, vni: UInt32?) -> Bool {
        guard let dot = name.firstIndex(of: ".") else { return false }
        let number = name[name.index(after: dot)...]
        guard let found = UInt32(number, radix: name.hasPrefix("swiftlet") ? 10 : 16), vni ?? found == found,
            (1..<1 << 24).contains(found)
        else { return false }
        return IPFamily.allCases.contains { deviceName($0, vni: found) == name }
    }

    /// Bytes that encapsulation adds to a pod's packet: outer IP header (20 or 40), UDP (8), VXLAN (8), and the inner
    /// Ethernet header (14) where there is one.
    func overhead(_ underlay: IPFamily) -> UInt32 {
        let outer: UInt32 = underlay == .v4 ? 20 : 40
        return switch backend {
        case .vxlan, .vxlanDirect: outer + 8 + 8 + 14
        case .tunnel: outer + 8 + 8
        case .hostGateway, .none: 0
        }
    }
}
