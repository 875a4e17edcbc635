// Instructions to libnftnl's expressions and back.
import CNFTables

/// Attribute numbers of libnftnl/expr.h as Swift can pass them.
private func attribute(_ number: some BinaryInteger) -> UInt16 { UInt16(truncatingIfNeeded: number) }

/// The register number of a slot: NFT_REG_1 … 4 for those that begin 16 bytes, NFT_REG32_* for others, as nft writes
/// them.
private func registerNumber(_ slot: Int) -> UInt32 {
    slot % 4 == 0
        ? UInt32(NFT_REG_1.rawValue) + UInt32(slot / 4) : UInt32(NFT_REG32_00.rawValue) + UInt32(slot)
}

private func slotNumber(_ register: UInt32) -> Int? {
    switch register {
    case 1...4: Int(register - 1) * 4
    case 8...23: Int(register - 8)
    default: nil
    }
}

extension Instruction {
    /// A new libnftnl expression that the caller gives to a rule or frees.
    func makeExpression() throws(EncodingError) -> OpaquePointer {
        func make(
            _ name: String, _ numbers: [(UInt16, UInt32)], data: [(UInt16, [UInt8])] = [],
            strings: [(UInt16, String)] = []
        ) throws(EncodingError) -> OpaquePointer {
            guard let expression = nftnl_expr_alloc(name) else {
                throw EncodingError("libnftnl has no expression \(name)")
            }
            for (key, value) in numbers { nftnl_expr_set_u32(expression, key, value) }
            for (key, value) in data { nftnl_expr_set(expression, key, value, UInt32(value.count)) }
            for (key, value) in strings { nftnl_expr_set_str(expression, key, value) }
            return expression
        }
        switch self {
        case .payload(let base, let offset, let length, let slot):
            return try make(
                "payload",
                [
                    (attribute(NFTNL_EXPR_PAYLOAD_DREG), registerNumber(slot)),
                    (attribute(NFTNL_EXPR_PAYLOAD_BASE), base), (attribute(NFTNL_EXPR_PAYLOAD_OFFSET), offset),
                    (attribute(NFTNL_EXPR_PAYLOAD_LEN), length),
                ])
        case .meta(let key, let slot):
            return try make(
                "meta",
                [
                    (attribute(NFTNL_EXPR_META_KEY), key.rawValue),
                    (attribute(NFTNL_EXPR_META_DREG), registerNumber(slot)),
                ])
        case .setMeta(let key, let slot):
            return try make(
                "meta",
                [
                    (attribute(NFTNL_EXPR_META_KEY), key.rawValue),
                    (attribute(NFTNL_EXPR_META_SREG), registerNumber(slot)),
                ])
        case .conntrack(let key, let slot):
            return try make(
                "ct",
                [(attribute(NFTNL_EXPR_CT_KEY), key.rawValue), (attribute(NFTNL_EXPR_CT_DREG), registerNumber(slot))])
        case .setConntrack(let key, let slot):
            return try make(
                "ct",
                [(attribute(NFTNL_EXPR_CT_KEY), key.rawValue), (attribute(NFTNL_EXPR_CT_SREG), registerNumber(slot))])
        case .fibType(let subject, let slot):
            return try make(
                "fib",
                [
                    (attribute(NFTNL_EXPR_FIB_RESULT), UInt32(NFT_FIB_RESULT_ADDRTYPE.rawValue)),
                    (attribute(NFTNL_EXPR_FIB_FLAGS), subject.rawValue),
                    (attribute(NFTNL_EXPR_FIB_DREG), registerNumber(slot)),
                ])
        case .fibRoute(let subject, let slot):
            return try make(
                "fib",
                [
                    (attribute(NFTNL_EXPR_FIB_RESULT), UInt32(NFT_FIB_RESULT_OIF.rawValue)),
                    (attribute(NFTNL_EXPR_FIB_FLAGS), subject.rawValue | Instruction.fibPresent),
                    (attribute(NFTNL_EXPR_FIB_DREG), registerNumber(slot)),
                ])
        case .numgen(let isRandom, let modulus, let slot):
            let kind = isRandom ? NFT_NG_RANDOM.rawValue : NFT_NG_INCREMENTAL.rawValue
            return try make(
                "numgen",
                [
                    (attribute(NFTNL_EXPR_NG_DREG), registerNumber(slot)),
                    (attribute(NFTNL_EXPR_NG_MODULUS), modulus), (attribute(NFTNL_EXPR_NG_TYPE), UInt32(kind)),
                    (attribute(NFTNL_EXPR_NG_OFFSET), 0),
                ])
        case .bitwise(let from, let to, let mask, let xor):
            return try make(
                "bitwise",
                [
                    (attribute(NFTNL_EXPR_BITWISE_SREG), registerNumber(from)),
                    (attribute(NFTNL_EXPR_BITWISE_DREG), registerNumber(to)),
                    (attribute(NFTNL_EXPR_BITWISE_LEN), UInt32(mask.count)),
                    (attribute(NFTNL_EXPR_BITWISE_OP), Instruction.maskAndXor),
                ],
                data: [(attribute(NFTNL_EXPR_BITWISE_MASK), mask), (attribute(NFTNL_EXPR_BITWISE_XOR), xor)])
        case .compare(let comparison, let slot, let bytes):
            return try make(
                "cmp",
                [
                    (attribute(NFTNL_EXPR_CMP_SREG), registerNumber(slot)),
                    (attribute(NFTNL_EXPR_CMP_OP), comparison.rawValue),
                ], data: [(attribute(NFTNL_EXPR_CMP_DATA), bytes)])
        case .lookup(let set, let from, let inverted):
            return try make(
                "lookup",
                [(attribute(NFTNL_EXPR_LOOKUP_SREG), registerNumber(from))]
                    + (inverted ? [(attribute(NFTNL_EXPR_LOOKUP_FLAGS), UInt32(NFT_LOOKUP_F_INV.rawValue))] : []),
                strings: [(attribute(NFTNL_EXPR_LOOKUP_SET), set)])
        case .mapLookup(let map, let from, let to):
            return try make(
                "lookup",
                [
                    (attribute(NFTNL_EXPR_LOOKUP_SREG), registerNumber(from)),
                    (attribute(NFTNL_EXPR_LOOKUP_DREG), registerNumber(to)),
                ], strings: [(attribute(NFTNL_EXPR_LOOKUP_SET), map)])
        case .verdictLookup(let map, let from):
            return try make(
                "lookup",
                [
                    (attribute(NFTNL_EXPR_LOOKUP_SREG), registerNumber(from)),
                    (attribute(NFTNL_EXPR_LOOKUP_DREG), UInt32(NFT_REG_VERDICT.rawValue)),
                ], strings: [(attribute(NFTNL_EXPR_LOOKUP_SET), map)])
        case .immediate(let bytes, let slot):
            return try make(
                "immediate", [(attribute(NFTNL_EXPR_IMM_DREG), registerNumber(slot))],
                data: [(attribute(NFTNL_EXPR_IMM_DATA), bytes)])
        case .verdict(let verdict):
            return try make(
                "immediate",
                [
                    (attribute(NFTNL_EXPR_IMM_DREG), UInt32(NFT_REG_VERDICT.rawValue)),
                    (attribute(NFTNL_EXPR_IMM_VERDICT), UInt32(bitPattern: verdict.code)),
                ], strings: verdict.chain.map { [(attribute(NFTNL_EXPR_IMM_CHAIN), $0)] } ?? [])
        case .nat(let isSource, let family, let address, let port, let flags):
            var numbers: [(UInt16, UInt32)] = [
                (attribute(NFTNL_EXPR_NAT_TYPE), UInt32(isSource ? NFT_NAT_SNAT.rawValue : NFT_NAT_DNAT.rawValue)),
                (attribute(NFTNL_EXPR_NAT_FAMILY), family),
                (attribute(NFTNL_EXPR_NAT_REG_ADDR_MIN), registerNumber(address)),
            ]
            if let port { numbers.append((attribute(NFTNL_EXPR_NAT_REG_PROTO_MIN), registerNumber(port))) }
            if !flags.isEmpty { numbers.append((attribute(NFTNL_EXPR_NAT_FLAGS), flags.rawValue)) }
            return try make("nat", numbers)
        case .masquerade(let flags):
            return try make("masq", flags.isEmpty ? [] : [(attribute(NFTNL_EXPR_MASQ_FLAGS), flags.rawValue)])
        case .notrack: return try make("notrack", [])
        case .reject(let type, let code):
            let expression = try make("reject", [(attribute(NFTNL_EXPR_REJECT_TYPE), type)])
            nftnl_expr_set_u8(expression, attribute(NFTNL_EXPR_REJECT_CODE), code)
            return expression
        case .counter(let packets, let bytes):
            let expression = try make("counter", [])
            nftnl_expr_set_u64(expression, attribute(NFTNL_EXPR_CTR_PACKETS), packets)
            nftnl_expr_set_u64(expression, attribute(NFTNL_EXPR_CTR_BYTES), bytes)
            return expression
        case .unknown(let text): throw EncodingError("an expression that is not understood cannot be sent: \(text)")
        }
    }
}
