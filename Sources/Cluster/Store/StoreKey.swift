import Glibc

/// A key: 1 to 1,024 bytes, compared byte by byte (not as Unicode does, to which different names can be equal).
public struct StoreKey: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let bytes: [UInt8]

    /// The longest key that a store takes.
    public static let maximumBytes = 1024

    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }
    public init(stringLiteral text: String) { self.init(text) }

    public static func < (left: StoreKey, right: StoreKey) -> Bool { compare(left.bytes, right.bytes) < 0 }

    /// The key as text, invalid UTF-8 replaced.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// The smallest key above this one.
    public var successor: StoreKey { StoreKey(bytes + [0]) }
}

/// Less than, equal to or greater than 0 as `left` stands before, at or after `right` (memcmp(3), then the length).
@inline(__always)
private func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
    left.withUnsafeBytes { left in
        right.withUnsafeBytes { right in
            let shared = min(left.count, right.count)
            if shared > 0, let first = left.baseAddress, let second = right.baseAddress {
                let order = memcmp(first, second, shared)
                if order != 0 { return Int(order) }
            }
            return left.count - right.count
        }
    }
}

/// The keys from `start` up to, but not with, `end`.
public struct KeyRange: Sendable, Hashable {
    public let start: StoreKey
    /// nil: no end.
    public let end: StoreKey?

    public init(from start: StoreKey, to end: StoreKey?) {
        self.start = start
        self.end = end
    }

    /// Every key.
    public static let all = KeyRange(from: StoreKey([]), to: nil)

    /// The keys that begin with `prefix`.
    public static func prefix(_ prefix: StoreKey) -> KeyRange {
        var end = prefix.bytes
        while let last = end.last {
            if last < 0xFF {
                end[end.count - 1] = last + 1
                return KeyRange(from: prefix, to: StoreKey(end))
            }
            end.removeLast()
        }
        return KeyRange(from: prefix, to: nil)
    }

    /// One key alone.
    public static func key(_ key: StoreKey) -> KeyRange { KeyRange(from: key, to: key.successor) }

    public func contains(_ key: StoreKey) -> Bool {
        guard key >= start else { return false }
        guard let end else { return true }
        return key < end
    }

    /// What is left of the range from `key` on; the whole range where `key` stands before it.
    public func from(_ key: StoreKey) -> KeyRange { KeyRange(from: max(start, key), to: end) }

    /// Whether it holds no key at all.
    public var isEmpty: Bool { end.map { $0 <= start } ?? false }
}
