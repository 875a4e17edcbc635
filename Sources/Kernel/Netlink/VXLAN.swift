import CNetlink
import Glibc

/// How a VXLAN device is set up (ip-link(8), VXLAN Type Support; RFC 7348).
public struct VXLANSettings: Hashable, Sendable {
    /// The network's number, 1 to 2^24 - 1; 0 with ``isExternal``, where each packet has its own.
    public var vni: UInt32
    /// Source of outer packets; nil: what the routing table says.
    public var local: IPAddress?
    /// Index of the device that outer packets leave through; the MTU of a new device follows from its MTU.
    public var underlay: Int32?
    /// UDP port, here and at the other ends: 4789 is the assigned one, 8472 what Linux used before.
    public var port: UInt16
    /// Whether forwarding entries come from the packets that arrive.
    public var learning: Bool
    /// Number and destination come with each packet, from its route or a program (`external`).
    public var isExternal: Bool
    /// Generic protocol extension: packets without an Ethernet header. Only with ``isExternal``.
    public var isGPE: Bool
    /// Whether outer UDP headers over IPv4 have a checksum.
    public var udpChecksum: Bool
    /// Over IPv6: checksums of zero are sent.
    public var sendsZeroChecksum6: Bool
    /// Over IPv6: checksums of zero are accepted.
    public var acceptsZeroChecksum6: Bool
    /// Of outer headers; 0: the kernel's default.
    public var ttl: UInt8
    /// Whether outer packets may be fragmented on their way.
    public var dontFragment: VXLANDontFragment

    public init(
        vni: UInt32, local: IPAddress? = nil, underlay: Int32? = nil, port: UInt16 = 8472, learning: Bool = false,
        isExternal: Bool = false, isGPE: Bool = false, udpChecksum: Bool = true, sendsZeroChecksum6: Bool = false,
        acceptsZeroChecksum6: Bool = false, ttl: UInt8 = 0, dontFragment: VXLANDontFragment = .unset
    ) {
        self.vni = vni
        self.local = local
        self.underlay = underlay
        self.port = port
        self.learning = learning
        self.isExternal = isExternal
        self.isGPE = isGPE
        self.udpChecksum = udpChecksum
        self.sendsZeroChecksum6 = sendsZeroChecksum6
        self.acceptsZeroChecksum6 = acceptsZeroChecksum6
        self.ttl = ttl
        self.dontFragment = dontFragment
    }
}

/// The don't-fragment bit of outer IPv4 headers (linux/if_link.h, VXLAN_DF_*).
public enum VXLANDontFragment: UInt8, Hashable, Sendable {
    case unset, set
    /// As the inner packet has it.
    case inherit
}

extension VXLANSettings {
    func put(in message: inout MessageWriter) {
        if vni != 0 || !isExternal { message.put(IFLA_VXLAN_ID, vni) }
        switch local {
        case .some(.v4(let address)): message.put(IFLA_VXLAN_LOCAL, .v4(address))
        case .some(.v6(let address)): message.put(IFLA_VXLAN_LOCAL6, .v6(address))
        case nil: break
        }
        if let underlay { message.put(IFLA_VXLAN_LINK, underlay) }
        message.put(IFLA_VXLAN_PORT, port.bigEndian)
        message.put(IFLA_VXLAN_LEARNING, learning)
        if isExternal { message.put(IFLA_VXLAN_COLLECT_METADATA, true) }
        if isGPE { message.putFlag(IFLA_VXLAN_GPE) }
        message.put(IFLA_VXLAN_UDP_CSUM, udpChecksum)
        message.put(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, sendsZeroChecksum6)
        message.put(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, acceptsZeroChecksum6)
        if ttl != 0 { message.put(IFLA_VXLAN_TTL, ttl) }
        if dontFragment != .unset { message.put(IFLA_VXLAN_DF, dontFragment.rawValue) }
    }

    init(_ attributes: Attributes) {
        self.init(vni: 0, port: 0)
        for attribute in attributes {
            switch Int(attribute.type) {
            case IFLA_VXLAN_ID: vni = attribute.uint32 ?? 0
            case IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6: local = attribute.ipAddress
            case IFLA_VXLAN_LINK: underlay = attribute.number()
            case IFLA_VXLAN_PORT: port = attribute.bigEndian() ?? 0
            case IFLA_VXLAN_LEARNING: learning = attribute.isTrue
            case IFLA_VXLAN_COLLECT_METADATA: isExternal = attribute.isTrue
            case IFLA_VXLAN_GPE: isGPE = true
            case IFLA_VXLAN_UDP_CSUM: udpChecksum = attribute.isTrue
            case IFLA_VXLAN_UDP_ZERO_CSUM6_TX: sendsZeroChecksum6 = attribute.isTrue
            case IFLA_VXLAN_UDP_ZERO_CSUM6_RX: acceptsZeroChecksum6 = attribute.isTrue
            case IFLA_VXLAN_TTL: ttl = attribute.uint8 ?? 0
            case IFLA_VXLAN_DF: dontFragment = attribute.uint8.flatMap(VXLANDontFragment.init) ?? .unset
            default: break
            }
        }
    }
}
