import Linux
import NFTables
import Netlink

/// Why a pod could not be connected, or the pod network not be set up. Nothing is left half-made.
public enum PodNetworkError: Error, Sendable, CustomStringConvertible {
    case invalidConfiguration(String)
    /// The pod CIDR is, in part, somebody else's network on this host.
    case podCIDRInUse(CIDR, by: String)
    /// The kernel has no IPv6, or it is switched off.
    case familyUnavailable(CIDR, String)
    /// An interface of the bridge's name is somebody else's.
    case bridgeInUse(String, String)
    /// Another process owns the pod network's directory.
    case directoryInUse(String)
    case addressesExhausted(CIDR)
    /// A requested address that pods of this node cannot have.
    case addressNotForPods(IPAddress, [CIDR])
    /// A pod has the requested address already.
    case addressTaken(IPAddress, by: String)
    /// A pod, or the gateway, has the requested Ethernet address already.
    case macTaken(MACAddress, by: String)
    /// A pod has the host port, or one that means the same packets, already.
    case hostPortTaken(HostPort, by: String)
    case invalidHostPort(HostPort, String)
    /// What a pod asks for cannot be.
    case invalidRequest(String)
    /// No such pod is attached.
    case notAttached(uid: String)
    case system(SystemError)
    case netlink(NetlinkError)
    /// The nftables tables could not be read or changed.
    case rules(NFTablesError)
    case unexpected(String)

    init(_ error: any Error) {
        switch error {
        case let error as PodNetworkError: self = error
        case let error as SystemError: self = .system(error)
        case let error as NetlinkError: self = .netlink(error)
        case let error as NFTablesError: self = .rules(error)
        default: self = .unexpected("\(error)")
        }
    }

    public var description: String {
        switch self {
        case .invalidConfiguration(let what), .invalidRequest(let what), .unexpected(let what): what
        case .podCIDRInUse(let cidr, let owner): "pod CIDR \(cidr) is in use on this host: \(owner)"
        case .familyUnavailable(let cidr, let why): "pod CIDR \(cidr): \(why)"
        case .bridgeInUse(let name, let why): "bridge \(name): \(why)"
        case .directoryInUse(let path): "\(path): another swiftlet owns this pod network"
        case .addressesExhausted(let cidr): "pod CIDR \(cidr) has no free address"
        case .addressNotForPods(let address, let cidrs):
            "address \(address): not one that pods of \(cidrs.map(\.description).joined(separator: ", ")) can have"
        case .addressTaken(let address, let owner): "address \(address) is taken by \(owner)"
        case .macTaken(let mac, let owner): "MAC \(mac) is taken by \(owner)"
        case .hostPortTaken(let port, let owner): "host port \(port) is taken by pod \(owner)"
        case .invalidHostPort(let port, let why): "host port \(port): \(why)"
        case .notAttached(let uid): "pod \(uid) is not attached"
        case .system(let error): "\(error)"
        case .netlink(let error): "\(error)"
        case .rules(let what): "pod network's rules: \(what)"
        }
    }
}
