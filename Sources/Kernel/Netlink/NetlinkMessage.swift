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
    var bytes: [UInt8] { Array(payload) }
    var uint32: UInt32? { payload.count >= 4 ? payload.loadUnaligned(as: UInt32.self) : nil }
    /// Up to the first NUL, which the kernel does not promise.
    var string: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }
    var nested: Attributes {
        let inner = payload
        return Attributes(current: inner.baseAddress, end: inner.baseAddress.map { $0 + inner.count })
    }
}

func alignedLength(_ length: Int) -> Int { (length + 3) & ~3 }

/// Messages laid out one after another, to be sent in one go.
struct NetlinkBatch: ~Copyable {
    /// Room for one message; none of ours comes near it.
    static let messageLimit = 4096
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var size = 0
    private(set) var count = 0

    init(messages: Int) {
        memory = .allocate(byteCount: messages * Self.messageLimit, alignment: 8)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<size]) }

    /// Appends a message whose fixed part is `header` and whose attributes `body` puts.
    mutating func append<Header: BitwiseCopyable>(
        type: Int, flags: Int32, sequence: UInt32, header: Header, _ body: (inout MessageWriter) -> Void
    ) throws(NetlinkError) {
        guard memory.count - size >= Self.messageLimit, let base = memory.baseAddress,
            let message = mnl_nlmsg_put_header(base + size)
        else { throw NetlinkError(operation: "build message", subject: "", errno: EMSGSIZE) }
        message.pointee.nlmsg_type = UInt16(type)
        message.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST | flags)
        message.pointee.nlmsg_seq = sequence
        mnl_nlmsg_put_extra_header(message, MemoryLayout<Header>.size)?
            .copyMemory(from: [header], byteCount: MemoryLayout<Header>.size)
        var writer = MessageWriter(message: message)
        body(&writer)
        guard writer.fits else { throw NetlinkError(operation: "build message", subject: "", errno: EMSGSIZE) }
        size += alignedLength(Int(message.pointee.nlmsg_len))
        count += 1
    }
}

/// Puts attributes into a message; an attribute that does not fit is noted, not written past the end.
struct MessageWriter {
    fileprivate let message: UnsafeMutablePointer<nlmsghdr>
    fileprivate(set) var fits = true

    mutating func put(_ type: Int, _ value: UInt32) {
        if !mnl_attr_put_u32_check(message, NetlinkBatch.messageLimit, UInt16(type), value) { fits = false }
    }
    mutating func put(_ type: Int, _ bytes: [UInt8]) {
        if !mnl_attr_put_check(message, NetlinkBatch.messageLimit, UInt16(type), bytes.count, bytes) { fits = false }
    }
    mutating func put(_ type: Int, _ text: String) {
        if !mnl_attr_put_strz_check(message, NetlinkBatch.messageLimit, UInt16(type), text) { fits = false }
    }
    /// A fixed struct inside of a nest, such as the ifinfomsg of a veth's peer.
    mutating func putStruct<Value: BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        let length = alignedLength(Int(message.pointee.nlmsg_len))
        guard length + size <= NetlinkBatch.messageLimit, let tail = mnl_nlmsg_get_payload_tail(message) else {
            fits = false
            return
        }
        tail.copyMemory(from: [value], byteCount: size)
        message.pointee.nlmsg_len += UInt32(alignedLength(size))
    }
    mutating func nest(_ type: Int, _ body: (inout MessageWriter) -> Void) {
        guard let start = mnl_attr_nest_start_check(message, NetlinkBatch.messageLimit, UInt16(type)) else {
            fits = false
            return
        }
        body(&self)
        mnl_attr_nest_end(message, start)
    }
}
