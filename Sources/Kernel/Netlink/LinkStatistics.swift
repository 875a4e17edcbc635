import CNetlink

/// What an interface counted since it was made (linux/if_link.h, struct rtnl_link_stats64).
public struct LinkStatistics: Hashable, Sendable {
    public var receivedPackets: UInt64
    public var receivedBytes: UInt64
    public var receiveErrors: UInt64
    public var receiveDrops: UInt64
    public var sentPackets: UInt64
    public var sentBytes: UInt64
    public var sendErrors: UInt64
    public var sendDrops: UInt64
}

extension LinkStatistics {
    init?(_ attribute: Attribute) {
        // Newer kernels append fields to the struct; those needed here are its first.
        var numbers: [UInt64] = []
        for offset in stride(from: 0, to: 8 * MemoryLayout<UInt64>.size, by: MemoryLayout<UInt64>.size) {
            guard attribute.payload.count >= offset + MemoryLayout<UInt64>.size else { return nil }
            numbers.append(attribute.payload.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        self.init(
            receivedPackets: numbers[0], receivedBytes: numbers[2], receiveErrors: numbers[4],
            receiveDrops: numbers[6], sentPackets: numbers[1], sentBytes: numbers[3], sendErrors: numbers[5],
            sendDrops: numbers[7])
    }
}
