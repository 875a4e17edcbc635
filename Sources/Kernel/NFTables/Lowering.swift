// Statements to instructions, in the very forms that nft emits for the same text.

/// A rule that cannot be put into the kernel's form.
public struct EncodingError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// Translates the statements of one rule.
struct Lowering {
    fileprivate let family: Family
    fileprivate(set) var instructions: [Instruction] = []
    /// What earlier statements of the rule have made sure of.
    private var knownTransport: TransportProtocol?
    fileprivate var knownFamily: Family?

    init(family: Family) {
        self.family = family
        knownFamily = family == .inet || family == .bridge ? nil : family
    }

    static func lower(_ statements: [Statement], family: Family) throws(EncodingError) -> [Instruction] {
        var lowering = Lowering(family: family)
        for statement in statements { try lowering.add(statement) }
        return lowering.instructions
    }

    private mutating func add(_ statement: Statement) throws(EncodingError) {
        switch statement {
        case .match(let expression, let comparison, let literal): try match(expression, comparison, literal)
        case .lookup(let key, let set, let negated):
            try load(key, at: 0)
            instructions.append(.lookup(set: set, from: 0, inverted: negated))
        case .verdictMap(let key, let map):
            try load(key, at: 0)
            instructions.append(.verdictLookup(map: map, from: 0))
        case .verdict(let verdict): instructions.append(.verdict(verdict))
        case .setMeta(let key, let value):
            try load(value, at: 0)
            instructions.append(.setMeta(key, from: 0))
        case .setConntrackMark(let value):
            try load(value, at: 0)
            instructions.append(.setConntrack(.mark, from: 0))
        case .destinationNAT(let target, let flags): try translate(isSource: false, target, flags)
        case .sourceNAT(let target, let flags): try translate(isSource: true, target, flags)
        case .masquerade(let flags): instructions.append(.masquerade(flags))
        case .notrack: instructions.append(.notrack)
        case .reject(let reason): try reject(reason)
        case .counter(let packets, let bytes): instructions.append(.counter(packets: packets, bytes: bytes))
        case .unknown(let text): throw EncodingError("a statement that is not understood cannot be sent: \(text)")
        }
    }

    private mutating func match(
        _ expression: Expression, _ comparison: Comparison, _ literal: Literal
    ) throws(EncodingError) {
        if comparison == .hasAnyOf {
            try load(expression, at: 0)
            instructions.append(.bitwise(from: 0, to: 0, mask: literal.bytes, xor: zeros(literal.bytes.count)))
            instructions.append(.compare(.notEqual, register: 0, zeros(literal.bytes.count)))
            return
        }
        if let prefix = literal.prefixLength {
            guard case .payload(let field) = expression else {
                throw EncodingError("only a header field can be compared with a network")
            }
            try require(field)
            matchNetwork(field, comparison, literal, prefix)
            return
        }
        try load(expression, at: 0)
        instructions.append(.compare(comparison, register: 0, literal.bytes))
        guard comparison == .equal else { return }
        if expression == .meta(.transportProtocol) {
            knownTransport = TransportProtocol(rawValue: literal.bytes[0])
        } else if expression == .meta(.nfproto) {
            knownFamily = literal.bytes[0] == 2 ? .ipv4 : .ipv6
        } else if expression.type == .etherType, family == .bridge {
            knownFamily = [Family.ipv4, .arp, .ipv6].first { Literal.etherType(of: $0) == literal }
        }
    }

    /// nft loads whole bytes only when the prefix ends between bytes, and masks otherwise.
    private mutating func matchNetwork(
        _ field: PayloadField, _ comparison: Comparison, _ literal: Literal, _ prefix: Int
    ) {
        let layout = field.layout
        if prefix % 8 == 0 && prefix > 0 {
            let length = prefix / 8
            instructions.append(
                .payload(base: layout.base, offset: layout.offset, length: UInt32(length), to: 0))
            instructions.append(.compare(comparison, register: 0, Array(literal.bytes.prefix(length))))
            return
        }
        let length = layout.type.byteCount
        instructions.append(.payload(base: layout.base, offset: layout.offset, length: UInt32(length), to: 0))
        instructions.append(
            .bitwise(from: 0, to: 0, mask: prefixMask(prefix, byteCount: length), xor: zeros(length)))
        instructions.append(.compare(comparison, register: 0, literal.bytes))
    }

    private mutating func translate(
        isSource: Bool, _ target: NATTarget, _ flags: NATFlags
    ) throws(EncodingError) {
        var port: Int?
        var addressFamily = family
        switch target {
        case .address(let address):
            try load(address, at: 0)
            addressFamily = address.mentionsIPv6 || family == .ipv6 ? .ipv6 : .ipv4
        case .addressAndPort(let address, let number):
            try load(address, at: 0)
            addressFamily = address.mentionsIPv6 || family == .ipv6 ? .ipv6 : .ipv4
            // nft uses whole 16-byte registers for constants: the second is slot 4.
            try load(number, at: 4)
            port = 4
        case .mapped(let map):
            guard case .map(let key, _) = map else { throw EncodingError("dnat to a map needs a map lookup") }
            try load(map, at: 0)
            addressFamily = key.mentionsIPv6 || family == .ipv6 ? .ipv6 : .ipv4
            port = addressFamily == .ipv6 ? 4 : 1
        }
        instructions.append(
            .nat(isSource: isSource, family: UInt32(addressFamily.rawValue), address: 0, port: port, flags))
    }

