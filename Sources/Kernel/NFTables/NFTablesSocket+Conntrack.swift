// Connections that netfilter tracks (linux/netfilter/nfnetlink_conntrack.h). A rule that translates addresses sees only
// the first packet of a connection; the others follow the tracked entry. UDP has no end, so an entry outlives the rule
// and has to be forgotten by hand when it leads nowhere any more.
import CNFTables
import Glibc

/// A tracked connection: where its first packet was addressed to, and who answers.
public struct TrackedConnection: Sendable, Hashable {
    /// An address, four or sixteen bytes in network order, and a port.
    public struct End: Sendable, Hashable {
        public var address: [UInt8]
        public var port: UInt16

        public init(address: [UInt8], port: UInt16) { (self.address, self.port) = (address, port) }
    }

    /// What the first packet was sent to.
    public var destination: End
    /// Where answers come from: another end than ``destination`` where the destination was translated.
    public var answerer: End
}

extension NFTablesSocket {
    /// Forgets the connections of protocol `transport` that `matches` says; how many there were. Reads all connections of
    /// the family (ipv4 or ipv6) in this network namespace: costs time in proportion to them. (The kernel could look for
    /// them itself, but with IPv6 addresses finds all others: ctnetlink_filter_match_tuple, Linux 5.8 to 6.18.)
    @discardableResult
    public mutating func forgetConnections(
        of transport: TransportProtocol, family: Family = .ipv4, where matches: (TrackedConnection) -> Bool
    ) throws(NFTablesError) -> Int {
        var tuples: [[UInt8]] = []
        // Entries come and go all the time; a dump of them is never marked as interrupted.
        try request(
            UInt16(IPCTNL_MSG_CT_GET.rawValue), family, subsystem: NFNL_SUBSYS_CTNETLINK, flags: NLM_F_DUMP
        ) { message in
            guard let original = message.attribute(UInt16(CTA_TUPLE_ORIG.rawValue)),
                let reply = message.attribute(UInt16(CTA_TUPLE_REPLY.rawValue)),
                let sent = Tuple(original.nested), let answered = Tuple(reply.nested),
                sent.transport == transport.rawValue,
                matches(TrackedConnection(destination: sent.destination, answerer: answered.source))
            else { return }
            tuples.append(original.array)
        }
        var count = 0
        for tuple in tuples {
            do throws(NFTablesError) {
                try request(
                    UInt16(IPCTNL_MSG_CT_DELETE.rawValue), family, subsystem: NFNL_SUBSYS_CTNETLINK,
                    flags: NLM_F_ACK,
                    attributes: {
                        mnl_attr_put(
                            $0, UInt16(CTA_TUPLE_ORIG.rawValue) | UInt16(NLA_F_NESTED), tuple.count, tuple)
                    }
                ) { _ in }
                count += 1
            } catch {
                // It ended by itself meanwhile.
                guard case .refused(_, ENOENT, _) = error else { throw error }
            }
        }
        return count
    }
}

/// One direction of a connection.
private struct Tuple {
    var source = TrackedConnection.End(address: [], port: 0)
    var destination = TrackedConnection.End(address: [], port: 0)
    var transport: UInt8 = 0

    /// Nil for what has no ports.
    init?(_ attributes: AttributeList) {
        var found = 0
        for part in attributes {
            for attribute in part.nested {
                switch (UInt32(part.type), UInt32(attribute.type)) {
                case (CTA_TUPLE_IP.rawValue, CTA_IP_V4_SRC.rawValue), (CTA_TUPLE_IP.rawValue, CTA_IP_V6_SRC.rawValue):
                    source.address = attribute.array
                case (CTA_TUPLE_IP.rawValue, CTA_IP_V4_DST.rawValue), (CTA_TUPLE_IP.rawValue, CTA_IP_V6_DST.rawValue):
                    destination.address = attribute.array
                case (CTA_TUPLE_PROTO.rawValue, CTA_PROTO_NUM.rawValue): transport = attribute.bytes.first ?? 0
                case (CTA_TUPLE_PROTO.rawValue, CTA_PROTO_SRC_PORT.rawValue): source.port = attribute.port
                case (CTA_TUPLE_PROTO.rawValue, CTA_PROTO_DST_PORT.rawValue): destination.port = attribute.port
                default: continue
                }
                found += 1
            }
        }
        guard found == 5 else { return nil }
    }
}

extension Attribute {
    fileprivate var port: UInt16 { count == 2 ? UInt16(bytes[0]) << 8 | UInt16(bytes[1]) : 0 }
}
