import CNetlink
import Glibc

/// A queueing discipline: how packets wait to leave through an interface (tc(8)).
public struct Qdisc: Hashable, Sendable {
    public var link: Int32
    /// `noqueue`, `tbf` …
    public var kind: String
    /// The upper half is what tc prints before the colon; 0 for what the kernel put there by itself.
    public var handle: UInt32
    public var parent: UInt32
    /// If it is a token bucket.
    public var tokenBucket: TokenBucket?
    public var statistics: QdiscStatistics

    /// Whether it is the interface's own, not part of another.
    public var isRoot: Bool { parent == TC_H_ROOT }
}

/// What a queue counted since it was made (linux/gen_stats.h).
public struct QdiscStatistics: Hashable, Sendable {
    public var sentBytes: UInt64 = 0
    public var sentPackets: UInt32 = 0
    /// Packets for which there was no room.
    public var drops: UInt32 = 0
    /// How often a packet had to wait.
    public var overlimits: UInt32 = 0
    /// Bytes that wait now.
    public var backlog: UInt32 = 0
}

extension RouteSocket {
    /// The queues of every interface; those that the kernel put there by itself too.
    public mutating func qdiscs() throws(NetlinkError) -> [Qdisc] {
        try dump("list queues", RTM_GETQDISC, tcmsg()) { Qdisc($0) }
    }

    /// The root queue of one interface; nil where nobody set one, or where there is no such interface.
    public mutating func rootQdisc(of link: Int32) throws(NetlinkError) -> Qdisc? {
        // Without the flag only those are told who subscribed to news of queues (rtnetlink_send).
        try ask(
            "get queue", "dev #\(link)", type: RTM_GETQDISC, flags: NLM_F_ECHO, header: rootQdiscHeader(of: link),
            absent: [ENOENT, ENODEV], { _ in }, { Qdisc($0).flatMap { $0.handle == 0 ? nil : $0 } })
    }
}

func rootQdiscHeader(of link: Int32) -> tcmsg {
    var header = tcmsg()
    header.tcm_ifindex = link
    header.tcm_parent = UInt32(TC_H_ROOT)
    return header
}

extension Qdisc {
    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWQDISC, let header = message.header(tcmsg.self) else { return nil }
        self.init(
            link: header.tcm_ifindex, kind: "", handle: header.tcm_handle, parent: header.tcm_parent,
            statistics: QdiscStatistics())
        // The kernel puts the kind before the options.
        for attribute in message.attributes(after: tcmsg.self) {
            switch Int(attribute.type) {
            case TCA_KIND: kind = attribute.string
            case TCA_OPTIONS where kind == "tbf": tokenBucket = TokenBucket(attribute.nested)
            case TCA_STATS2: statistics = QdiscStatistics(attribute.nested)
            default: break
            }
        }
    }
}

extension QdiscStatistics {
    fileprivate init(_ attributes: Attributes) {
        for attribute in attributes {
            let bytes = attribute.payload
            switch Int(attribute.type) {
            case TCA_STATS_BASIC where bytes.count >= 12:  // struct gnet_stats_basic without its padding
                sentBytes = bytes.loadUnaligned(as: UInt64.self)
                sentPackets = bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            case TCA_STATS_QUEUE where bytes.count >= MemoryLayout<gnet_stats_queue>.size:
                let queue = bytes.loadUnaligned(as: gnet_stats_queue.self)
                drops = queue.drops
                overlimits = queue.overlimits
                backlog = queue.backlog
            default: break
            }
        }
    }
}
