// Types of nf_tables values as nft numbers and prints them, and constants of these types.
import Glibc

/// A data type of nft (its `TYPE_*` numbers are stored with every set and are therefore fixed).
public enum DataType: UInt32, Sendable, Hashable {
    case nfproto = 2
    case integer = 4
    case ipv4Address = 7
    case ipv6Address = 8
    case etherAddress = 9
    case etherType = 10
    case inetProtocol = 12
    case inetService = 13
    case mark = 19
    case interfaceIndex = 20
    case conntrackState = 26
    case conntrackDirection = 27
    case conntrackStatus = 28
    case fibAddressType = 38
    /// Of what ``Expression/fibRoute(_:)`` says, which is as wide as an interface's index.
    case boolean = 39
    case interfaceName = 41

    /// The name that `type` declarations use; nil where nft has none that could be declared.
    public var name: String? {
        switch self {
        case .nfproto: "nf_proto"
        case .integer, .boolean: nil
        case .ipv4Address: "ipv4_addr"
        case .ipv6Address: "ipv6_addr"
        case .etherAddress: "ether_addr"
        case .etherType: "ether_type"
        case .inetProtocol: "inet_proto"
        case .inetService: "inet_service"
        case .mark: "mark"
        case .interfaceIndex: "iface_index"
        case .conntrackState: "ct_state"
        case .conntrackDirection: "ct_dir"
        case .conntrackStatus: "ct_status"
        case .fibAddressType: "fib_addrtype"
        case .interfaceName: "ifname"
        }
    }

    /// Bytes of one value, without padding. Integers are 32 bits wide here.
    public var byteCount: Int {
        switch self {
        case .nfproto, .inetProtocol, .conntrackDirection: 1
        case .inetService, .etherType: 2
        case .etherAddress: 6
        case .ipv6Address, .interfaceName: 16
        default: 4
        }
    }

    /// Whether values lie in the byte order of the host; others lie in network order.
    var isHostByteOrder: Bool {
        switch self {
        case .integer, .mark, .interfaceIndex, .conntrackState, .conntrackStatus, .fibAddressType, .interfaceName,
            .boolean:
            true
        default: false
        }
    }
}

/// A transport protocol by its IP protocol number.
public enum TransportProtocol: UInt8, Sendable, Hashable, CaseIterable {
    case tcp = 6
    case udp = 17
    case sctp = 132

    public var name: String {
        switch self {
        case .tcp: "tcp"
        case .udp: "udp"
        case .sctp: "sctp"
        }
    }
}

/// A constant. Equality ignores how it was written: `10.0.0.0/8` is an address with a prefix length.
public struct Literal: Sendable, Hashable {
    public let type: DataType
    /// ``DataType/byteCount`` bytes in the type's byte order; an interface name may be shorter and is then a prefix
    /// of names (`veth*`).
    public let bytes: [UInt8]
    /// For addresses: how many leading bits count; nil is all.
    public let prefixLength: Int?

    init(type: DataType, bytes: [UInt8], prefixLength: Int? = nil) {
        (self.type, self.bytes, self.prefixLength) = (type, bytes, prefixLength)
    }

    /// An IPv4 address as a number (10.0.0.1 is 0x0a000001). With a prefix length below 32, the network; the bits
    /// after the prefix are cleared.
    public static func ipv4(_ address: UInt32, prefixLength: Int = 32) -> Literal {
        let length = min(max(prefixLength, 0), 32)
        let mask: UInt32 = length == 0 ? 0 : ~0 << UInt32(32 - length)
        return Literal(
            type: .ipv4Address, bytes: bigEndianBytes(address & mask), prefixLength: length == 32 ? nil : length)
    }

