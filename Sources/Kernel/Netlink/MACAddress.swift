/// An Ethernet address.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// The address as a number of 48 bits: 02:00:00:00:00:01 is 0x0200_0000_0001.
    public let value: UInt64

    /// Bits above the 48th are dropped.
    public init(_ value: UInt64) { self.value = value & 0xffff_ffff_ffff }

    /// Six groups of two hexadecimal digits joined by colons.
    public init?(_ text: String) {
        var value: UInt64 = 0
        var groups = 0
        for group in text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false) {
            guard groups < 6, let number = parseHexadecimal(group, digits: 2...2) else { return nil }
            value = value << 8 | UInt64(number)
            groups += 1
        }
        guard groups == 6 else { return nil }
        self.value = value
    }

    /// Six bytes; nil for any other number of bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        value = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: value >> (40 - 8 * $0)) } }

    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
