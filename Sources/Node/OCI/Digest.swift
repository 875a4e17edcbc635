// OCI: the image-spec's types as values, decoded from JSON trees with bounds and clear errors. Knows no registry and no
// disk. This file: digests.

/// The name of some content by its hash, such as `sha256:9f86…` (image-spec descriptor.md#digests).
public struct Digest: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The hash functions that the specification registers.
    public enum Algorithm: String, Sendable, Hashable {
        case sha256, sha512

        /// Characters of the hash in hexadecimal.
        public var hexLength: Int { self == .sha256 ? 64 : 128 }
    }

    public let algorithm: Algorithm
    /// Lower-case hexadecimal, exactly as many characters as the algorithm has; safe as a file name.
    public let hex: String

    /// Parses `algorithm:hex`. Anything but a well-formed sha256 or sha512 digest is an error that quotes it.
    public init(_ text: String) throws(FormatError) {
        guard let digest = Digest(validating: text) else {
            throw FormatError("\"\(text.prefix(150))\" is no digest (sha256: or sha512: and lower-case hexadecimal)")
        }
        self = digest
    }

    /// As the throwing initialiser; nil for what is no digest.
    public init?(validating text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let algorithm = Algorithm(rawValue: String(decoding: parts[0], as: UTF8.self)) else {
            return nil
        }
        self.init(algorithm: algorithm, hex: String(decoding: parts[1], as: UTF8.self))
    }

    /// nil when `hex` is not what the algorithm's hashes look like.
    public init?(algorithm: Algorithm, hex: String) {
        let isHex = hex.utf8.allSatisfy {
            ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "f"))
        }
        guard isHex, hex.utf8.count == algorithm.hexLength else { return nil }
        self.algorithm = algorithm
        self.hex = hex
    }

    /// From the bytes of a hash.
    public init?(algorithm: Algorithm, bytes: some Sequence<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        var hex: [UInt8] = []
        for byte in bytes {
            hex.append(digits[Int(byte >> 4)])
            hex.append(digits[Int(byte & 15)])
        }
        self.init(algorithm: algorithm, hex: String(decoding: hex, as: UTF8.self))
    }

    public var description: String { "\(algorithm.rawValue):\(hex)" }

    /// The first 12 characters of the hash, as people are shown it.
    public var short: String { String(hex.prefix(12)) }

    public static func < (left: Digest, right: Digest) -> Bool {
        (left.algorithm.rawValue, left.hex) < (right.algorithm.rawValue, right.hex)
    }
}
