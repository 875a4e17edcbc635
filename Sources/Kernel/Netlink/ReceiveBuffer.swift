import CNetlink
import Glibc
import Linux

/// Where datagrams of a netlink socket arrive.
struct ReceiveBuffer: ~Copyable {
    // The kernel fills 32 KiB of a list at most (netlink_dump).
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 8)

    deinit { memory.deallocate() }

    /// Throws away what waits.
    func drain(_ socket: borrowing OwnedDescriptor) {
        while receive(from: socket, flags: Int32(MSG_DONTWAIT)) >= 0 || errno == EINTR || errno == ENOBUFS {}
    }

    /// Reads one datagram: its size, or -1 and errno.
    func receive(from socket: borrowing OwnedDescriptor, flags: Int32 = 0) -> Int {
        let size = recv(socket.number, memory.baseAddress, memory.count, Int32(MSG_TRUNC) | flags)
        guard size > memory.count else { return size }
        errno = EMSGSIZE
        return -1
    }

    /// The messages in the first `size` bytes.
    func forEachMessage(
        _ size: Int, _ body: (NetlinkMessage) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        try NetlinkMessage.forEach(in: UnsafeRawBufferPointer(memory), size: size, body)
    }
}
