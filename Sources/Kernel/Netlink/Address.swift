import CNetlink
import Glibc

/// An address of an interface (rtnetlink(7), RTM_NEWADDR).
public struct Address: Hashable, Sendable, CustomStringConvertible {
    public var link: Int32
    public var address: IPAddress
    /// 0 to 32, or 0 to 128.
    public var prefixLength: Int
    public var scope: RouteScope
    public var flags: AddressFlags

    public init(
        link: Int32, address: IPAddress, prefixLength: Int, scope: RouteScope = .universe, flags: AddressFlags = []
    ) {
        self.link = link
        self.address = address
        self.prefixLength = prefixLength
        self.scope = scope
        self.flags = flags
    }

    public var description: String { "\(address)/\(prefixLength) dev #\(link)" }
}

/// What is asked for an address beyond its being there (linux/if_addr.h, IFA_F_*). What only the kernel says of one
/// (permanent, tentative …) is not among them, so that an address that was listed equals the one that was set.
public struct AddressFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// IPv6: of use at once, without asking whether somebody else has it (RFC 4862, 5.4).
    public static let noDAD = AddressFlags(rawValue: 0x02)
    /// No route to the address's network comes with it.
    public static let noPrefixRoute = AddressFlags(rawValue: 0x200)

    static let all: AddressFlags = [.noDAD, .noPrefixRoute]
}

/// How far a destination or address reaches (`/etc/iproute2/rt_scopes`).
public struct RouteScope: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let universe = RouteScope(rawValue: 0)
    public static let link = RouteScope(rawValue: 253)
    public static let host = RouteScope(rawValue: 254)
    public static let nowhere = RouteScope(rawValue: 255)
}

extension IPAddress {
    var family: UInt8 {
        switch self {
        case .v4: UInt8(AF_INET)
        case .v6: UInt8(AF_INET6)
        }
    }
}

extension Address {
    var header: ifaddrmsg {
        ifaddrmsg(
            ifa_family: address.family, ifa_prefixlen: UInt8(clamping: prefixLength),
            ifa_flags: 0, ifa_scope: scope.rawValue, ifa_index: UInt32(bitPattern: link))
    }

    func put(in message: inout MessageWriter) {
        message.put(IFA_LOCAL, address)
        message.put(IFA_ADDRESS, address)
        if !flags.isEmpty { message.put(IFA_FLAGS, flags.rawValue) }
    }

    init?(_ message: NetlinkMessage) {
        guard message.type == RTM_NEWADDR || message.type == RTM_DELADDR,
            let header = message.header(ifaddrmsg.self)
        else { return nil }
        var found: IPAddress?
        var local: IPAddress?
        var flags = UInt32(header.ifa_flags)
        for attribute in message.attributes(after: ifaddrmsg.self) {
            switch Int(attribute.type) {
            case IFA_ADDRESS: found = attribute.ipAddress
            case IFA_LOCAL: local = attribute.ipAddress
            case IFA_FLAGS: flags = attribute.uint32 ?? flags
            default: break
            }
        }
        // IFA_ADDRESS is the other end's address on a point-to-point link; IFA_LOCAL, where present, is ours.
        guard let address = local ?? found else { return nil }
        self.init(
            link: Int32(bitPattern: header.ifa_index), address: address, prefixLength: Int(header.ifa_prefixlen),
            scope: RouteScope(rawValue: header.ifa_scope), flags: AddressFlags(rawValue: flags).intersection(.all))
    }
}
