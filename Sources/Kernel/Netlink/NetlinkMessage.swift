import CNetlink
import Glibc

/// One message as it came from the kernel. Views into the receive buffer: not to be kept.
struct NetlinkMessage {
    let start: UnsafePointer<nlmsghdr>

    var type: Int { Int(start.pointee.nlmsg_type) }
    var flags: Int32 { Int32(start.pointee.nlmsg_flags) }
    var sequence: UInt32 { start.pointee.nlmsg_seq }

    /// The fixed part that follows the netlink header; nil if the message is too short for one.
    func header<Header: BitwiseCopyable>(_: Header.Type) -> Header? {
        guard mnl_nlmsg_get_payload_len(start) >= MemoryLayout<Header>.size,
            let payload = mnl_nlmsg_get_payload(start)
        else { return nil }
        return payload.loadUnaligned(as: Header.self)
    }

    func attributes<Header>(after _: Header.Type) -> Attributes {
        let offset = alignedLength(MemoryLayout<Header>.size)
        guard let first = mnl_nlmsg_get_payload_offset(start, offset), let end = mnl_nlmsg_get_payload_tail(start)
        else {
            return Attributes(current: nil, end: nil)
        }
        return Attributes(current: UnsafeRawPointer(first), end: UnsafeRawPointer(end))
    }

    /// The messages in the first `size` bytes of `buffer`.
    static func forEach(
        in buffer: UnsafeRawBufferPointer, size: Int, _ body: (NetlinkMessage) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        guard var next = buffer.baseAddress?.assumingMemoryBound(to: nlmsghdr.self) else { return }
        var left = Int32(size)
        while mnl_nlmsg_ok(next, left) {
            try body(NetlinkMessage(start: next))
            guard let following = mnl_nlmsg_next(next, &left) else { return }
            next = UnsafePointer(following)
        }
    }
}

/// A walk over attributes, bounded by their container.
struct Attributes: Sequence, IteratorProtocol {
    var current: UnsafeRawPointer?
    let end: UnsafeRawPointer?

    mutating func next() -> Attribute? {
        guard let current, let end, end - current >= MemoryLayout<nlattr>.size else { return nil }
        let attribute = current.assumingMemoryBound(to: nlattr.self)
        guard mnl_attr_ok(attribute, Int32(end - current)) else { return nil }
        self.current = mnl_attr_next(attribute).map { UnsafeRawPointer($0) }
        return Attribute(start: attribute)
    }
}

/// One attribute (struct nlattr).
struct Attribute {
    let start: UnsafePointer<nlattr>

    var type: UInt16 { mnl_attr_get_type(start) }
    var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: mnl_attr_get_payload(start), count: Int(mnl_attr_get_payload_len(start)))
    }
    var uint8: UInt8? { payload.first }
    var uint32: UInt32? { number() }
    /// The first bytes as a number of this host's byte order.
    func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type = Number.self) -> Number? {
        let bytes = payload
        return bytes.count >= MemoryLayout<Number>.size ? bytes.loadUnaligned(as: Number.self) : nil
    }
    /// The first bytes as a number of network byte order.
    func bigEndian<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type = Number.self) -> Number? {
        number().map { Number(bigEndian: $0) }
    }
    var ipAddress: IPAddress? {
        switch payload.count {
        case 4: bigEndian().map { .v4(IPv4Address($0)) }
        case 16:
            .v6(
                IPv6Address(
                    high: UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self))))
        default: nil
        }
    }
    var isTrue: Bool { uint8 ?? 0 != 0 }
    /// nil for anything but six bytes.
    var mac: MACAddress? { payload.count == 6 ? MACAddress(payload.reduce(0) { $0 << 8 | UInt64($1) }) : nil }
    /// Up to the first NUL, which the kernel does not promise.
    var string: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }
    var nested: Attributes {
        let inner = payload
        return Attributes(current: inner.baseAddress, end: inner.baseAddress.map { $0 + inner.count })
    }
}

func alignedLength(_ length: Int) -> Int { (length + 3) & ~3 }

extension NetlinkMessage {
    /// What an NLMSG_ERROR or NLMSG_DONE says went wrong; nil for an acknowledgement.
    var failure: (errno: Int32, message: String?)? {
        guard let number = header(Int32.self), number < 0 else { return nil }
        guard flags & Int32(NLM_F_ACK_TLVS) != 0 else { return (-number, nil) }
        var words: String?
        // The request's header follows the number (NETLINK_CAP_ACK drops the rest of it), then the attributes.
        let attributes = type == NLMSG_ERROR ? attributes(after: nlmsgerr.self) : attributes(after: Int32.self)
        for attribute in attributes where Int(attribute.type) == Int(NLMSGERR_ATTR_MSG.rawValue) {
            words = attribute.string
        }
        return (-number, words)
    }
}
