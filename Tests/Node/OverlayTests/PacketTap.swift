import CLinux
import Glibc
import Linux
import TestSupport

/// Sees what passes through the interfaces of a namespace (packet(7)).
final class PacketTap {
    /// One IP packet as it was seen.
    struct Packet {
        let bytes: [UInt8]
        var isV6: Bool { bytes[0] >> 4 == 6 }
        var source: String { address(isV6 ? 8 : 12) }
        var destination: String { address(isV6 ? 24 : 16) }
        /// 17 is UDP.
        var transport: UInt8 { bytes[isV6 ? 6 : 9] }
        var destinationPort: UInt16 { number(22) }
        /// Whether it is a part of a larger one (IPv4).
        var isFragment: Bool { !isV6 && (UInt16(bytes[6]) << 8 | UInt16(bytes[7])) & 0x3fff != 0 }
        /// Of UDP; zero is none.
        var checksum: UInt16 { number(26) }

        private func number(_ offset: Int) -> UInt16 {
            let start = offset + (isV6 ? 20 : 0)
            return bytes.count > start + 1 ? UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1]) : 0
        }

        private func address(_ offset: Int) -> String {
            isV6
                ? (0..<8).map {
                    String(UInt16(bytes[offset + 2 * $0]) << 8 | UInt16(bytes[offset + 2 * $0 + 1]), radix: 16)
                }
                .joined(separator: ":")
                : bytes[offset..<offset + 4].map(String.init).joined(separator: ".")
        }
    }

    private let socket: OwnedDescriptor

    init(_ namespace: TestNamespace) throws {
        let everything = Int32(UInt16(3).bigEndian)  // ETH_P_ALL
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue)
        socket = OwnedDescriptor(
            owning: try check(
                cl_socket_in_netns(namespace.descriptor.number, AF_PACKET, kind, everything), "socket", "AF_PACKET"))
        var size: Int32 = 8 << 20
        try check(
            setsockopt(socket.number, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size)),
            "setsockopt")
    }

    /// The IP packets since it was asked last.
    func packets() throws -> [Packet] {
        var packets: [Packet] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(socket.number, &buffer, buffer.count, 0)
            if count < 0, errno == EAGAIN { return packets }
            try check(count, "recv", "AF_PACKET")
            if count >= 20, [4, 6].contains(buffer[0] >> 4) { packets.append(Packet(bytes: Array(buffer[..<count]))) }
        }
    }
}
