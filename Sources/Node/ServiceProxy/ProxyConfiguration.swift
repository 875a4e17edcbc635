// What a node decides once about its proxy.
import NFTables
import Netlink

/// How the proxy's table is made. Changing it replaces the rules, not the elements.
public struct ProxyConfiguration: Sendable, Hashable {
    /// The node's addresses on which NodePorts answer.
    public enum NodePortAddresses: Sendable, Hashable {
        /// All addresses that the routing table calls local at the time of the packet, but 127.0.0.0/8.
        case local
        /// These and no other.
        case only([IPv4Address])
    }

    /// Which connections reach endpoints with the node's address as their source, so that answers come back through it.
    public enum Masquerading: Sendable, Hashable {
        /// Those that come from elsewhere than the pods' network.
        case fromOutside(of: IPv4Network)
        case everything
    }

    /// The table, and with it all rules: nothing outside of it is touched.
    public var table = TableName(.ipv4, "swiftlet-proxy")
    /// Where cluster IPs come from. Packets for an address in it that no Service has are dropped; nil drops none.
    public var serviceNetwork: IPv4Network?
    public var masquerading: Masquerading
    public var nodePortAddresses = NodePortAddresses.local
    /// The one bit of the packet mark that the proxy sets and clears; it leaves the others alone.
    public var mark: UInt32 = 0x4000

    public init(
        serviceNetwork: IPv4Network? = nil, masquerading: Masquerading,
        nodePortAddresses: NodePortAddresses = .local
    ) {
        (self.serviceNetwork, self.masquerading) = (serviceNetwork, masquerading)
        self.nodePortAddresses = nodePortAddresses
    }
}

/// An IPv4 network: the address bits after the prefix are zero.
public struct IPv4Network: Sendable, Hashable, CustomStringConvertible {
    public let address: IPv4Address
    /// 0 to 32.
    public let prefixLength: Int

    /// Nil for an IPv6 network.
    public init?(_ network: CIDR) {
        guard case .v4(let address) = network.address else { return nil }
        (self.address, prefixLength) = (address, network.prefixLength)
    }

    /// `10.244.0.0/16`; nil for anything else, host bits included.
    public init?(_ text: String) {
        guard let network = CIDR(text) else { return nil }
        self.init(network)
    }

    public var description: String { "\(address)/\(prefixLength)" }

    var literal: Literal { .ipv4(address.value, prefixLength: prefixLength) }
}
