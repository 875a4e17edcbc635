import Linux
import NFTables
import Netlink

/// Why the overlay could not be started, read or removed. What goes wrong while it runs is an ``OverlayProblem``.
public enum OverlayError: Error, Sendable, Hashable, CustomStringConvertible {
    case invalidConfiguration(String)
    /// What is wrong with a leases file, one line each.
    case leases([String])
    case system(SystemError)
    case netlink(NetlinkError)
    case rules(NFTablesError)
    case unexpected(String)

    init(_ error: any Error) {
        switch error {
        case let error as OverlayError: self = error
        case let error as SystemError: self = .system(error)
        case let error as NetlinkError: self = .netlink(error)
        case let error as NFTablesError: self = .rules(error)
        default: self = .unexpected("\(error)")
        }
    }

    public var description: String {
        switch self {
        case .invalidConfiguration(let what), .unexpected(let what): what
        case .leases(let lines): lines.joined(separator: "\n")
        case .system(let error): "\(error)"
        case .netlink(let error): "\(error)"
        case .rules(let error): "table \(OverlayRules.table): \(error)"
        }
    }
}
