// What nft stores beside objects for its own use (libnftnl/udata.h): comments, and how a set was declared, so that
// `nft list` prints what was meant. Entries are type, length, value with one byte each for type and length.
import CNFTables

/// Writes and reads such entries.
struct UserData {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ type: Int, _ value: [UInt8]) {
        // The kernel takes at most 256 bytes in all; an entry that cannot be told is left out rather than cut.
        guard value.count <= 255 else { return }
        bytes.append(UInt8(type))
        bytes.append(UInt8(value.count))
        bytes += value
    }

    mutating func put(_ type: Int, number: UInt32) { put(type, hostBytes(number)) }

    static func entries(_ bytes: [UInt8]) -> [(type: Int, value: [UInt8])] {
        var result: [(type: Int, value: [UInt8])] = []
        var index = 0
        while index + 2 <= bytes.count {
            let end = index + 2 + Int(bytes[index + 1])
            guard end <= bytes.count else { break }
            result.append((Int(bytes[index]), Array(bytes[index + 2..<end])))
            index = end
        }
        return result
    }

    static func value(_ type: Int, in bytes: [UInt8]) -> [UInt8]? { entries(bytes).first { $0.type == type }?.value }

    static func number(_ type: Int, in bytes: [UInt8]) -> UInt32? {
        guard let value = value(type, in: bytes), value.count == 4 else { return nil }
        return Literal(type: .integer, bytes: value).number
    }

    /// A comment under `type`; zero for tables, chains, rules and elements.
    static func comment(_ text: String?, type: Int = 0) -> [UInt8] {
        guard let text else { return [] }
        var data = UserData()
        data.put(type, Array(text.utf8) + [0])
        return data.bytes
    }

    static func comment(in bytes: [UInt8], type: Int = 0) -> String? {
        guard let value = value(type, in: bytes), value.last == 0 else { return nil }
        return String(decoding: value.dropLast(), as: UTF8.self)
    }
}

extension NamedSet {
    private enum ByteOrder {
        static let mixed: UInt32 = 0
        static let host: UInt32 = 1
        static let big: UInt32 = 2
    }

    /// The entries that nft 1.0 writes for a set declared so.
    var userData: [UInt8] {
        var data = UserData()
        data.put(Int(NFTNL_UDATA_SET_KEYBYTEORDER.rawValue), number: Self.byteOrder(key))
        if let value {
            var order = ByteOrder.mixed
            if case .data(let type) = value { order = Self.byteOrder(type) }
            data.put(Int(NFTNL_UDATA_SET_DATABYTEORDER.rawValue), number: order)
        }
        if let declaration = Self.declaration(key) { data.put(Int(NFTNL_UDATA_SET_KEY_TYPEOF.rawValue), declaration) }
        if case .data(let type) = value, let declaration = Self.declaration(type) {
            data.put(Int(NFTNL_UDATA_SET_DATA_TYPEOF.rawValue), declaration)
        }
        if value != nil { data.put(Int(NFTNL_UDATA_SET_DATA_INTERVAL.rawValue), number: 0) }
        if let comment { data.put(Int(NFTNL_UDATA_SET_COMMENT.rawValue), Array(comment.utf8) + [0]) }
        return data.bytes
    }

    private static func byteOrder(_ type: ElementType) -> UInt32 {
        if type.components.count > 1 { return ByteOrder.mixed }
        return type.components[0].isHostByteOrder ? ByteOrder.host : ByteOrder.big
    }

    /// What `typeof` named, or for a concatenation of types an empty list of expressions, as nft has it.
    private static func declaration(_ type: ElementType) -> [UInt8]? {
        guard let expressions = type.expressions else {
            return type.components.count > 1 ? TypeofCode.encode(kind: TypeofCode.concatenation, []) : nil
        }
        return expressions.count == 1
            ? TypeofCode.encode(expressions[0]) : TypeofCode.encode(.concatenation(expressions))
    }

    /// The type that the kernel's numbers and nft's entries say; nil where it is not understood here.
    static func elementType(number: UInt32, userData: [UInt8], typeofEntry: Int) -> ElementType? {
        if let entry = UserData.value(typeofEntry, in: userData), let expression = TypeofCode.decode(entry) {
            if case .concatenation(let parts) = expression {
                if !parts.isEmpty { return ElementType(typeof: parts) }
            } else {
                return ElementType(typeof: expression)
            }
        }
        return ElementType(number: number)
    }
}

/// Expressions in nft's stored form of `typeof` (expr_ops.build_udata in nft's sources).
enum TypeofCode {
    /// nft's expression numbers (enum expr_types).
    static let payload: UInt32 = 7
    static let meta: UInt32 = 9
    static let conntrack: UInt32 = 11
    static let concatenation: UInt32 = 13
    static let numgen: UInt32 = 23

    static func encode(_ expression: Expression) -> [UInt8]? {
        var inner = UserData()
        switch expression {
        case .payload(let field):
            inner.put(0, number: field.layout.protocolNumber)
            inner.put(1, number: field.layout.fieldNumber)
            return encode(kind: payload, inner.bytes)
        case .meta(let key):
            inner.put(0, number: key.rawValue)
            return encode(kind: meta, inner.bytes)
        case .random(let modulus), .roundRobin(let modulus):
            var isRandom = false
            if case .random = expression { isRandom = true }
            inner.put(0, number: UInt32(isRandom ? NFT_NG_RANDOM.rawValue : NFT_NG_INCREMENTAL.rawValue))
            inner.put(1, number: modulus)
            inner.put(2, number: 0)
            return encode(kind: numgen, inner.bytes)
        case .concatenation(let parts):
            for (index, part) in parts.enumerated() {
                guard let code = encode(part) else { return nil }
                inner.put(index, code)
            }
            return encode(kind: concatenation, inner.bytes)
        default: return nil
        }
    }

    static func encode(kind: UInt32, _ inner: [UInt8]) -> [UInt8] {
        var outer = UserData()
        outer.put(0, number: kind)
        outer.put(1, inner)
        return outer.bytes
    }

    static func decode(_ bytes: [UInt8]) -> Expression? {
        guard let kind = UserData.number(0, in: bytes), let inner = UserData.value(1, in: bytes) else { return nil }
        switch kind {
        case payload:
            let protocolNumber = UserData.number(0, in: inner)
            let fieldNumber = UserData.number(1, in: inner)
            return PayloadField.allCases.first {
                $0.layout.protocolNumber == protocolNumber && $0.layout.fieldNumber == fieldNumber
            }.map { .payload($0) }
        case meta: return UserData.number(0, in: inner).flatMap(MetaKey.init).map { .meta($0) }
        case numgen:
            guard let modulus = UserData.number(1, in: inner), UserData.number(2, in: inner) == 0 else { return nil }
            let isRandom = UserData.number(0, in: inner) == UInt32(NFT_NG_RANDOM.rawValue)
            return isRandom ? .random(modulus: modulus) : .roundRobin(modulus: modulus)
        case concatenation:
            let parts = UserData.entries(inner).map { decode($0.value) }
            guard parts.allSatisfy({ $0 != nil }) else { return nil }
            return .concatenation(parts.compactMap { $0 })
        default: return nil
        }
    }
}
