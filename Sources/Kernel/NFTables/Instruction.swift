// The kernel's form of a rule: instructions over sixteen registers of four bytes, as linux/netfilter/nf_tables.h has
// them. `Lowering` makes them of statements, `Raising` statements of them.

/// One nf_tables expression. Registers are numbers of four-byte slots, 0 to 15.
enum Instruction: Hashable {
    case payload(base: UInt32, offset: UInt32, length: UInt32, to: Int)
    case meta(MetaKey, to: Int)
    case setMeta(MetaKey, from: Int)
    case conntrack(ConntrackKey, to: Int)
    case setConntrack(ConntrackKey, from: Int)
    case fibType(FIBSubject, to: Int)
    case fibRoute(FIBSubject, to: Int)
    case numgen(isRandom: Bool, modulus: UInt32, to: Int)
    case bitwise(from: Int, to: Int, mask: [UInt8], xor: [UInt8])
    case compare(Comparison, register: Int, [UInt8])
    case lookup(set: String, from: Int, inverted: Bool)
    case mapLookup(map: String, from: Int, to: Int)
    case verdictLookup(map: String, from: Int)
    case immediate([UInt8], to: Int)
    case verdict(Verdict)
    case nat(isSource: Bool, family: UInt32, address: Int, port: Int?, NATFlags)
    case masquerade(NATFlags)
    case notrack
    case reject(type: UInt32, code: UInt8)
    case counter(packets: UInt64, bytes: UInt64)
    case unknown(String)

    /// NFT_BITWISE_MASK_XOR, which older headers call NFT_BITWISE_BOOL.
    static let maskAndXor: UInt32 = 0
    /// NFTA_FIB_F_PRESENT: whether there is a route, not over which interface.
    static let fibPresent: UInt32 = 32
}

/// The number of slots a value of `byteCount` bytes takes.
func slotCount(_ byteCount: Int) -> Int { (byteCount + 3) / 4 }

/// NFT_REJECT_* and NFT_REJECT_ICMPX_* of linux/netfilter/nf_tables.h, ICMP codes of linux/icmp.h and icmpv6.h.
enum RejectNumber {
    static let icmp: UInt32 = 0
    static let tcpReset: UInt32 = 1
    static let icmpx: UInt32 = 2
    static let icmpPortUnreachable: UInt8 = 3
    static let icmp6PortUnreachable: UInt8 = 4
    static let icmpxPortUnreachable: UInt8 = 1
}
