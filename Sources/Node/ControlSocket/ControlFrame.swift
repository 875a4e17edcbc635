// The frames on the control socket: eight bytes of header, then JSON.
//
//     0        4      5             6        8
//     | length | kind | descriptors | 0    0 | length bytes of JSON …
//
// The length is little-endian and does not count the header. The descriptors of a frame travel with its first bytes
// (unix(7), SCM_RIGHTS), so they are there when its last byte is.
import JSONTree
import Linux

/// One frame.
struct ControlFrame: Sendable {
    enum Kind: UInt8, Sendable {
        /// The first frame of both sides: who speaks, and which revision.
        case hello = 1
        /// Client: a verb and its arguments.
        case request = 2
        /// Agent: what happened so far.
        case progress = 3
        /// Agent: the request is done.
        case result = 4
        /// Agent: the request failed, or the connection ends.
        case error = 5
        /// Client: something for the request that runs, such as a new window size.
        case input = 6
    }

    /// The most bytes of JSON in a frame.
    static let maximumLength = 16 << 20
    /// The most descriptors that travel with a frame.
    static let maximumDescriptors = 16
    static let headerLength = 8

    var kind: Kind
    var body: JSONValue
    /// How many of the descriptors that came belong to this frame.
    var descriptorCount = 0

    /// The frame's bytes; nil where its body is longer than ``maximumLength``.
    func encoded() -> [UInt8]? {
        let payload = body.encoded()
        guard payload.count <= Self.maximumLength, descriptorCount <= Self.maximumDescriptors else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerLength + payload.count)
        withUnsafeBytes(of: UInt32(payload.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes += [kind.rawValue, UInt8(descriptorCount), 0, 0]
        bytes += payload
        return bytes
    }
}

/// Bytes in, frames out. Never holds more than one frame of the permitted length and what one read brought.
struct ControlFrameReader: Sendable {
    private var buffer: [UInt8] = []

    mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole frame, nil while bytes are missing. After an error the connection is of no more use.
    mutating func next() throws(ControlError) -> ControlFrame? {
        let header = ControlFrame.headerLength
        guard buffer.count >= header else { return nil }
        let length = Int(buffer[0]) | Int(buffer[1]) << 8 | Int(buffer[2]) << 16 | Int(buffer[3]) << 24
        guard length <= ControlFrame.maximumLength else {
            throw ControlError(.malformed, "a frame of \(length) bytes is too long")
        }
        guard let kind = ControlFrame.Kind(rawValue: buffer[4]), buffer[6] == 0, buffer[7] == 0 else {
            throw ControlError(.malformed, "a frame of unknown kind \(buffer[4])")
        }
        let descriptors = Int(buffer[5])
        guard descriptors <= ControlFrame.maximumDescriptors else {
            throw ControlError(.malformed, "a frame with \(descriptors) descriptors")
        }
        guard buffer.count >= header + length else { return nil }
        do throws(JSONError) {
            let body = try JSONValue.parse(Array(buffer[header..<(header + length)]))
            buffer.removeFirst(header + length)
            return ControlFrame(kind: kind, body: body, descriptorCount: descriptors)
        } catch {
            throw ControlError(.malformed, "a frame that is not JSON: \(error)")
        }
    }
}

/// The meaning of the frames' bodies.
extension ControlFrame {
    static func hello(_ identity: ControlIdentity) -> ControlFrame {
        ControlFrame(
            kind: .hello,
            body: [
                "protocol": .integer(controlProtocolRevision), "version": .string(identity.version),
                "pid": .integer(Int64(identity.pid)),
            ])
    }

    static func error(_ error: ControlError) -> ControlFrame {
        ControlFrame(
            kind: .error, body: ["code": .string(error.code.rawValue), "message": .string(error.message)])
    }

    /// Who sent a hello and which revision it speaks; nil where the body is not that of a hello.
    var greeting: (revision: Int64, identity: ControlIdentity)? {
        guard kind == .hello, let revision = body["protocol"]?.integerValue,
            let version = body["version"]?.stringValue, let pid = body["pid"]?.integerValue
        else { return nil }
        return (revision, ControlIdentity(version: version, pid: pid_t(truncatingIfNeeded: pid)))
    }

    /// The error that an error frame carries.
    var failure: ControlError {
        ControlError(
            ControlError.Code(rawValue: body["code"]?.stringValue ?? ControlError.Code.malformed.rawValue),
            body["message"]?.stringValue ?? "the agent reports an error without a message")
    }
}
