// Instructions to statements: what a dump of the kernel says in the words of nft. What is not understood becomes
// `Statement.unknown`, never something else.

struct Raising {
    private let family: Family
    /// The declared key types of the table's sets: how many slots a lookup reads.
    private let keySlots: (String) -> Int?
    private var statements: [Statement] = []
    private var slots: [Expression?] = Array(repeating: nil, count: 16)
    private var knownTransport: TransportProtocol?
    private var knownFamily: Family?
    /// A raw payload load that is not a known field, by its slot: a network of whole bytes, if a comparison follows.
    private var partial: (slot: Int, base: UInt32, offset: UInt32, length: Int)?

    init(family: Family, keySlots: @escaping (String) -> Int?) {
        (self.family, self.keySlots) = (family, keySlots)
        knownFamily = family == .inet || family == .bridge ? nil : family
    }

    static func raise(
        _ instructions: [Instruction], family: Family, keySlots: @escaping (String) -> Int?
    ) -> [Statement] {
        var raising = Raising(family: family, keySlots: keySlots)
        var rest = instructions[...]
        while let instruction = rest.popFirst() { raising.add(instruction, rest: &rest) }
        return raising.statements
    }

    private mutating func add(_ instruction: Instruction, rest: inout ArraySlice<Instruction>) {
        switch instruction {
        case .payload(let base, let offset, let length, let slot):
            loadPayload(base: base, offset: offset, length: length, slot: slot)
        case .meta(let key, let slot): set(slot, .meta(key))
        case .conntrack(let key, let slot): set(slot, .conntrack(key))
        case .fibType(let subject, let slot): set(slot, .fibType(subject))
        case .fibRoute(let subject, let slot): set(slot, .fibRoute(subject))
        case .numgen(let isRandom, let modulus, let slot):
            set(slot, isRandom ? .random(modulus: modulus) : .roundRobin(modulus: modulus))
        case .immediate(let bytes, let slot): set(slot, .literal(Literal(type: guess(bytes), bytes: bytes)))
        case .bitwise(let from, let to, let mask, let xor): bitwise(from, to, mask, xor, rest: &rest)
        case .compare(let comparison, let register, let bytes): compare(comparison, register, bytes)
        case .lookup(let name, let from, let inverted):
            let key = key(of: name, from: from)
            emit(instruction, key) { .lookup($0, set: name, negated: inverted) }
        case .verdictLookup(let name, let from):
            let key = key(of: name, from: from)
            emit(instruction, key) { .verdictMap($0, map: name) }
        case .mapLookup(let name, let from, let to):
            guard let key = key(of: name, from: from) else { return unknown(instruction) }
            set(to, .map(key, map: name))
        case .setMeta(let key, let slot):
            let value = slots[slot]
            emit(instruction, value) { .setMeta(key, Self.retype($0, as: key.type)) }
        case .setConntrack(let key, let slot):
            guard key == .mark else { return unknown(instruction) }
            let value = slots[slot]
            emit(instruction, value) { .setConntrackMark(Self.retype($0, as: .mark)) }
        case .verdict(let verdict): statements.append(.verdict(verdict))
        case .nat(let isSource, _, let address, let port, let flags):
            translate(instruction, isSource: isSource, address: address, port: port, flags)
        case .masquerade(let flags): statements.append(.masquerade(flags))
        case .notrack: statements.append(.notrack)
        case .reject(let type, let code): reject(instruction, type: type, code: code)
        case .counter(let packets, let bytes): statements.append(.counter(packets: packets, bytes: bytes))
        case .unknown: unknown(instruction)
        }
    }

    private mutating func set(_ slot: Int, _ expression: Expression) {
        slots[slot] = expression
        partial = nil
    }

    private mutating func unknown(_ instruction: Instruction) { statements.append(.unknown("\(instruction)")) }

    private mutating func emit(
        _ instruction: Instruction, _ expression: Expression?, _ statement: (Expression) -> Statement
    ) {
        guard let expression else { return unknown(instruction) }
        statements.append(statement(expression))
    }

    private mutating func loadPayload(base: UInt32, offset: UInt32, length: UInt32, slot: Int) {
        let family = base == PayloadField.networkHeader ? knownFamily : nil
        let field = PayloadField.at(base: base, offset: offset, family: family, transport: knownTransport)
        // nft leaves out the match that a field implies.
        if base == PayloadField.transportHeader, let known = knownTransport, field != nil {
            dropDependency(.match(.meta(.transportProtocol), .equal, .transport(known)))
        }
        if self.family == .inet, base == PayloadField.networkHeader, let known = knownFamily, field != nil {
            let number: UInt8 = known == .ipv4 ? 2 : 10
            dropDependency(.match(.meta(.nfproto), .equal, Literal(type: .nfproto, bytes: [number])))
        }
        if self.family == .bridge, base == PayloadField.networkHeader, field != nil,
            let type = knownFamily.flatMap({ Literal.etherType(of: $0) })
        {
            dropDependency(.match(.meta(.protocolType), .equal, type))
            dropDependency(.match(.payload(.etherType), .equal, type))
        }
        if let field, field.layout.type.byteCount == Int(length) { return set(slot, .payload(field)) }
        slots[slot] = nil
        partial = (slot, base, offset, Int(length))
    }

    private mutating func dropDependency(_ statement: Statement) {
        if let index = statements.lastIndex(of: statement) { statements.remove(at: index) }
    }

