// NFTables: tables, chains, sets, maps and rules of nf_tables as values; changes to them as one atomic transaction;
// their text as nft prints it. Speaks to the kernel through libnftnl and libmnl, never through the nft program, and
// emits only bytecode that nft itself emits, so that `nft list` can show whatever was made here.
//
// Values: `Table`, `Chain`, `NamedSet`, `Rule`, `Statement`, `Expression`. Changes: `Transaction`. Kernel:
// `NFTablesSocket`.
import CNFTables

/// A family of tables: which packets its chains see (`man 8 nft`, ADDRESS FAMILIES).
public enum Family: UInt8, Sendable, Hashable {
    case inet = 1
    case ipv4 = 2
    case arp = 3
    case netdev = 5
    case bridge = 7
    case ipv6 = 10

    /// The name that nft uses, such as `ip`.
    public var name: String {
        switch self {
        case .inet: "inet"
        case .ipv4: "ip"
        case .arp: "arp"
        case .netdev: "netdev"
        case .bridge: "bridge"
        case .ipv6: "ip6"
        }
    }
}

/// What identifies a table within its network namespace.
public struct TableName: Sendable, Hashable, CustomStringConvertible {
    public var family: Family
    public var name: String

    public init(_ family: Family, _ name: String) { (self.family, self.name) = (family, name) }

    /// `ip swiftlet-proxy`
    public var description: String { "\(family.name) \(name)" }
}

/// A table and all it holds. The order of sets, chains and rules is that of the kernel, which is the order of creation.
public struct Table: Sendable, Hashable {
    public var name: TableName
    public var comment: String?
    /// Whether its chains see no packets: somebody has put it to sleep (`flags dormant`). Only dumps say so.
    public internal(set) var isDormant = false
    public var sets: [NamedSet]
    public var chains: [Chain]

    public init(_ name: TableName, comment: String? = nil, sets: [NamedSet] = [], chains: [Chain] = []) {
        (self.name, self.comment, self.sets, self.chains) = (name, comment, sets, chains)
    }

    public subscript(set name: String) -> NamedSet? { sets.first { $0.name == name } }
    public subscript(chain name: String) -> Chain? { chains.first { $0.name == name } }
}

/// Where a packet goes next (`man 8 nft`, VERDICT STATEMENT).
public enum Verdict: Sendable, Hashable {
    case accept, drop, `continue`, `return`
    case jump(String)
    case goto(String)

    /// NF_ACCEPT, NF_DROP or NFT_* of linux/netfilter/nf_tables.h.
    var code: Int32 {
        switch self {
        case .drop: 0
        case .accept: 1
        case .continue: Int32(NFT_CONTINUE.rawValue)
        case .jump: Int32(NFT_JUMP.rawValue)
        case .goto: Int32(NFT_GOTO.rawValue)
        case .return: Int32(NFT_RETURN.rawValue)
        }
    }

    /// The chain that `jump` and `goto` name.
    public var chain: String? {
        switch self {
        case .jump(let chain), .goto(let chain): chain
        default: nil
        }
    }

    init?(code: Int32, chain: String?) {
        switch code {
        case 0: self = .drop
        case 1: self = .accept
        case Int32(NFT_CONTINUE.rawValue): self = .continue
        case Int32(NFT_RETURN.rawValue): self = .return
        case Int32(NFT_JUMP.rawValue):
            guard let chain else { return nil }
            self = .jump(chain)
        case Int32(NFT_GOTO.rawValue):
            guard let chain else { return nil }
            self = .goto(chain)
        default: return nil
        }
    }
}
