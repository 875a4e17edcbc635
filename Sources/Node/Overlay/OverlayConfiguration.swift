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
        let isSecond = underlay == .v6 && backend != .tunnel
        let name = (isSecond ? "swiftlet6." : "swiftlet.") + "\(vni)"
        return name.utf8.count <= 15 ? name : (isSecond ? "sl6." : "sl.") + "\(vni)"
    }

    /// Whether `name` is one that this module gives to devices, whatever the VNI.
    static func isDeviceName(_ name: String) -> Bool {
        for prefix in ["swiftlet.", "swiftlet6.", "sl.", "sl6."] where name.hasPrefix(prefix) {
            let digits = name.dropFirst(prefix.count)
            if let vni = UInt32(digits), (1..<1 << 24).contains(vni), "\(vni)" == digits { return true }
        }
        return false
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