    private mutating func reject(_ reason: RejectReason) throws(EncodingError) {
        switch reason {
        case .tcpReset:
            if knownTransport != .tcp {
                instructions.append(.meta(.transportProtocol, to: 0))
                instructions.append(.compare(.equal, register: 0, [TransportProtocol.tcp.rawValue]))
                knownTransport = .tcp
            }
            instructions.append(.reject(type: RejectNumber.tcpReset, code: 0))
        case .icmp(let code):
            try require(.ipv4, for: "reject with icmp")
            instructions.append(.reject(type: RejectNumber.icmp, code: code))
        case .icmpv6(let code):
            try require(.ipv6, for: "reject with icmpv6")
            instructions.append(.reject(type: RejectNumber.icmp, code: code))
        case .portUnreachable:
            switch family {
            case .ipv4:
                instructions.append(.reject(type: RejectNumber.icmp, code: RejectNumber.icmpPortUnreachable))
            case .ipv6:
                instructions.append(.reject(type: RejectNumber.icmp, code: RejectNumber.icmp6PortUnreachable))
            default:
                instructions.append(.reject(type: RejectNumber.icmpx, code: RejectNumber.icmpxPortUnreachable))
            }
        }
    }

    /// Puts the value of `expression` into registers from slot `slot` on.
    private mutating func load(_ expression: Expression, at slot: Int) throws(EncodingError) {
        switch expression {
        case .literal(let literal): instructions.append(.immediate(literal.bytes, to: slot))
        case .payload(let field):
            try require(field)
            let layout = field.layout
            instructions.append(
                .payload(
                    base: layout.base, offset: layout.offset, length: UInt32(layout.type.byteCount), to: slot))
        case .meta(let key): instructions.append(.meta(key, to: slot))
        case .conntrack(let key): instructions.append(.conntrack(key, to: slot))
        case .fibType(let subject): instructions.append(.fibType(subject, to: slot))
        case .fibRoute(let subject): instructions.append(.fibRoute(subject, to: slot))
        case .random(let modulus): instructions.append(.numgen(isRandom: true, modulus: modulus, to: slot))
        case .roundRobin(let modulus): instructions.append(.numgen(isRandom: false, modulus: modulus, to: slot))
        case .and(let inner, let bits): try bitwise(inner, mask: bits, xor: 0, at: slot)
        case .or(let inner, let bits): try bitwise(inner, mask: ~bits, xor: bits, at: slot)
        case .xor(let inner, let bits): try bitwise(inner, mask: ~0, xor: bits, at: slot)
        case .concatenation(let parts):
            // The protocols that fields ask for are matched first: nothing may disturb the registers in between.
            for case .payload(let field) in parts { try require(field) }
            var next = slot
            for part in parts {
                try load(part, at: next)
                next += slotCount(part.type.byteCount)
            }
            guard next <= 16 else { throw EncodingError("a concatenation of more than 64 bytes") }
        case .map(let key, let map):
            try load(key, at: slot)
            instructions.append(.mapLookup(map: map, from: slot, to: slot))
        }
    }

    private mutating func bitwise(
        _ inner: Expression, mask: UInt32, xor: UInt32, at slot: Int
    ) throws(EncodingError) {
        guard inner.type.byteCount == 4, inner.type.isHostByteOrder else {
            throw EncodingError("bits are for marks and other 32-bit integers")
        }
        try load(inner, at: slot)
        instructions.append(.bitwise(from: slot, to: slot, mask: hostBytes(mask), xor: hostBytes(xor)))
    }

    /// Adds the match that makes sure the packet has the field at all, if no earlier statement did.
    private mutating func require(_ field: PayloadField) throws(EncodingError) {
        if let needed = field.familyDependency { try require(needed, for: field.layout.text) }
        if let needed = field.transportDependency, needed != knownTransport {
            guard knownTransport == nil else {
                throw EncodingError("\(field.layout.text) in a rule for \(knownTransport?.name ?? "")")
            }
            instructions.append(.meta(.transportProtocol, to: 0))
            instructions.append(.compare(.equal, register: 0, [needed.rawValue]))
            knownTransport = needed
        }
    }
}

extension Lowering {
    /// Adds the match that makes sure of the packet's family in an `inet` table, if no earlier statement did.
    private mutating func require(_ needed: Family, for what: String) throws(EncodingError) {
        if needed == knownFamily { return }
        if family == .bridge, knownFamily == nil, let type = Literal.etherType(of: needed) {
            // nft asks for ARP in this way and for others in that.
            instructions.append(
                needed == .arp
                    ? .payload(base: PayloadField.linkHeader, offset: 12, length: 2, to: 0)
                    : .meta(.protocolType, to: 0))
            instructions.append(.compare(.equal, register: 0, type.bytes))
            knownFamily = needed
            return
        }
        guard family == .inet, knownFamily == nil else {
            throw EncodingError("\(what) in a rule for family \((knownFamily ?? family).name)")
        }
        instructions.append(.meta(.nfproto, to: 0))
        instructions.append(.compare(.equal, register: 0, [needed == .ipv4 ? 2 : 10]))
        knownFamily = needed
    }
}

extension Expression {
    /// Whether an IPv6 address is part of it.
    var mentionsIPv6: Bool {
        switch self {
        case .concatenation(let parts): parts.contains(where: \.mentionsIPv6)
        case .map(let key, _): key.mentionsIPv6
        case .and(let inner, _), .or(let inner, _), .xor(let inner, _): inner.mentionsIPv6
        default: type == .ipv6Address
        }
    }
}

func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }

/// A network mask of `length` leading ones.
func prefixMask(_ length: Int, byteCount: Int) -> [UInt8] {
    (0..<byteCount).map { index in
        let bits = min(max(length - index * 8, 0), 8)
        return bits == 0 ? 0 : UInt8(truncatingIfNeeded: 0xff << (8 - bits))
    }
}
