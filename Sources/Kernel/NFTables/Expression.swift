// Rules in the words of nft's language: expressions give values, statements act on them.

/// A field of a packet's headers.
public enum PayloadField: Sendable, Hashable, CaseIterable {
    case ipSource, ipDestination
    case ip6Source, ip6Destination
    /// Ports of whatever transport protocol the packet has (`th`); unlike `tcp dport` it asks for no protocol.
    case transportSource, transportDestination
    case tcpSource, tcpDestination
    case udpSource, udpDestination
    case sctpSource, sctpDestination
    /// Of the Ethernet frame; for tables of the family bridge.
    case etherSource, etherType
    /// Who an ARP packet says it is from.
    case arpSourceAddress
}

/// What the kernel knows of a packet besides its bytes; raw values are NFT_META_*.
public enum MetaKey: UInt32, Sendable, Hashable, CaseIterable {
    /// The frame's type (ETH_P_*).
    case protocolType = 1
    case mark = 3
    case inputInterface = 4
    case outputInterface = 5
    case inputInterfaceName = 6
    case outputInterfaceName = 7
    case nfproto = 15
    case transportProtocol = 16
}

/// What connection tracking knows; raw values are NFT_CT_*.
public enum ConntrackKey: UInt32, Sendable, Hashable, CaseIterable {
    case state = 0
    case direction = 1
    case status = 2
    case mark = 3
}

/// What the routing table says of an address; raw values are NFTA_FIB_F_* bits.
public struct FIBSubject: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let sourceAddress = FIBSubject(rawValue: 1)
    public static let destinationAddress = FIBSubject(rawValue: 2)
    public static let mark = FIBSubject(rawValue: 4)
    public static let inputInterface = FIBSubject(rawValue: 8)
    public static let outputInterface = FIBSubject(rawValue: 16)
}

/// Something that has a value for each packet.
public indirect enum Expression: Sendable, Hashable {
    case literal(Literal)
    case payload(PayloadField)
    case meta(MetaKey)
    case conntrack(ConntrackKey)
    /// The type (local, unicast …) of an address in the routing table.
    case fibType(FIBSubject)
    /// Whether the routing table has a way to an address; with the input interface in it, a way over that one. Compared
    /// with ``Literal/exists`` and ``Literal/missing``.
    case fibRoute(FIBSubject)
    /// A number from 0 to `modulus` - 1.
    case random(modulus: UInt32)
    /// 0, 1, … `modulus` - 1, and again.
    case roundRobin(modulus: UInt32)
    case and(Expression, UInt32)
    case or(Expression, UInt32)
    case xor(Expression, UInt32)
    case concatenation([Expression])
    /// What the map named `map` holds for the key.
    case map(Expression, map: String)

    /// Concatenates `parts`.
    public static func concatenation(_ parts: Expression...) -> Expression { .concatenation(parts) }

    /// The type of the value. Of a map's value and a concatenation only the first part is known here.
    public var type: DataType {
        switch self {
        case .literal(let value): value.type
        case .payload(let field): field.layout.type
        case .meta(let key): key.type
        case .conntrack(let key): key.type
        case .fibType: .fibAddressType
        case .fibRoute: .boolean
        case .random, .roundRobin: .integer
        case .and(let inner, _), .or(let inner, _), .xor(let inner, _): inner.type
        case .concatenation(let parts): parts.first?.type ?? .integer
        case .map: .integer
        }
    }
}

/// How a match compares.
public enum Comparison: UInt32, Sendable, Hashable {
    case equal = 0
    case notEqual = 1
    case less = 2
    case lessOrEqual = 3
    case greater = 4
    case greaterOrEqual = 5
    /// At least one of the bits is set, as in `ct status dnat`.
    case hasAnyOf = 100
}

/// Options of `dnat`, `snat` and `masquerade`; raw values are NF_NAT_RANGE_*.
public struct NATFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let random = NATFlags(rawValue: 4)
    public static let persistent = NATFlags(rawValue: 8)
    public static let fullyRandom = NATFlags(rawValue: 16)
}

/// Where network address translation sends a packet.
public enum NATTarget: Sendable, Hashable {
    /// An address; the port stays.
    case address(Expression)
    case addressAndPort(Expression, Expression)
    /// A ``Expression/map(_:map:)`` whose data is an address and a port.
    case mapped(Expression)
}

/// How `reject` answers.
public enum RejectReason: Sendable, Hashable {
    /// ICMP (in family ip6 ICMPv6, in inet whichever fits) port unreachable: what `reject` alone means.
    case portUnreachable
    case tcpReset
    /// ICMP destination unreachable with this code; IPv4 only.
    case icmp(code: UInt8)
    /// ICMPv6 destination unreachable with this code (RFC 4443, 3.1); IPv6 only.
    case icmpv6(code: UInt8)
}

/// One step of a rule.
public enum Statement: Sendable, Hashable {
    case match(Expression, Comparison, Literal)
    /// Matches when the value is in the set, or if `negated` when it is not.
    case lookup(Expression, set: String, negated: Bool = false)
    /// Goes where the verdict map says; goes on where it has no such key.
    case verdictMap(Expression, map: String)
    case verdict(Verdict)
    case setMeta(MetaKey, Expression)
    case setConntrackMark(Expression)
    case destinationNAT(NATTarget, NATFlags = [])
    case sourceNAT(NATTarget, NATFlags = [])
    case masquerade(NATFlags = [])
    /// Connection tracking does not see the packet; in chains that see it before that, at ``BaseChain/rawPriority``.
    case notrack
    case reject(RejectReason = .portUnreachable)
    /// Counts packets and bytes that came here; the numbers are where it starts.
    case counter(packets: UInt64 = 0, bytes: UInt64 = 0)
    /// Found in the kernel, made by others and unknown here; cannot be sent.
    case unknown(String)
}
