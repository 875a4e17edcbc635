import CNetlink
import Glibc

/// An interface to be made.
public struct NewLink: Hashable, Sendable {
    public var name: String
    public var kind: LinkKind
    /// nil: the kernel chooses one at random.
    public var mac: MACAddress?
    /// Bytes; nil: what the driver has.
    public var mtu: UInt32?
    public var alias: String?
    public var isUp: Bool
    /// Index of the bridge or bond that it becomes a port of.
    public var master: Int32?
    /// nil: as the namespace has it (net.ipv6.conf.default.addr_gen_mode).
    public var addrGenMode: AddressGenerationMode?

    public init(
        name: String, kind: LinkKind, mac: MACAddress? = nil, mtu: UInt32? = nil, alias: String? = nil,
        isUp: Bool = false, master: Int32? = nil, addrGenMode: AddressGenerationMode? = nil
    ) {
        self.name = name
        self.kind = kind
        self.mac = mac
        self.mtu = mtu
        self.alias = alias
        self.isUp = isUp
        self.master = master
        self.addrGenMode = addrGenMode
    }
}

/// The driver of a new interface, and how it is set up.
public enum LinkKind: Hashable, Sendable {
    case bridge(BridgeSettings)
    case vxlan(VXLANSettings)

    /// As ``Link/kind`` has it.
    public var name: String {
        switch self {
        case .bridge: "bridge"
        case .vxlan: "vxlan"
        }
    }
}

/// A veth pair to be made, one end here, the other at once in another namespace under its final name: nothing is
/// renamed or moved afterwards (veth(4)).
public struct VethPair: Sendable {
    public var name: String
    public var mac: MACAddress?
    /// Whether the end here starts up; the peer cannot, as it comes first and has no other end yet (veth_open, ENOTCONN).
    public var isUp: Bool
    /// Index of the bridge that the end here becomes a port of.
    public var master: Int32?
    public var peerName: String
    public var peerMAC: MACAddress?
    /// Descriptor of the peer's network namespace; it stays the caller's. nil: this namespace.
    public var peerNamespace: Int32?
    /// Bytes, for both ends; nil: the kernel's 1500.
    public var mtu: UInt32?

    public init(
        name: String, mac: MACAddress? = nil, isUp: Bool = true, master: Int32? = nil, peerName: String,
        peerMAC: MACAddress? = nil, peerNamespace: Int32? = nil, mtu: UInt32? = nil
    ) {
        self.name = name
        self.mac = mac
        self.isUp = isUp
        self.master = master
        self.peerName = peerName
        self.peerMAC = peerMAC
        self.peerNamespace = peerNamespace
        self.mtu = mtu
    }
}

extension NewLink {
    /// What the kernel takes no notice of while it makes an interface, or refuses (rtnl_newlink_create), and after
    /// that what must wait for it: a message that brings an interface up does so first (do_setlink).
    var completion: [LinkChange] {
        guard alias != nil || addrGenMode != nil else { return [] }
        return [LinkChange(alias: alias, addrGenMode: addrGenMode)] + (isUp ? [LinkChange(isUp: true)] : [])
    }

    func put(in message: inout MessageWriter) {
        message.put(IFLA_IFNAME, name)
        if let mac { message.put(IFLA_ADDRESS, mac) }
        if let mtu { message.put(IFLA_MTU, mtu) }
        if let master { message.put(IFLA_MASTER, master) }
        message.nest(IFLA_LINKINFO) {
            $0.put(IFLA_INFO_KIND, kind.name)
            $0.nest(IFLA_INFO_DATA) {
                switch kind {
                case .bridge(let settings): settings.put(in: &$0)
                case .vxlan(let settings): settings.put(in: &$0)
                }
            }
        }
    }
}

extension VethPair {
    func put(in message: inout MessageWriter) {
        message.put(IFLA_IFNAME, name)
        if let mac { message.put(IFLA_ADDRESS, mac) }
        if let mtu { message.put(IFLA_MTU, mtu) }
        if let master { message.put(IFLA_MASTER, master) }
        message.nest(IFLA_LINKINFO) {
            $0.put(IFLA_INFO_KIND, "veth")
            $0.nest(IFLA_INFO_DATA) {
                $0.nest(Int(VETH_INFO_PEER)) {
                    $0.putStruct(linkHeader())
                    $0.put(IFLA_IFNAME, peerName)
                    if let peerMAC { $0.put(IFLA_ADDRESS, peerMAC) }
                    if let mtu { $0.put(IFLA_MTU, mtu) }
                    if let peerNamespace { $0.put(IFLA_NET_NS_FD, peerNamespace) }
                }
            }
        }
    }
}
