import CNetlink
import Glibc

/// Who answers at an address on a link (rtnetlink(7), RTM_NEWNEIGH): an entry of the ARP or neighbour discovery table.
public struct Neighbour: Hashable, Sendable, CustomStringConvertible {
    public var link: Int32
    public var address: IPAddress
    /// nil: not known (yet).
    public var mac: MACAddress?
    public var state: NeighbourState

    public init(link: Int32, address: IPAddress, mac: MACAddress?, state: NeighbourState = .permanent) {
        self.link = link
        self.address = address
        self.mac = mac
        self.state = state
    }

    public var description: String { "\(address) dev #\(link)" }
}

/// linux/neighbour.h, NUD_*.
public struct NeighbourState: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let incomplete = NeighbourState(rawValue: 0x01)
    public static let reachable = NeighbourState(rawValue: 0x02)
    public static let stale = NeighbourState(rawValue: 0x04)
    public static let delay = NeighbourState(rawValue: 0x08)
    public static let probe = NeighbourState(rawValue: 0x10)
    public static let failed = NeighbourState(rawValue: 0x20)
    public static let noARP = NeighbourState(rawValue: 0x40)
    public static let permanent = NeighbourState(rawValue: 0x80)
}

extension Neighbour {
    var header: ndmsg {
        var header = ndmsg()
        header.ndm_family = address.family
        header.ndm_ifindex = link
        header.ndm_state = state.rawValue
        return header
    }

    func put(in message: inout MessageWriter) {
        message.put(NDA_DST, address)
        if let mac { message.put(NDA_LLADDR, mac) }
    }

    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWNEIGH || message.type == RTM_DELNEIGH, let header = message.header(ndmsg.self),
            header.ndm_family == UInt8(AF_INET) || header.ndm_family == UInt8(AF_INET6)
        else { return nil }
        var address: IPAddress?
        var mac: MACAddress?
        for attribute in message.attributes(after: ndmsg.self) {
            switch Int(attribute.type) {
            case NDA_DST: address = attribute.ipAddress
            case NDA_LLADDR: mac = attribute.mac
            default: break
            }
        }
        guard let address else { return nil }
        self.init(
            link: header.ndm_ifindex, address: address, mac: mac, state: NeighbourState(rawValue: header.ndm_state))
    }
}
