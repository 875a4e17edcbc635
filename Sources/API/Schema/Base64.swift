// Base64 (RFC 4648 §4, with padding) as Go's encoding/json reads and writes []byte.

enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var buffer: UInt32 = 0
        var count = 0
        func digit(_ shift: UInt32) -> UInt8 { digits[Int(buffer >> shift & 63)] }
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                text += [digit(18), digit(12), digit(6), digit(0)]
                (buffer, count) = (0, 0)
            }
        }
        let pad = UInt8(ascii: "=")
        if count == 1 {
            buffer <<= 16
            text += [digit(18), digit(12), pad, pad]
        } else if count == 2 {
            buffer <<= 8
            text += [digit(18), digit(12), digit(6), pad]
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether `text` is base64. Line ends are skipped, as Go does.
    static func isValid(_ text: String) -> Bool {
        var count = 0
        var padding = 0
        for byte in text.utf8 {
            switch byte {
            case 0x0A, 0x0D: continue
            case UInt8(ascii: "="): padding += 1
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                if padding > 0 { return false }
            default: return false
            }
            count += 1
        }
        return count % 4 == 0 && padding <= 2
    }
}
