// Where the fields of expressions lie in packets, what nft calls them, and the numbers under which nft stores them
// beside sets declared with `typeof` (proto_desc_id and header field numbers of nft's include/proto.h; stored, hence
// fixed).
import CNFTables

extension PayloadField {
    struct Layout {
        let text: String
        /// NFT_PAYLOAD_*_HEADER
        let base: UInt32
        let offset: UInt32
        let type: DataType
        /// nft's number of the protocol (PROTO_DESC_*) and of the field in it.
        let protocolNumber: UInt32
        let fieldNumber: UInt32
    }

    static let linkHeader = UInt32(NFT_PAYLOAD_LL_HEADER.rawValue)
    static let networkHeader = UInt32(NFT_PAYLOAD_NETWORK_HEADER.rawValue)
    static let transportHeader = UInt32(NFT_PAYLOAD_TRANSPORT_HEADER.rawValue)

    var layout: Layout {
        switch self {
        case .ipSource: Self.network("ip saddr", 12, .ipv4Address, 12, 11)
        case .ipDestination: Self.network("ip daddr", 16, .ipv4Address, 12, 12)
        case .ip6Source: Self.network("ip6 saddr", 8, .ipv6Address, 13, 8)
        case .ip6Destination: Self.network("ip6 daddr", 24, .ipv6Address, 13, 9)
        case .transportSource: Self.port("th sport", 0, 11, 1)
        case .transportDestination: Self.port("th dport", 2, 11, 2)
        case .tcpSource: Self.port("tcp sport", 0, 8, 1)
        case .tcpDestination: Self.port("tcp dport", 2, 8, 2)
        case .udpSource: Self.port("udp sport", 0, 6, 1)
        case .udpDestination: Self.port("udp dport", 2, 6, 2)
        case .sctpSource: Self.port("sctp sport", 0, 10, 1)
        case .sctpDestination: Self.port("sctp dport", 2, 10, 2)
        case .etherSource: Self.frame("ether saddr", 6, .etherAddress, 2)
        case .etherType: Self.frame("ether type", 12, .etherType, 3)
        case .arpSourceAddress: Self.network("arp saddr ip", 14, .ipv4Address, 15, 8)
        }
    }

    private static func frame(_ text: String, _ offset: UInt32, _ type: DataType, _ field: UInt32) -> Layout {
        Layout(text: text, base: linkHeader, offset: offset, type: type, protocolNumber: 17, fieldNumber: field)
    }

    private static func network(
        _ text: String, _ offset: UInt32, _ type: DataType, _ description: UInt32, _ field: UInt32
    ) -> Layout {
        Layout(
            text: text, base: networkHeader, offset: offset, type: type, protocolNumber: description,
            fieldNumber: field)
    }

    private static func port(_ text: String, _ offset: UInt32, _ description: UInt32, _ field: UInt32) -> Layout {
        Layout(
            text: text, base: transportHeader, offset: offset, type: .inetService, protocolNumber: description,
            fieldNumber: field)
    }

    /// The transport protocol that a packet must have for this field to exist: what nft adds as a match of its own.
    var transportDependency: TransportProtocol? {
        switch self {
        case .tcpSource, .tcpDestination: .tcp
        case .udpSource, .udpDestination: .udp
        case .sctpSource, .sctpDestination: .sctp
        default: nil
        }
    }

    /// The family that a packet of an `inet` or `bridge` table must have for this field to exist.
    var familyDependency: Family? {
        switch self {
        case .ipSource, .ipDestination: .ipv4
        case .ip6Source, .ip6Destination: .ipv6
        case .arpSourceAddress: .arp
        default: nil
        }
    }

    /// The field at `offset` of the header `base` in a packet known to have the given protocols.
    static func at(base: UInt32, offset: UInt32, family: Family?, transport: TransportProtocol?) -> PayloadField? {
        allCases.first { field in
            let layout = field.layout
            guard layout.base == base, layout.offset == offset else { return false }
            if base == linkHeader { return true }
            if base == networkHeader { return field.familyDependency == family }
            return field.transportDependency == transport
        }
    }
}

extension MetaKey {
    var type: DataType {
        switch self {
        case .protocolType: .etherType
        case .mark: .mark
        case .inputInterface, .outputInterface: .interfaceIndex
        case .inputInterfaceName, .outputInterfaceName: .interfaceName
        case .nfproto: .nfproto
        case .transportProtocol: .inetProtocol
        }
    }

    /// nft prints interface keys without `meta`.
    var text: String {
        switch self {
        case .protocolType: "meta protocol"
        case .mark: "meta mark"
        case .inputInterface: "iif"
        case .outputInterface: "oif"
        case .inputInterfaceName: "iifname"
        case .outputInterfaceName: "oifname"
        case .nfproto: "meta nfproto"
        case .transportProtocol: "meta l4proto"
        }
    }
}

extension ConntrackKey {
    var type: DataType {
        switch self {
        case .state: .conntrackState
        case .direction: .conntrackDirection
        case .status: .conntrackStatus
        case .mark: .mark
        }
    }

    var text: String {
        switch self {
        case .state: "ct state"
        case .direction: "ct direction"
        case .status: "ct status"
        case .mark: "ct mark"
        }
    }
}
