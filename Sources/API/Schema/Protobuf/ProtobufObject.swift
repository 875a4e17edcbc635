// What client-go sends as application/vnd.kubernetes.protobuf: four bytes, then a runtime.Unknown that says what the
// object is and holds its message.

import JSONTree

/// Reads objects in Kubernetes' protobuf encoding.
///
/// The result is what reading the same object as JSON gives: zeros that say nothing are left out
/// (``Field/omitsZero``).
public enum ProtobufObject {
    /// The bytes that such an object starts with (apimachinery `runtime/serializer/protobuf`).
    public static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]

    /// How deep messages may nest; no built-in type but a custom resource's schema comes near.
    public static let maximumDepth = 100
    /// How many values an object may have: two bytes of protobuf can make one, which takes twenty times as much.
    public static let maximumValues = 500_000

    /// Reads one object, of whatever kind of the table it says it is.
    ///
    /// - Parameter bytes: All of it, the magic included. Its length is the caller's to limit.
    /// - Throws: where the bytes are no such object, or of a kind that the table does not have.
    public static func read(_ bytes: [UInt8], schema: Schema = .kubernetes) throws(ProtobufError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { (buffer) throws(ProtobufError) -> JSONValue in
            let envelope = try Envelope(buffer)
            let kind = ObjectKind(apiVersion: envelope.apiVersion, kind: envelope.kind)
            var head = JSONObjectBuilder()
            head["apiVersion"] = .string(kind.apiVersion)
            head["kind"] = .string(kind.kind)
            switch envelope.contentType {
            case "", "application/vnd.kubernetes.protobuf":
                guard let type = schema.type(apiVersion: kind.apiVersion, kind: kind.kind) else {
                    throw ProtobufError(
                        message: "no kind \"\(kind.kind)\" is registered for version \"\(kind.apiVersion)\"", offset: 4)
                }
                var reader = MessageReader(bytes: buffer)
                return .object(try reader.object(envelope.raw, type, into: head))
            case "application/json":
                var reader = MessageReader(bytes: buffer)
                return try reader.json(envelope.raw)
            default:
                throw ProtobufError(message: "content type \"\(envelope.contentType)\" is not supported", offset: 4)
            }
        }
    }

    /// Reads one message of a type, without the envelope.
    public static func read(message bytes: [UInt8], as type: ObjectType) throws(ProtobufError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { (buffer) throws(ProtobufError) -> JSONValue in
            var reader = MessageReader(bytes: buffer)
            return .object(try reader.object(0..<buffer.count, type, into: JSONObjectBuilder()))
        }
    }
}

/// A runtime.Unknown.
private struct Envelope {
    var apiVersion = ""
    var kind = ""
    var raw = 0..<0
    var contentType = ""

    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(ProtobufError) {
        guard bytes.starts(with: ProtobufObject.magic) else {
            throw ProtobufError(message: "the bytes do not start with \"k8s\\0\"", offset: 0)
        }
        var reader = WireReader(bytes, ProtobufObject.magic.count..<bytes.count)
        while let (number, type) = try reader.tag() {
            switch (number, type) {
            case (1, .bytes): try readTypeMeta(bytes, try reader.content())
            case (2, .bytes): raw = try reader.content()
            case (3, .bytes):
                let encoding = Self.text(bytes, try reader.content())
                guard encoding.isEmpty else {
                    throw ProtobufError(message: "content encoding \"\(encoding)\" is not supported", offset: 4)
                }
            case (4, .bytes): contentType = Self.text(bytes, try reader.content())
            default: try reader.skip(type)
            }
        }
    }

    private mutating func readTypeMeta(
        _ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
    ) throws(ProtobufError) {
        var reader = WireReader(bytes, range)
        while let (number, type) = try reader.tag() {
            switch (number, type) {
            case (1, .bytes): apiVersion = Self.text(bytes, try reader.content())
            case (2, .bytes): kind = Self.text(bytes, try reader.content())
            default: try reader.skip(type)
            }
        }
    }

    private static func text(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }
}
