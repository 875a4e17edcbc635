// A growing buffer of netlink messages: one batch, one sendmsg.
import CNFTables
import Glibc

/// Messages one after another, each built in place by libmnl and libnftnl, which check no bounds: room for the largest
/// possible message is made before each begins.
struct MessageBuffer: ~Copyable {
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    /// Bytes of finished messages.
    private(set) var count = 0

    /// A message may hold one attribute of 64 KB, its header and small attributes.
    static let room = 160 << 10

    init() {
        capacity = 2 * Self.room
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    /// Where the next message begins.
    mutating func next() -> UnsafeMutablePointer<CChar> {
        if capacity - count < Self.room {
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity * 2, alignment: 16)
            larger.copyMemory(from: memory, byteCount: count)
            memory.deallocate()
            memory = larger
            capacity *= 2
        }
        return (memory + count).assumingMemoryBound(to: CChar.self)
    }

    /// Ends the message that began at ``next()``.
    mutating func finish(_ header: UnsafeMutablePointer<nlmsghdr>) {
        count += (Int(header.pointee.nlmsg_len) + 3) & ~3
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: memory, count: count))
    }
}
