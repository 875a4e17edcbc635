/// Something that is not as it should be, in one line for a person. The rest of the overlay works all the same.
public struct OverlayProblem: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// What sort of problem; the raw value is for machines.
    public enum Kind: String, Sendable, Hashable {
        /// A lease that cannot be used, or not all of it.
        case lease
        /// There is no lease for this node.
        case ownLeaseMissing
        /// No interface has the node's public address, or the interface that was named is not there or down.
        case underlay
        /// A lease's network is a network or route of this host that the overlay did not make.
        case collision
        /// A node cannot be reached with the addresses that it and this node have, or with this backend.
        case unreachable
        /// The device's name, VNI or UDP port is somebody else's.
        case inUse
        /// The kernel lacks something.
        case unsupported
        /// Packets would be too small for IPv6, or larger than the underlay carries.
        case mtu
        /// The host passes no packets on.
        case forwarding
        /// Somebody keeps removing or changing what the overlay made.
        case contested
        /// The kernel refused a change; it is tried again.
        case refused
    }

    public let kind: Kind
    /// The node, device or network that it is about; may be empty.
    public let subject: String
    /// What is wrong, and what to do about it.
    public let message: String

    public init(_ kind: Kind, _ subject: String, _ message: String) {
        self.kind = kind
        self.subject = subject
        self.message = message
    }

    /// `node b: 10.42.1.0/24 overlaps with 10.42.0.0/16 of node a: left out`
    public var description: String { message }

    public static func < (left: Self, right: Self) -> Bool {
        (left.kind.rawValue, left.subject, left.message) < (right.kind.rawValue, right.subject, right.message)
    }
}
