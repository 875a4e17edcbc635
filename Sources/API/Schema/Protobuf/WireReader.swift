// Protobuf's wire format: tags, varints and length-delimited fields (protobuf.dev/programming-guides/encoding).

/// Why bytes are no protobuf of a type.
public struct ProtobufError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, without the place.
    public let message: String
    /// Where in the bytes, from 0.
    public let offset: Int

    public var description: String { "byte \(offset): \(message)" }
}

/// How a field is encoded.
enum WireType: UInt8 {
    case varint, fixed64, bytes, startGroup, endGroup, fixed32
}

/// Reads the fields of one message: a part of the bytes.
struct WireReader {
    let bytes: UnsafeBufferPointer<UInt8>
    private(set) var position: Int
    private let end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    /// The next field's number and encoding; nil at the message's end.
    mutating func tag() throws(ProtobufError) -> (number: Int, type: WireType)? {
        if isAtEnd { return nil }
        let start = position
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29, let type = WireType(rawValue: UInt8(tag & 7)) else {
            throw ProtobufError(message: "illegal field tag", offset: start)
        }
        return (Int(tag >> 3), type)
    }

    mutating func varint() throws(ProtobufError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard position < end else { throw ends() }
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { throw ProtobufError(message: "a number of more than 64 bits", offset: position) }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw ProtobufError(message: "a number of more than 64 bits", offset: position) }
        }
    }

    /// The range of a length-delimited field's content.
    mutating func content() throws(ProtobufError) -> Range<Int> {
        let length = try varint()
        guard length <= UInt64(end - position) else { throw ends() }
        let start = position
        position += Int(length)
        return start..<position
    }

    mutating func fixed64() throws(ProtobufError) -> UInt64 {
        guard end - position >= 8 else { throw ends() }
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += 8
        return value
    }

    /// Skips a field that nobody knows.
    mutating func skip(_ type: WireType) throws(ProtobufError) {
        switch type {
        case .varint: _ = try varint()
        case .fixed64: _ = try fixed64()
        case .bytes: _ = try content()
        case .fixed32:
            guard end - position >= 4 else { throw ends() }
            position += 4
        case .startGroup, .endGroup:
            throw ProtobufError(message: "groups are not used in Kubernetes", offset: position)
        }
    }

    func ends() -> ProtobufError { ProtobufError(message: "the message ends within a field", offset: position) }
}
