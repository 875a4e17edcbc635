import CNetlink
import Glibc

/// What shall be different about an interface; nil leaves a property as it is.
public struct LinkChange: Hashable, Sendable {
    public var isUp: Bool?
    /// A rename needs an interface referred to by index.
    public var name: String?
    public var alias: String?
    public var mtu: UInt32?
    public var mac: MACAddress?
    /// 0 takes the interface out of its bridge or bond.
    public var master: Int32?
    /// How the bridge treats it; EOPNOTSUPP where it was no bridge's port before this change.
    public var bridgePort: BridgePortSettings?
    /// What addresses the interface gives itself when it comes up. In one change with ``isUp`` it is too late for that.
    public var addrGenMode: AddressGenerationMode?
    /// This interface's own IPv4 settings, as below /proc/sys/net/ipv4/conf.
    public var ipv4: [IPv4Setting: UInt32]

    public init(
        isUp: Bool? = nil, name: String? = nil, alias: String? = nil, mtu: UInt32? = nil, mac: MACAddress? = nil,
        master: Int32? = nil, bridgePort: BridgePortSettings? = nil, addrGenMode: AddressGenerationMode? = nil,
        ipv4: [IPv4Setting: UInt32] = [:]
    ) {
        self.isUp = isUp
        self.name = name
        self.alias = alias
        self.mtu = mtu
        self.mac = mac
        self.master = master
        self.bridgePort = bridgePort
        self.addrGenMode = addrGenMode
        self.ipv4 = ipv4
    }
}

/// Per interface settings that travel in IFLA_AF_SPEC (linux/ip.h, IPV4_DEVCONF_*): no file below /proc/sys is opened.
public enum IPv4Setting: UInt16, Hashable, Sendable {
    case forwarding = 1
    case proxyARP = 3
    /// 0 off, 1 strict (RFC 3704): a packet is dropped unless its source is reached through the interface it came from.
    case reversePathFilter = 8
    /// 1: 127.0.0.0/8 may be routed over this interface.
    case routeLocalnet = 26
}

/// How an interface makes its link-local IPv6 address, and others in networks that routers announce
/// (linux/if_link.h, IN6_ADDR_GEN_MODE_*).
public enum AddressGenerationMode: UInt8, Hashable, Sendable {
    case eui64
    /// Not at all.
    case none
    case stablePrivacy
    case random
}

extension LinkChange {
    func put(of link: LinkReference, in message: inout MessageWriter) {
        message.put(nameOf: link)
        if let name, case .index = link { message.put(IFLA_IFNAME, name) }
        if let alias { message.put(IFLA_IFALIAS, alias) }
        if let mtu { message.put(IFLA_MTU, mtu) }
        if let mac { message.put(IFLA_ADDRESS, mac) }
        if let master { message.put(IFLA_MASTER, master) }
        if let bridgePort {
            message.nest(IFLA_LINKINFO) {
                $0.put(IFLA_INFO_SLAVE_KIND, "bridge")
                $0.nest(IFLA_INFO_SLAVE_DATA) { bridgePort.put(in: &$0) }
            }
        }
        guard !ipv4.isEmpty || addrGenMode != nil else { return }
        message.nest(IFLA_AF_SPEC) {
            if !ipv4.isEmpty {
                $0.nest(Int(AF_INET)) {
                    $0.nest(Int(IFLA_INET_CONF)) {
                        for (setting, value) in ipv4 { $0.put(Int(setting.rawValue), value) }
                    }
                }
            }
            if let addrGenMode {
                $0.nest(Int(AF_INET6)) { $0.put(IFLA_INET6_ADDR_GEN_MODE, addrGenMode.rawValue) }
            }
        }
    }
}
