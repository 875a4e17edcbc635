import NFTables
import Netlink

/// The table `inet swiftlet-overlay` as a value.
///
/// A mark on a pod's packet, set to have it masqueraded, stays on it when it is encapsulated (skb_scrub_packet clears it
/// only between namespaces). The outer packet would be masqueraded too, with a source port of its own: tracked for
/// nothing, its checksum spoiled by some cards, 63 seconds lost (kubernetes/kubernetes#88986). So the mark ends here,
/// before postrouting sees it, and outer packets are not tracked, which no rule of others can masquerade.
enum OverlayRules {
    static let table = TableName(.inet, "swiftlet-overlay")

    /// For packets of encapsulation to UDP port `port`.
    static func table(port: UInt16) -> Table {
        let isOverlay = Statement.match(.payload(.udpDestination), .equal, .port(port))
        return Table(
            table,
            chains: [
                Chain(
                    "output", hook: BaseChain(.filter, .output, priority: BaseChain.rawPriority),
                    rules: [Rule(isOverlay, .setMeta(.mark, .literal(.mark(0))), .notrack)]),
                // Not what a pod sends to such a port elsewhere: that is translated like the rest.
                Chain(
                    "prerouting", hook: BaseChain(.filter, .prerouting, priority: BaseChain.rawPriority),
                    rules: [
                        Rule(isOverlay, .match(.fibType(.destinationAddress), .equal, .localAddress), .notrack)
                    ]),
            ])
    }
}
