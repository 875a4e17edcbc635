import CNetlink
import Glibc

/// Behind which tunnel end an Ethernet address is found: an entry of a VXLAN device's own forwarding table (bridge(8),
/// `bridge fdb … self`). The tables of bridges, which name ports instead, are not looked at here.
public struct ForwardingEntry: Hashable, Sendable, CustomStringConvertible {
    /// The VXLAN device.
    public var link: Int32
    /// Zero stands for every address without an entry of its own.
    public var mac: MACAddress
    /// Address of the tunnel's other end.
    public var destination: IPAddress
    /// ``NeighbourState/permanent`` or ``NeighbourState/reachable``, with or without ``NeighbourState/noARP``; one that
    /// is not permanent ages.
    public var state: NeighbourState
    /// UDP port there; nil: the device's.
    public var port: UInt16?
    /// nil: the device's.
    public var vni: UInt32?
    /// Index of the device that packets leave through; nil: what the routing table says.
    public var underlay: Int32?

    public init(
        link: Int32, mac: MACAddress, destination: IPAddress, state: NeighbourState = .permanent, port: UInt16? = nil,
        vni: UInt32? = nil, underlay: Int32? = nil
    ) {
        self.link = link
        self.mac = mac
        self.destination = destination
        self.state = state
        self.port = port
        self.vni = vni
        self.underlay = underlay
    }

    public var description: String { "\(mac) dst \(destination) dev #\(link)" }
}

extension ForwardingEntry {
    var header: ndmsg {
        var header = ndmsg()
        header.ndm_family = UInt8(AF_BRIDGE)
        header.ndm_ifindex = link
        header.ndm_state = state.rawValue
        // The device's own table, not that of a bridge it may be a port of.
        header.ndm_flags = UInt8(NTF_SELF)
        return header
    }

    func put(in message: inout MessageWriter) {
        message.put(NDA_LLADDR, mac)
        message.put(NDA_DST, destination)
        if let port { message.put(NDA_PORT, port.bigEndian) }
        if let vni { message.put(NDA_VNI, vni) }
        if let underlay { message.put(NDA_IFINDEX, underlay) }
    }

    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWNEIGH || message.type == RTM_DELNEIGH, let header = message.header(ndmsg.self),
            header.ndm_family == UInt8(AF_BRIDGE)
        else { return nil }
        var mac: MACAddress?
        var destination: IPAddress?
        var port: UInt16?
        var vni: UInt32?
        var underlay: Int32?
        for attribute in message.attributes(after: ndmsg.self) {
            switch Int(attribute.type) {
            case NDA_LLADDR: mac = attribute.mac
            case NDA_DST: destination = attribute.ipAddress
            case NDA_PORT: port = attribute.bigEndian()
            case NDA_VNI: vni = attribute.uint32
            case NDA_IFINDEX: underlay = attribute.number()
            default: break
            }
        }
        guard let mac, let destination else { return nil }
        self.init(
            link: header.ndm_ifindex, mac: mac, destination: destination,
            state: NeighbourState(rawValue: header.ndm_state), port: port, vni: vni, underlay: underlay)
    }
}
