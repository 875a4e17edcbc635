/// A network: an address whose host bits are zero, and how many bits of it are the network's.
public struct CIDR: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// The first address of the network.
    public let address: IPAddress
    /// 0 to 32, or 0 to 128.
    public let prefixLength: Int

    /// The network of `prefixLength` bits that `address` lies in; nil if `prefixLength` is out of range.
    public init?(containing address: IPAddress, prefixLength: Int) {
        guard (0...address.bitWidth).contains(prefixLength) else { return nil }
        switch address {
        case .v4(let v4):
            self.address = .v4(IPv4Address(v4.value & Self.mask(prefixLength)))
        case .v6(let v6):
            let high = prefixLength >= 64 ? v6.high : v6.high & Self.mask64(prefixLength)
            let low = prefixLength <= 64 ? 0 : v6.low & Self.mask64(prefixLength - 64)
            self.address = .v6(IPv6Address(high: high, low: low))
        }
        self.prefixLength = prefixLength
    }

    /// The network of this address alone: /32 or /128.
    public init(_ address: IPAddress) {
        self.address = address
        prefixLength = address.bitWidth
    }

    /// 0.0.0.0/0, where a default route leads.
    public static let everyIPv4 = CIDR(address: .v4(IPv4Address(0)), length: 0)
    /// ::/0
    public static let everyIPv6 = CIDR(address: .v6(IPv6Address(high: 0, low: 0)), length: 0)

    private init(address: IPAddress, length: Int) {
        self.address = address
        prefixLength = length
    }

    /// `10.1.0.0/16`, `fd00::/64`. Refused: a missing or out of range length, leading zeros, and host bits that are
    /// not zero (`10.1.2.3/16` is an address on a network, see ``init(containing:prefixLength:)``).
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])),
            let length = parseDecimal(parts[1].utf8, maximum: address.bitWidth),
            let network = CIDR(containing: address, prefixLength: length), network.address == address
        else { return nil }
        self = network
    }

    public func contains(_ other: IPAddress) -> Bool {
        CIDR(containing: other, prefixLength: prefixLength)?.address == address && other.bitWidth == address.bitWidth
    }

    /// Whether the two share an address.
    public func overlaps(_ other: CIDR) -> Bool { contains(other.address) || other.contains(address) }

    /// How many bits of an address are the host's.
    public var hostBits: Int { address.bitWidth - prefixLength }

    public var description: String { "\(address)/\(prefixLength)" }

    private static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : ~0 << UInt32(32 - length) }
    private static func mask64(_ length: Int) -> UInt64 { length == 0 ? 0 : ~0 << UInt64(64 - length) }
}
