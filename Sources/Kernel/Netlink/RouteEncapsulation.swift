import CNetlink
import Glibc

/// What a route puts around its packets before they leave through an external tunnel device: `ip route … encap ip` or
/// `encap ip6` (ip-route(8)). The device needs no forwarding entries and no neighbours then.
public struct RouteEncapsulation: Hashable, Sendable, CustomStringConvertible {
    /// The tunnel's number; of a VXLAN the VNI.
    public var id: UInt64
    /// The tunnel's other end; its family decides which of both encapsulations it is.
    public var destination: IPAddress
    /// Of the family of ``destination``; nil: what the routing table says.
    public var source: IPAddress?
    /// Of the outer header; 0: the kernel's default.
    public var ttl: UInt8
    /// Whether the outer UDP header has a checksum. Over IPv6, receivers refuse zero unless told otherwise (RFC 6935).
    public var udpChecksum: Bool

    public init(
        id: UInt64, destination: IPAddress, source: IPAddress? = nil, ttl: UInt8 = 0, udpChecksum: Bool = false
    ) {
        self.id = id
        self.destination = destination
        self.source = source
        self.ttl = ttl
        self.udpChecksum = udpChecksum
    }

    public var description: String {
        let family = if case .v4 = destination { "ip" } else { "ip6" }
        return "encap \(family) id \(id) dst \(destination)"
    }
}

/// Attributes of both families (linux/lwtunnel.h): LWTUNNEL_IP_* and LWTUNNEL_IP6_* have the same numbers.
private enum Number {
    static let id = Int(LWTUNNEL_IP_ID.rawValue)
    static let destination = Int(LWTUNNEL_IP_DST.rawValue)
    static let source = Int(LWTUNNEL_IP_SRC.rawValue)
    static let ttl = Int(LWTUNNEL_IP_TTL.rawValue)
    static let flags = Int(LWTUNNEL_IP_FLAGS.rawValue)
    /// TUNNEL_CSUM (linux/if_tunnel.h), in network byte order there.
    static let checksumFlag: UInt16 = 0x01
}

extension RouteEncapsulation {
    func put(in message: inout MessageWriter) {
        var kind = LWTUNNEL_ENCAP_IP.rawValue
        if case .v6 = destination { kind = LWTUNNEL_ENCAP_IP6.rawValue }
        message.put(Int(RTA_ENCAP_TYPE.rawValue), UInt16(kind))
        message.nest(Int(RTA_ENCAP.rawValue)) {
            $0.put(Number.id, id.bigEndian)
            $0.put(Number.destination, destination)
            if let source { $0.put(Number.source, source) }
            $0.put(Number.ttl, ttl)
            if udpChecksum { $0.put(Number.flags, Number.checksumFlag.bigEndian) }
        }
    }

    /// nil for encapsulations that are not known here.
    init?(type: UInt16, _ attributes: Attributes) {
        guard type == LWTUNNEL_ENCAP_IP.rawValue || type == LWTUNNEL_ENCAP_IP6.rawValue else { return nil }
        var destination: IPAddress?
        var found = RouteEncapsulation(id: 0, destination: .v4(IPv4Address(0)))
        for attribute in attributes {
            switch Int(attribute.type) {
            case Number.id: found.id = attribute.bigEndian() ?? 0
            case Number.destination: destination = attribute.ipAddress
            case Number.source: found.source = attribute.ipAddress.flatMap { $0.isUnspecified ? nil : $0 }
            case Number.ttl: found.ttl = attribute.uint8 ?? 0
            case Number.flags:
                found.udpChecksum = (attribute.bigEndian() ?? 0) & Number.checksumFlag != 0
            default: break
            }
        }
        guard let destination else { return nil }
        found.destination = destination
        self = found
    }
}

extension IPAddress {
    /// 0.0.0.0 or ::
    var isUnspecified: Bool {
        switch self {
        case .v4(let address): address.value == 0
        case .v6(let address): address.high == 0 && address.low == 0
        }
    }
}
