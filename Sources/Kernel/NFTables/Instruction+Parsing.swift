// libnftnl's expressions, read from a dump, to instructions.
import CNFTables

/// Reads attributes of one libnftnl expression.
private struct ExpressionReader {
    let expression: OpaquePointer

    func number(_ key: some BinaryInteger) -> UInt32? {
        let key = UInt16(truncatingIfNeeded: key)
        return nftnl_expr_is_set(expression, key) ? nftnl_expr_get_u32(expression, key) : nil
    }

    func slot(_ key: some BinaryInteger) -> Int? {
        switch number(key) {
        case .some(let register) where (1...4).contains(register): Int(register - 1) * 4
        case .some(let register) where (8...23).contains(register): Int(register - 8)
        default: nil
        }
    }

    func data(_ key: some BinaryInteger) -> [UInt8]? {
        let key = UInt16(truncatingIfNeeded: key)
        guard nftnl_expr_is_set(expression, key) else { return nil }
        var length: UInt32 = 0
        guard let bytes = nftnl_expr_get(expression, key, &length) else { return nil }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(length)))
    }

    func string(_ key: some BinaryInteger) -> String? {
        let key = UInt16(truncatingIfNeeded: key)
        guard nftnl_expr_is_set(expression, key), let text = nftnl_expr_get_str(expression, key) else { return nil }
        return String(cString: text)
    }

    var name: String { string(NFTNL_EXPR_NAME) ?? "?" }
}

extension Instruction {
    /// What `expression` says; `.unknown` with its name where it says more than is understood here.
    init(_ expression: OpaquePointer) {
        let reader = ExpressionReader(expression: expression)
        self = Self.read(reader) ?? .unknown(reader.name)
    }

    private static func read(_ reader: ExpressionReader) -> Instruction? {
        switch reader.name {
        case "payload": return payload(reader)
        case "meta":
            guard let key = reader.number(NFTNL_EXPR_META_KEY).flatMap(MetaKey.init) else { return nil }
            if let slot = reader.slot(NFTNL_EXPR_META_DREG) { return .meta(key, to: slot) }
            return reader.slot(NFTNL_EXPR_META_SREG).map { .setMeta(key, from: $0) }
        case "ct":
            guard let key = reader.number(NFTNL_EXPR_CT_KEY).flatMap(ConntrackKey.init) else { return nil }
            if let slot = reader.slot(NFTNL_EXPR_CT_DREG) { return .conntrack(key, to: slot) }
            return reader.slot(NFTNL_EXPR_CT_SREG).map { .setConntrack(key, from: $0) }
        case "fib":
            return fib(reader)
        case "numgen": return numgen(reader)
        case "bitwise": return bitwise(reader)
        case "cmp":
            guard let slot = reader.slot(NFTNL_EXPR_CMP_SREG), let data = reader.data(NFTNL_EXPR_CMP_DATA),
                let comparison = reader.number(NFTNL_EXPR_CMP_OP).flatMap(Comparison.init)
            else { return nil }
            return .compare(comparison, register: slot, data)
        case "lookup": return lookup(reader)
        case "immediate": return immediate(reader)
        case "nat": return nat(reader)
        case "masq":
            guard reader.number(NFTNL_EXPR_MASQ_REG_PROTO_MIN) == nil else { return nil }
            return .masquerade(natFlags(reader.number(NFTNL_EXPR_MASQ_FLAGS)))
        case "notrack": return .notrack
        case "reject":
            guard let type = reader.number(NFTNL_EXPR_REJECT_TYPE) else { return nil }
            let code = nftnl_expr_get_u8(reader.expression, UInt16(NFTNL_EXPR_REJECT_CODE))
            return .reject(type: type, code: code)
        case "counter":
            return .counter(
                packets: nftnl_expr_get_u64(reader.expression, UInt16(NFTNL_EXPR_CTR_PACKETS)),
                bytes: nftnl_expr_get_u64(reader.expression, UInt16(NFTNL_EXPR_CTR_BYTES)))
        default: return nil
        }
    }

    private static func payload(_ reader: ExpressionReader) -> Instruction? {
        guard let slot = reader.slot(NFTNL_EXPR_PAYLOAD_DREG), let base = reader.number(NFTNL_EXPR_PAYLOAD_BASE),
            let offset = reader.number(NFTNL_EXPR_PAYLOAD_OFFSET), let length = reader.number(NFTNL_EXPR_PAYLOAD_LEN)
        else { return nil }
        return .payload(base: base, offset: offset, length: length, to: slot)
    }