    private mutating func bitwise(
        _ from: Int, _ to: Int, _ mask: [UInt8], _ xor: [UInt8], rest: inout ArraySlice<Instruction>
    ) {
        guard let inner = slots[from] else { return unknown(.bitwise(from: from, to: to, mask: mask, xor: xor)) }
        if case .compare(let comparison, to, let bytes) = rest.first, xor.allSatisfy({ $0 == 0 }) {
            if inner.type == .conntrackState || inner.type == .conntrackStatus, comparison == .notEqual,
                bytes.allSatisfy({ $0 == 0 })
            {
                rest.removeFirst()
                statements.append(.match(inner, .hasAnyOf, Literal(type: inner.type, bytes: mask)))
                return
            }
            let length = mask.reduce(0) { $0 + $1.nonzeroBitCount }
            if inner.type == .ipv4Address || inner.type == .ipv6Address,
                mask == prefixMask(length, byteCount: mask.count)
            {
                rest.removeFirst()
                statements.append(
                    .match(inner, comparison, Literal(type: inner.type, bytes: bytes, prefixLength: length)))
                return
            }
        }
        guard mask.count == 4, inner.type.isHostByteOrder else {
            return unknown(.bitwise(from: from, to: to, mask: mask, xor: xor))
        }
        let keep = Literal(type: .integer, bytes: mask).number
        let flip = Literal(type: .integer, bytes: xor).number
        if flip == 0 {
            set(to, .and(inner, keep))
        } else if keep == ~0 {
            set(to, .xor(inner, flip))
        } else if keep == ~flip {
            set(to, .or(inner, flip))
        } else if keep & flip == 0 {
            set(to, .or(.and(inner, keep | flip), flip))
        } else {
            set(to, .xor(.and(inner, keep), flip))
        }
    }

    private mutating func compare(_ comparison: Comparison, _ register: Int, _ bytes: [UInt8]) {
        if let partial, partial.slot == register, partial.length == bytes.count {
            let field = PayloadField.at(
                base: partial.base, offset: partial.offset, family: knownFamily, transport: nil)
            if let field, bytes.count < field.layout.type.byteCount {
                let type = field.layout.type
                let padded = bytes + zeros(type.byteCount - bytes.count)
                let network = Literal(type: type, bytes: padded, prefixLength: bytes.count * 8)
                statements.append(.match(.payload(field), comparison, network))
                self.partial = nil
                return
            }
        }
        guard let left = slots[register] else { return unknown(.compare(comparison, register: register, bytes)) }
        statements.append(.match(left, comparison, Literal(type: left.type, bytes: bytes)))
        if comparison == .equal, family == .bridge, left.type == .etherType {
            let literal = Literal(type: .etherType, bytes: bytes)
            knownFamily = [Family.ipv4, .arp, .ipv6].first { Literal.etherType(of: $0) == literal }
        }
        guard comparison == .equal, bytes.count == 1 else { return }
        if left == .meta(.transportProtocol) {
            knownTransport = TransportProtocol(rawValue: bytes[0])
        } else if left == .meta(.nfproto), bytes[0] == 2 || bytes[0] == 10 {
            knownFamily = bytes[0] == 2 ? .ipv4 : .ipv6
        }
    }

    /// The key that a lookup in `set` reads from slot `first` on.
    private func key(of set: String, from first: Int) -> Expression? {
        guard let count = keySlots(set) else { return nil }
        var parts: [Expression] = []
        var next = first
        while next < first + count {
            guard next < 16, let part = slots[next] else { return nil }
            parts.append(part)
            next += max(slotCount(part.type.byteCount), 1)
        }
        return parts.count == 1 ? parts[0] : .concatenation(parts)
    }

    private mutating func translate(
        _ instruction: Instruction, isSource: Bool, address: Int, port: Int?, _ flags: NATFlags
    ) {
        guard let value = slots[address] else { return unknown(instruction) }
        let target: NATTarget
        if let port, case .map = value, port == address + 1 || port == address + 4 {
            target = .mapped(value)
        } else if let port {
            guard let number = slots[port] else { return unknown(instruction) }
            target = .addressAndPort(value, number)
        } else {
            target = .address(value)
        }
        statements.append(isSource ? .sourceNAT(target, flags) : .destinationNAT(target, flags))
    }

    private mutating func reject(_ instruction: Instruction, type: UInt32, code: UInt8) {
        switch (type, family) {
        case (RejectNumber.tcpReset, _):
            dropDependency(.match(.meta(.transportProtocol), .equal, .transport(.tcp)))
            statements.append(.reject(.tcpReset))
        case (RejectNumber.icmp, .ipv4):
            statements.append(
                .reject(code == RejectNumber.icmpPortUnreachable ? .portUnreachable : .icmp(code: code)))
        case (RejectNumber.icmp, .inet) where knownFamily == .ipv4:
            dropDependency(.match(.meta(.nfproto), .equal, Literal(type: .nfproto, bytes: [2])))
            statements.append(.reject(.icmp(code: code)))
        case (RejectNumber.icmp, .ipv6):
            statements.append(
                .reject(code == RejectNumber.icmp6PortUnreachable ? .portUnreachable : .icmpv6(code: code)))
        case (RejectNumber.icmp, .inet) where knownFamily == .ipv6:
            dropDependency(.match(.meta(.nfproto), .equal, Literal(type: .nfproto, bytes: [10])))
            statements.append(.reject(.icmpv6(code: code)))
        case (RejectNumber.icmpx, .inet) where code == RejectNumber.icmpxPortUnreachable:
            statements.append(.reject(.portUnreachable))
        default: unknown(instruction)
        }
    }

    /// A constant in a register has no type in the kernel; its length tells an address from a port.
    private func guess(_ bytes: [UInt8]) -> DataType {
        switch bytes.count {
        case 16: .ipv6Address
        case 2: .inetService
        case 1: .inetProtocol
        default: .ipv4Address
        }
    }

    private static func retype(_ expression: Expression, as type: DataType) -> Expression {
        guard case .literal(let literal) = expression else { return expression }
        return .literal(Literal(type: type, bytes: literal.bytes))
    }
}