    /// An IPv4 address or network from its text, `10.0.0.1` or `10.0.0.0/8`; nil for anything else.
    public static func ipv4(_ text: String) -> Literal? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else { return nil }
        let fields = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard fields.count == 4 else { return nil }
        var address: UInt32 = 0
        for field in fields {
            guard field.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let byte = UInt8(field) else { return nil }
            address = address << 8 | UInt32(byte)
        }
        guard parts.count == 2 else { return .ipv4(address) }
        guard let length = Int(parts[1]), (0...32).contains(length) else { return nil }
        return .ipv4(address, prefixLength: length)
    }

    /// An IPv6 address of 16 bytes; nil for another count. With a prefix length below 128, the network; the bits after
    /// the prefix are cleared.
    public static func ipv6(_ bytes: [UInt8], prefixLength: Int = 128) -> Literal? {
        guard bytes.count == 16 else { return nil }
        let length = min(max(prefixLength, 0), 128)
        let network = zip(bytes, prefixMask(length, byteCount: 16)).map { $0 & $1 }
        return Literal(type: .ipv6Address, bytes: network, prefixLength: length == 128 ? nil : length)
    }

    /// An IPv6 address or network from its text, `fd00::1` or `fd00::/64`; nil for anything else.
    public static func ipv6(_ text: String) -> Literal? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, String(parts[0]), &bytes) == 1 else { return nil }
        guard parts.count == 2 else { return .ipv6(bytes) }
        guard let length = Int(parts[1]), (0...128).contains(length), parts[1].utf8.first != UInt8(ascii: "+") else {
            return nil
        }
        return .ipv6(bytes, prefixLength: length)
    }

    /// An Ethernet address of six bytes; nil for another count.
    public static func etherAddress(_ bytes: [UInt8]) -> Literal? {
        bytes.count == 6 ? Literal(type: .etherAddress, bytes: bytes) : nil
    }

    /// The type of a frame (ETH_P_* of linux/if_ether.h).
    static func etherType(_ number: UInt16) -> Literal {
        Literal(type: .etherType, bytes: [UInt8(number >> 8), UInt8(number & 0xff)])
    }

    /// The type of frames with packets of `family`; nil for families that are not one protocol's.
    static func etherType(of family: Family) -> Literal? {
        switch family {
        case .ipv4: etherType(0x0800)
        case .arp: etherType(0x0806)
        case .ipv6: etherType(0x86dd)
        default: nil
        }
    }

    /// A port of any transport protocol.
    public static func port(_ number: UInt16) -> Literal {
        Literal(type: .inetService, bytes: [UInt8(number >> 8), UInt8(number & 0xff)])
    }

    public static func transport(_ value: TransportProtocol) -> Literal { .protocolNumber(value.rawValue) }

    /// An IP protocol number (`/etc/protocols`).
    public static func protocolNumber(_ number: UInt8) -> Literal { Literal(type: .inetProtocol, bytes: [number]) }

    /// 32 bits in the byte order of the host, as `numgen` gives them.
    public static func integer(_ value: UInt32) -> Literal { Literal(type: .integer, bytes: hostBytes(value)) }

    /// A packet or connection mark.
    public static func mark(_ value: UInt32) -> Literal { Literal(type: .mark, bytes: hostBytes(value)) }

    /// An interface's name. A trailing `*` matches every name that begins so.
    public static func interfaceName(_ name: String) -> Literal {
        if name.hasSuffix("*") { return Literal(type: .interfaceName, bytes: Array(name.utf8.dropLast().prefix(15))) }
        let bytes = Array(name.utf8.prefix(15))
        return Literal(type: .interfaceName, bytes: bytes + Array(repeating: 0, count: 16 - bytes.count))
    }

    /// Bits of `ct status` (IPS_* of linux/netfilter/nf_conntrack_common.h).
    public enum ConntrackStatus: UInt32, Sendable, CaseIterable {
        case expected = 0x1, seenReply = 0x2, assured = 0x4, confirmed = 0x8, snat = 0x10, dnat = 0x20, dying = 0x200

        var name: String { self == .seenReply ? "seen-reply" : "\(self)" }
    }

    /// Some of these bits, for ``Comparison/hasAnyOf``.
    public static func status(_ bits: ConntrackStatus...) -> Literal {
        Literal(type: .conntrackStatus, bytes: hostBytes(bits.reduce(0) { $0 | $1.rawValue }))
    }

    /// Bits of `ct state` (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h), in the order nft prints them.
    public enum ConntrackState: UInt32, Sendable, CaseIterable {
        case invalid = 0x1, established = 0x2, related = 0x4, new = 0x8, untracked = 0x40
    }

    /// Some of these bits, for ``Comparison/hasAnyOf``.
    public static func state(_ bits: ConntrackState...) -> Literal {
        Literal(type: .conntrackState, bytes: hostBytes(bits.reduce(0) { $0 | $1.rawValue }))
    }

    /// For ``Expression/fibRoute(_:)``: there is a route.
    public static let exists = Literal(type: .boolean, bytes: hostBytes(1))
    /// For ``Expression/fibRoute(_:)``: there is none.
    public static let missing = Literal(type: .boolean, bytes: hostBytes(0))

    /// `local`, the type of the host's own addresses (RTN_LOCAL).
    public static let localAddress = Literal(type: .fibAddressType, bytes: hostBytes(2))

    /// The value as a number: its bytes in the type's byte order. Zero for types wider than four bytes.
    public var number: UInt32 {
        guard bytes.count <= 4 else { return 0 }
        let ordered = type.isHostByteOrder ? bytes.reversed() : bytes
        return ordered.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// The bytes of a key or value: exact for one part, each padded to four bytes for several.
    public static func concatenate(_ parts: [Literal]) -> [UInt8] {
        if parts.count == 1 { return parts[0].bytes }
        var result: [UInt8] = []
        result.reserveCapacity(parts.count * 4)
        for part in parts {
            result += part.bytes
            while result.count % 4 != 0 { result.append(0) }
        }
        return result
    }
}

/// Both kinds of Linux host that Swift runs on (x86-64 and AArch64) are little-endian; this says it once.
func hostBytes(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

func bigEndianBytes(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
