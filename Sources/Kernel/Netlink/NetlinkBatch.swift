import CNetlink
import Glibc

/// Messages laid out one after another, to be sent in one go.
struct NetlinkBatch: ~Copyable {
    /// Room for one message; none of ours comes near it.
    static let messageLimit = 4096
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var size = 0
    private(set) var count = 0
    /// Of the last message.
    private(set) var lastSequence: UInt32 = 0
    /// Where the last message begins.
    private var last = 0

    /// Room for at least one message, and mostly for hundreds.
    init() { memory = .allocate(byteCount: 8 * Self.messageLimit, alignment: 8) }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<size]) }

    /// Whether one more message fits whatever its size.
    var hasRoom: Bool { memory.count - size >= Self.messageLimit }

    /// Appends a message whose fixed part is `header` and whose attributes `body` puts.
    mutating func append<Header: BitwiseCopyable>(
        type: Int, flags: Int32, sequence: UInt32, header: Header, _ body: (inout MessageWriter) -> Void = { _ in }
    ) throws(NetlinkError) {
        guard hasRoom, let base = memory.baseAddress, let message = mnl_nlmsg_put_header(base + size)
        else { throw NetlinkError(operation: "build message", subject: "", errno: EMSGSIZE) }
        message.pointee.nlmsg_type = UInt16(type)
        message.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST | flags)
        message.pointee.nlmsg_seq = sequence
        mnl_nlmsg_put_extra_header(message, MemoryLayout<Header>.size)?
            .storeBytes(of: header, as: Header.self)
        var writer = MessageWriter(message: message)
        body(&writer)
        guard writer.fits else { throw NetlinkError(operation: "build message", subject: "", errno: EMSGSIZE) }
        last = size
        lastSequence = sequence
        size += alignedLength(Int(message.pointee.nlmsg_len))
        count += 1
    }

    /// Has the kernel answer the last message in any case. It answers in order, and those before at least where they
    /// fail: what was not answered by then has succeeded.
    mutating func acknowledgeLast() {
        guard count > 0, let base = memory.baseAddress else { return }
        (base + last).assumingMemoryBound(to: nlmsghdr.self).pointee.nlmsg_flags |= UInt16(NLM_F_ACK)
    }
}

/// Puts attributes into a message; an attribute that does not fit is noted, not written past the end.
struct MessageWriter {
    fileprivate let message: UnsafeMutablePointer<nlmsghdr>
    fileprivate(set) var fits = true

    fileprivate init(message: UnsafeMutablePointer<nlmsghdr>) { self.message = message }

    mutating func put(_ type: Int, _ bytes: UnsafeRawBufferPointer) {
        if !mnl_attr_put_check(message, NetlinkBatch.messageLimit, UInt16(type), bytes.count, bytes.baseAddress) {
            fits = false
        }
    }
    /// A number of 8, 16, 32 or 64 bits in this host's byte order.
    mutating func put(_ type: Int, _ value: some FixedWidthInteger & BitwiseCopyable) {
        withUnsafeBytes(of: value) { put(type, $0) }
    }
    /// 0 or 1 in one byte.
    mutating func put(_ type: Int, _ value: Bool) { put(type, UInt8(value ? 1 : 0)) }
    mutating func put(_ type: Int, _ text: String) {
        if !mnl_attr_put_strz_check(message, NetlinkBatch.messageLimit, UInt16(type), text) { fits = false }
    }
    mutating func put(_ type: Int, _ address: IPAddress) {
        switch address {
        case .v4(let v4): put(type, v4.value.bigEndian)
        case .v6(let v6): withUnsafeBytes(of: (v6.high.bigEndian, v6.low.bigEndian)) { put(type, $0) }
        }
    }
    mutating func put(_ type: Int, _ mac: MACAddress) {
        // The last six of eight bytes in network order.
        withUnsafeBytes(of: mac.value.bigEndian) { put(type, UnsafeRawBufferPointer(rebasing: $0[2...])) }
    }
    /// An attribute that says something by being there.
    mutating func putFlag(_ type: Int) { put(type, UnsafeRawBufferPointer(start: nil, count: 0)) }
    /// A fixed struct inside of a nest, such as the ifinfomsg of a veth's peer.
    mutating func putStruct<Value: BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        let length = alignedLength(Int(message.pointee.nlmsg_len))
        guard length + size <= NetlinkBatch.messageLimit, let tail = mnl_nlmsg_get_payload_tail(message) else {
            fits = false
            return
        }
        withUnsafeBytes(of: value) { UnsafeMutableRawBufferPointer(start: tail, count: size).copyMemory(from: $0) }
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
