import CNetlink
import Glibc

/// How a bridge is set up (ip-link(8), BRIDGE Type Support). What is not here stays as the kernel has it.
public struct BridgeSettings: Hashable, Sendable {
    /// The spanning tree protocol.
    public var spanningTree: Bool
    /// Hundredths of a second that a new port listens and learns before it forwards, with ``spanningTree``. The kernel
    /// makes 200 of what is less then.
    public var forwardDelay: UInt32
    /// Hundredths of a second after which a learned address that was not heard of is forgotten.
    public var ageing: UInt32
    /// Whether ports are members of VLANs and packets of others are dropped.
    public var vlanFiltering: Bool
    /// Whether multicast goes only where somebody listens.
    public var multicastSnooping: Bool

    public init(
        spanningTree: Bool = false, forwardDelay: UInt32 = 0, ageing: UInt32 = 30000, vlanFiltering: Bool = false,
        multicastSnooping: Bool = true
    ) {
        self.spanningTree = spanningTree
        self.forwardDelay = forwardDelay
        self.ageing = ageing
        self.vlanFiltering = vlanFiltering
        self.multicastSnooping = multicastSnooping
    }
}

/// How a bridge treats one of its ports (bridge(8), `bridge link set`); nil in a change leaves a property as it is.
public struct BridgePortSettings: Hashable, Sendable {
    /// Packets may leave through the port they came from.
    public var hairpin: Bool?
    /// No packets to and from other isolated ports.
    public var isolated: Bool?
    /// Whether addresses are learned from packets that arrive.
    public var learning: Bool?
    /// Whether packets for unknown addresses leave here.
    public var flooding: Bool?
    /// ARP and neighbour discovery are answered here for others and do not leave through the port.
    public var neighbourSuppression: Bool?

    public init(
        hairpin: Bool? = nil, isolated: Bool? = nil, learning: Bool? = nil, flooding: Bool? = nil,
        neighbourSuppression: Bool? = nil
    ) {
        self.hairpin = hairpin
        self.isolated = isolated
        self.learning = learning
        self.flooding = flooding
        self.neighbourSuppression = neighbourSuppression
    }
}

extension BridgeSettings {
    func put(in message: inout MessageWriter) {
        message.put(IFLA_BR_STP_STATE, UInt32(spanningTree ? 1 : 0))
        message.put(IFLA_BR_FORWARD_DELAY, forwardDelay)
        message.put(IFLA_BR_AGEING_TIME, ageing)
        // A kernel without VLAN filtering refuses the attribute.
        if vlanFiltering { message.put(IFLA_BR_VLAN_FILTERING, vlanFiltering) }
        message.put(IFLA_BR_MCAST_SNOOPING, multicastSnooping)
    }

    init(_ attributes: Attributes) {
        self.init()
        for attribute in attributes {
            switch Int(attribute.type) {
            case IFLA_BR_STP_STATE: spanningTree = attribute.uint32 != 0
            case IFLA_BR_FORWARD_DELAY: forwardDelay = attribute.uint32 ?? 0
            case IFLA_BR_AGEING_TIME: ageing = attribute.uint32 ?? 0
            case IFLA_BR_VLAN_FILTERING: vlanFiltering = attribute.isTrue
            case IFLA_BR_MCAST_SNOOPING: multicastSnooping = attribute.isTrue
            default: break
            }
        }
    }
}

extension BridgePortSettings {
    func put(in message: inout MessageWriter) {
        if let hairpin { message.put(IFLA_BRPORT_MODE, hairpin) }
        if let isolated { message.put(IFLA_BRPORT_ISOLATED, isolated) }
        if let learning { message.put(IFLA_BRPORT_LEARNING, learning) }
        if let flooding { message.put(IFLA_BRPORT_UNICAST_FLOOD, flooding) }
        if let neighbourSuppression { message.put(IFLA_BRPORT_NEIGH_SUPPRESS, neighbourSuppression) }
    }

    init(_ attributes: Attributes) {
        self.init()
        for attribute in attributes {
            switch Int(attribute.type) {
            case IFLA_BRPORT_MODE: hairpin = attribute.isTrue
            case IFLA_BRPORT_ISOLATED: isolated = attribute.isTrue
            case IFLA_BRPORT_LEARNING: learning = attribute.isTrue
            case IFLA_BRPORT_UNICAST_FLOOD: flooding = attribute.isTrue
            case IFLA_BRPORT_NEIGH_SUPPRESS: neighbourSuppression = attribute.isTrue
            default: break
            }
        }
    }
}
