/// An IPv4 address.
public struct IPv4Address: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    /// The address as a number: 10.0.0.1 is 0x0a00_0001.
    public let value: UInt32

    public init(_ value: UInt32) { self.value = value }

    /// Four decimal numbers of 0 to 255 without leading zeros, joined by dots, and nothing else: `inet_aton`'s other
    /// forms (`10.1`, `0x7f.1`, `010.0.0.1`) have fooled too many people.
    public init?(_ text: String) { self.init(parsing: text.utf8[...]) }

    init?(parsing text: Substring.UTF8View) {
        var value: UInt32 = 0
        var parts = 0
        for part in text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard parts < 4, let number = parseDecimal(part, maximum: 255) else { return nil }
            value = value << 8 | UInt32(number)
            parts += 1
        }
        guard parts == 4 else { return nil }
        self.value = value
    }

    init(bytes: some Sequence<UInt8>) { value = bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    /// The four bytes in network order.
    public var bytes: [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }

    public var description: String { "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)" }

    public static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// An IPv6 address, without a zone.
public struct IPv6Address: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
    /// The first and the last 64 bits, as numbers.
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The text forms of RFC 4291, 2.2: groups of one to four hexadecimal digits, one `::`, an IPv4 address at the end.
    /// A zone (`%eth0`) is refused.
    public init?(_ text: String) { self.init(parsing: text.utf8[...]) }

    init?(parsing text: Substring.UTF8View) {
        var head: [UInt16] = []
        var tail: [UInt16]?
        var rest = text
        let colon = UInt8(ascii: ":")
        if rest.starts(with: [colon, colon]) {
            tail = []
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let group = rest.prefix { $0 != colon }
            var groups: [UInt16]
            if group.contains(UInt8(ascii: ".")) {
                guard group.count == rest.count, let v4 = IPv4Address(parsing: group) else { return nil }
                groups = [UInt16(v4.value >> 16), UInt16(v4.value & 0xffff)]
            } else {
                guard let number = parseHexadecimal(group) else { return nil }
                groups = [number]
            }
            if tail == nil { head += groups } else { tail? += groups }
            guard head.count + (tail?.count ?? 0) <= 8 else { return nil }
            rest = rest.dropFirst(group.count)
            if rest.isEmpty { break }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard tail == nil else { return nil }
                tail = []
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        let count = head.count + (tail?.count ?? 0)
        guard tail == nil ? count == 8 : count < 8 else { return nil }
        let all = head + Array(repeating: 0, count: 8 - count) + (tail ?? [])
        self.init(
            high: all[..<4].reduce(0) { $0 << 16 | UInt64($1) }, low: all[4...].reduce(0) { $0 << 16 | UInt64($1) })
    }

    init(bytes: [UInt8]) {
        self.init(
            high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
            low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// The sixteen bytes in network order.
    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
    }

    /// The canonical text of RFC 5952.
    public var description: String {
        let groups =
            (0..<4).map { UInt16(truncatingIfNeeded: high >> (48 - 16 * $0)) }
            + (0..<4).map { UInt16(truncatingIfNeeded: low >> (48 - 16 * $0)) }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = end + 1
        }
        func text(_ slice: ArraySlice<UInt16>) -> String {
            slice.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if longest.isEmpty { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }

    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

/// An address of either family.
public enum IPAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    case v4(IPv4Address)
    case v6(IPv6Address)

    /// See ``IPv4Address/init(_:)-(String)`` and ``IPv6Address/init(_:)`` for what is accepted.
    public init?(_ text: String) {
        if let address = IPv4Address(text) {
            self = .v4(address)
        } else if let address = IPv6Address(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// Four or sixteen bytes in network order; nil for any other number of bytes.
    public init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self = .v4(IPv4Address(bytes: bytes))
        case 16: self = .v6(IPv6Address(bytes: bytes))
        default: return nil
        }
    }

    public var bytes: [UInt8] {
        switch self {
        case .v4(let address): address.bytes
        case .v6(let address): address.bytes
        }
    }

    /// 32 or 128.
    public var bitWidth: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }
}

/// A decimal number without sign and leading zeros, at most `maximum`.
func parseDecimal(_ text: Substring.UTF8View, maximum: Int) -> Int? {
    guard (1...5).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0") else { return nil }
    var value = 0
    for byte in text {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return value <= maximum ? value : nil
}

/// One to four hexadecimal digits.
func parseHexadecimal(_ text: Substring.UTF8View, digits: ClosedRange<Int> = 1...4) -> UInt16? {
    guard digits.contains(text.count) else { return nil }
    var value: UInt16 = 0
    for byte in text {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt16(byte - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }
    return value
}
