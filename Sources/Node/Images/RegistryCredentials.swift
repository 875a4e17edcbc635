/// Who asks a registry.
public struct RegistryCredentials: Sendable, Hashable, CustomStringConvertible {
    public var username: String
    public var password: String
    /// An OAuth2 refresh token that stands for both (`identitytoken` of Docker's config.json); empty without one.
    public var identityToken: String

    public init(username: String, password: String, identityToken: String = "") {
        self.username = username
        self.password = password
        self.identityToken = identityToken
    }

    /// From the base64 of `user:password`; nil when it is none.
    public init?(basic: String) {
        guard let bytes = Base64.decoded(basic), let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        self.init(
            username: String(decoding: bytes[..<colon], as: UTF8.self),
            // Docker pads old entries with NULs.
            password: String(decoding: bytes[(colon + 1)...].filter { $0 != 0 }, as: UTF8.self))
    }

    var isEmpty: Bool { username.isEmpty && password.isEmpty && identityToken.isEmpty }

    /// The value of an Authorization header (RFC 7617).
    var basic: String { "Basic \(Base64.encoded(Array("\(username):\(password)".utf8)))" }

    /// Never the secret: this may end up in a log.
    public var description: String { "credentials of \"\(username)\"" }
}

/// RFC 4648, section 4.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encoded(_ bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * (3 - UInt32(group.count)))
            for position in 0..<4 {
                let digit = Int(bits >> (18 - 6 * UInt32(position)) & 63)
                result.append(position <= group.count ? alphabet[digit] : UInt8(ascii: "="))
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func decoded(_ text: String) -> [UInt8]? {
        var result: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padded = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: " ") { continue }
            if byte == UInt8(ascii: "=") {
                padded = true
                continue
            }
            guard !padded, let digit = alphabet.firstIndex(of: byte) else { return nil }
            bits = bits << 6 | UInt32(digit)
            count += 1
            // The second, third and fourth digit of a group each complete a byte.
            switch count % 4 {
            case 2: result.append(UInt8(truncatingIfNeeded: bits >> 4))
            case 3: result.append(UInt8(truncatingIfNeeded: bits >> 2))
            case 0: result.append(UInt8(truncatingIfNeeded: bits))
            default: break
            }
        }
        return count % 4 == 1 ? nil : result
    }
}
