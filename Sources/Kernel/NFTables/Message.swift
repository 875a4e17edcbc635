// A netlink message and its attributes, read where they lie.
import CNFTables
import Glibc

/// Valid only while the handler it was given to runs.
struct Message {
    let header: UnsafePointer<nlmsghdr>

    var sequence: UInt32 { header.pointee.nlmsg_seq }
    var flags: UInt16 { header.pointee.nlmsg_flags }
    /// NFT_MSG_*
    var type: UInt16 { header.pointee.nlmsg_type & 0xff }
    var isError: Bool { header.pointee.nlmsg_type == UInt16(NLMSG_ERROR) }
    var isDone: Bool { header.pointee.nlmsg_type == UInt16(NLMSG_DONE) }

    /// The error number of an error message; 0 for others and for acknowledgements.
    var error: Int32 {
        guard isError, header.pointee.nlmsg_len >= 36 else { return 0 }
        return -UnsafeRawPointer(header).loadUnaligned(fromByteOffset: 16, as: Int32.self)
    }

    /// The kernel's words about an error (NLMSGERR_ATTR_MSG); with NETLINK_CAP_ACK they follow the header it answers.
    var detail: String {
        guard isError, flags & 0x200 != 0 /* NLM_F_ACK_TLVS */ else { return "" }
        let attributes = AttributeList(
            start: UnsafeRawPointer(header) + 36, count: Int(header.pointee.nlmsg_len) - 36)
        return attributes.first { $0.type == 1 }?.string ?? ""
    }

    /// Attributes of a message about an nf_tables object, after the nfgenmsg header.
    var attributes: AttributeList {
        AttributeList(start: UnsafeRawPointer(header) + 20, count: Int(header.pointee.nlmsg_len) - 20)
    }

    func attribute(_ type: UInt16) -> Attribute? { attributes.first { $0.type == type } }
}

/// A netlink attribute.
struct Attribute {
    let start: UnsafeRawPointer
    /// Of the payload, without the header.
    let count: Int
    let type: UInt16

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start + 4, count: count) }
    var array: [UInt8] { Array(bytes) }
    var nested: AttributeList { AttributeList(start: start + 4, count: count) }
    /// nf_tables numbers are big-endian.
    var number: UInt32? { count == 4 ? UInt32(bigEndian: (start + 4).loadUnaligned(as: UInt32.self)) : nil }
    /// A zero-terminated text.
    var string: String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
}

/// Attributes one after another; ends where one would not fit.
struct AttributeList: Sequence, IteratorProtocol {
    private var start: UnsafeRawPointer
    private var rest: Int

    init(start: UnsafeRawPointer, count: Int) { (self.start, rest) = (start, count) }

    mutating func next() -> Attribute? {
        guard rest >= 4 else { return nil }
        let length = Int(start.loadUnaligned(as: UInt16.self))
        let type = start.loadUnaligned(fromByteOffset: 2, as: UInt16.self) & 0x3fff
        guard length >= 4, length <= rest else { return nil }
        defer {
            let step = Swift.min((length + 3) & ~3, rest)
            start += step
            rest -= step
        }
        return Attribute(start: start, count: length - 4, type: type)
    }
}
