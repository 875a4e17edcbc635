// Chains: lists of rules, reached from a netfilter hook (base chains) or from other rules.

/// A chain and its rules.
public struct Chain: Sendable, Hashable {
    /// At most 255 bytes.
    public var name: String
    /// Nil for a regular chain, which only `jump`, `goto` and verdict maps reach.
    public var hook: BaseChain?
    /// At most 254 bytes; nft reads 128 back.
    public var comment: String?
    public var rules: [Rule]

    public init(_ name: String, hook: BaseChain? = nil, comment: String? = nil, rules: [Rule] = []) {
        (self.name, self.hook, self.comment, self.rules) = (name, hook, comment, rules)
    }
}

/// Where the kernel enters a base chain (`man 8 nft`, CHAINS).
public struct BaseChain: Sendable, Hashable {
    /// What its rules may do: only `nat` chains translate addresses, and they see the first packet of a connection only.
    public enum Kind: String, Sendable { case filter, nat, route }

    /// Hooks of the families ip, ip6 and inet; raw values are NF_INET_*.
    public enum Hook: UInt32, Sendable {
        case prerouting = 0
        case input = 1
        case forward = 2
        case output = 3
        case postrouting = 4

        var name: String {
            switch self {
            case .prerouting: "prerouting"
            case .input: "input"
            case .forward: "forward"
            case .output: "output"
            case .postrouting: "postrouting"
            }
        }
    }

    /// What happens to a packet that comes to the end of the chain.
    public enum Policy: UInt32, Sendable { case drop = 0, accept = 1 }

    public var kind: Kind
    public var hook: Hook
    /// Chains with smaller numbers see a packet first.
    public var priority: Int32
    public var policy: Policy

    public init(_ kind: Kind, _ hook: Hook, priority: Int32, policy: Policy = .accept) {
        (self.kind, self.hook, self.priority, self.policy) = (kind, hook, priority, policy)
    }

    /// Standard priorities (linux/netfilter_ipv4.h).
    public static let rawPriority: Int32 = -300
    /// After connection tracking (-200), before destination NAT.
    public static let manglePriority: Int32 = -150
    /// `dstnat`
    public static let destinationNATPriority: Int32 = -100
    public static let filterPriority: Int32 = 0
    /// `filter` in tables of the family bridge (linux/netfilter_bridge.h).
    public static let bridgeFilterPriority: Int32 = -200
    public static let securityPriority: Int32 = 50
    /// `srcnat`
    public static let sourceNATPriority: Int32 = 100
}

/// A rule: statements run from left to right until one does not match. Equality is about what the rule does: its handle
/// and what its counters have counted take no part in it.
public struct Rule: Sendable {
    public var statements: [Statement]
    /// At most 254 bytes; nft reads 128 back.
    public var comment: String?
    /// The kernel's number for this rule, known in dumps only.
    public var handle: UInt64?

    public init(_ statements: [Statement], comment: String? = nil, handle: UInt64? = nil) {
        (self.statements, self.comment, self.handle) = (statements, comment, handle)
    }

    public init(_ statements: Statement..., comment: String? = nil) { self.init(statements, comment: comment) }
}

extension Rule: Hashable {
    public static func == (left: Rule, right: Rule) -> Bool {
        left.comment == right.comment && left.statements.elementsEqual(right.statements) { $0.does(as: $1) }
    }

    public func hash(into hasher: inout Hasher) {
        for statement in statements {
            if case .counter = statement { continue }
            hasher.combine(statement)
        }
        hasher.combine(comment)
    }
}

extension Statement {
    fileprivate func does(as other: Statement) -> Bool {
        if case .counter = self, case .counter = other { return true }
        return self == other
    }
}
