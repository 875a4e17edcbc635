import Glibc

/// An ICMP or ICMPv6 echo request (RFC 792; RFC 4443, 4.1).
struct EchoPacket {
    let bytes: [UInt8]

    init(identifier: UInt16, sequence: UInt16, payload: Int, to destination: IPAddress) {
        let isIPv4 = destination.bitWidth == 32
        var bytes: [UInt8] = [isIPv4 ? 8 : 128, 0, 0, 0]
        for number in [identifier, sequence] { bytes += [UInt8(number >> 8), UInt8(number & 0xff)] }
        bytes += (0..<max(payload, 0)).map { UInt8(truncatingIfNeeded: $0) }
        if isIPv4 {
            let sum = Self.checksum(bytes)
            (bytes[2], bytes[3]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
        }
        // The kernel computes that of ICMPv6, which needs the addresses.
        self.bytes = bytes
    }

    /// RFC 1071
    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() { sum &+= index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }

    /// How an echo request or reply begins.
    struct Header {
        let isReply: Bool
        let identifier: UInt16
        let sequence: UInt16

        /// nil for what is neither.
        init?(_ packet: ArraySlice<UInt8>, hasIPHeader: Bool) {
            var message = packet
            if hasIPHeader {
                guard let first = packet.first else { return nil }
                message = packet.dropFirst(Int(first & 0xf) * 4)
            }
            guard message.count >= 8, let type = message.first, [0, 8, 128, 129].contains(type) else { return nil }
            let start = message.startIndex
            isReply = type == (hasIPHeader ? 0 : 129)
            identifier = UInt16(message[start + 4]) << 8 | UInt16(message[start + 5])
            sequence = UInt16(message[start + 6]) << 8 | UInt16(message[start + 7])
        }
    }
}

extension IPAddress {
    /// The address as bind(2) and connect(2) take it; `link` is where a link-local address of IPv6 lies.
    func withSocketAddress<Result>(
        link: Int32? = nil, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        func call<Address>(_ address: Address) -> Result {
            withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<Address>.size))
                }
            }
        }
        switch self {
        case .v4(let v4):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = v4.value.bigEndian
            return call(address)
        case .v6(let v6):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: v6.bytes) }
            if v6.high >> 54 == 0xfe80 >> 6 { address.sin6_scope_id = UInt32(bitPattern: link ?? 0) }
            return call(address)
        }
    }
}