    private static func fib(_ reader: ExpressionReader) -> Instruction? {
        guard let result = reader.number(NFTNL_EXPR_FIB_RESULT), let flags = reader.number(NFTNL_EXPR_FIB_FLAGS),
            let slot = reader.slot(NFTNL_EXPR_FIB_DREG)
        else { return nil }
        let subject = FIBSubject(rawValue: flags & ~fibPresent)
        switch (result, flags & fibPresent) {
        case (UInt32(NFT_FIB_RESULT_ADDRTYPE.rawValue), 0): return .fibType(subject, to: slot)
        case (UInt32(NFT_FIB_RESULT_OIF.rawValue), fibPresent): return .fibRoute(subject, to: slot)
        default: return nil
        }
    }

    private static func numgen(_ reader: ExpressionReader) -> Instruction? {
        guard let slot = reader.slot(NFTNL_EXPR_NG_DREG), let modulus = reader.number(NFTNL_EXPR_NG_MODULUS),
            let kind = reader.number(NFTNL_EXPR_NG_TYPE), (reader.number(NFTNL_EXPR_NG_OFFSET) ?? 0) == 0
        else { return nil }
        return .numgen(isRandom: kind == UInt32(NFT_NG_RANDOM.rawValue), modulus: modulus, to: slot)
    }

    private static func bitwise(_ reader: ExpressionReader) -> Instruction? {
        guard let from = reader.slot(NFTNL_EXPR_BITWISE_SREG), let to = reader.slot(NFTNL_EXPR_BITWISE_DREG),
            (reader.number(NFTNL_EXPR_BITWISE_OP) ?? 0) == maskAndXor,
            let mask = reader.data(NFTNL_EXPR_BITWISE_MASK), let xor = reader.data(NFTNL_EXPR_BITWISE_XOR),
            mask.count == xor.count
        else { return nil }
        return .bitwise(from: from, to: to, mask: mask, xor: xor)
    }

    private static func lookup(_ reader: ExpressionReader) -> Instruction? {
        guard let from = reader.slot(NFTNL_EXPR_LOOKUP_SREG), let set = reader.string(NFTNL_EXPR_LOOKUP_SET)
        else { return nil }
        let inverted = (reader.number(NFTNL_EXPR_LOOKUP_FLAGS) ?? 0) & UInt32(NFT_LOOKUP_F_INV.rawValue) != 0
        guard let destination = reader.number(NFTNL_EXPR_LOOKUP_DREG) else {
            return .lookup(set: set, from: from, inverted: inverted)
        }
        if destination == UInt32(NFT_REG_VERDICT.rawValue) { return .verdictLookup(map: set, from: from) }
        return reader.slot(NFTNL_EXPR_LOOKUP_DREG).map { .mapLookup(map: set, from: from, to: $0) }
    }

    private static func immediate(_ reader: ExpressionReader) -> Instruction? {
        if let slot = reader.slot(NFTNL_EXPR_IMM_DREG) {
            return reader.data(NFTNL_EXPR_IMM_DATA).map { .immediate($0, to: slot) }
        }
        guard let code = reader.number(NFTNL_EXPR_IMM_VERDICT) else { return nil }
        return Verdict(code: Int32(bitPattern: code), chain: reader.string(NFTNL_EXPR_IMM_CHAIN)).map { .verdict($0) }
    }

    private static func nat(_ reader: ExpressionReader) -> Instruction? {
        guard let type = reader.number(NFTNL_EXPR_NAT_TYPE), let family = reader.number(NFTNL_EXPR_NAT_FAMILY),
            let address = reader.slot(NFTNL_EXPR_NAT_REG_ADDR_MIN)
        else { return nil }
        let port = reader.slot(NFTNL_EXPR_NAT_REG_PROTO_MIN)
        // The kernel fills in the ends of ranges; a true range is not understood here.
        if let end = reader.slot(NFTNL_EXPR_NAT_REG_ADDR_MAX), end != address { return nil }
        if let end = reader.slot(NFTNL_EXPR_NAT_REG_PROTO_MAX), end != port { return nil }
        return .nat(
            isSource: type == UInt32(NFT_NAT_SNAT.rawValue), family: family, address: address, port: port,
            natFlags(reader.number(NFTNL_EXPR_NAT_FLAGS)))
    }

    /// Without the bits that say only that an address or port is given.
    private static func natFlags(_ raw: UInt32?) -> NATFlags { NATFlags(rawValue: (raw ?? 0) & ~3) }
}
