import Linux
import NFTables
import Netlink

/// Why a pod could not be connected, or the pod network not be set up. Nothing is left half-made.
public enum PodNetworkError: Error, Sendable, CustomStringConvertible {
    case invalidConfiguration(String)
    /// The pod CIDR is, in part, somebody else's network on this host.
    case podCIDRInUse(CIDR, by: String)
    /// Another process owns the pod network's directory.
    case directoryInUse(String)
    case addressesExhausted(CIDR)
    /// A pod has the host port, or one that means the same packets, already.
    case hostPortTaken(HostPort, by: String)
    case invalidHostPort(HostPort, String)
    case system(SystemError)
    case netlink(NetlinkError)
    /// The nftables table could not be read or changed.
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
        case .invalidConfiguration(let what): what
        case .podCIDRInUse(let cidr, let owner): "pod CIDR \(cidr) is in use on this host: \(owner)"
        case .directoryInUse(let path): "\(path): another swiftlet owns this pod network"
        case .addressesExhausted(let cidr): "pod CIDR \(cidr) has no free address"
        case .hostPortTaken(let port, let owner): "host port \(port) is taken by pod \(owner)"
        case .invalidHostPort(let port, let why): "host port \(port): \(why)"
        case .system(let error): "\(error)"
        case .netlink(let error): "\(error)"
        case .unexpected(let what): what
        case .rules(let what): "table \(PodNetworkConfiguration.table): \(what)"
        }
    }
}
