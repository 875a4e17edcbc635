// How the table is written, and read: an index of types at first use, each type when it is needed.
//
//     @section apiVersion
//     kind Type atomic: field number kind mark…, +Inlined number, …
//
// `kind` marks what has an apiVersion and a kind, `atomic` what server-side apply owns as a whole. A type goes on in
// lines that start with a space. Kinds: string bool int32 int64 double bytes quantity intOrString time microTime
// rawExtension json fieldsV1, the name of a type (with its section where that is another), [kind] a list, [kind]set,
// [Type/key+key] a list whose elements are told apart by keys, {kind} a map, {kind}atomic, <kind> a list that protobuf
// wraps in a message, Type|list, Type|bool and Type|strings for what may be something else than an object. Marks: `!`
// required, `=value` the default (`=` alone: zero), `?` a pointer in Go: zero is a value, and an object is not
// always there, `empty` a list that is written though it is empty, `merge` and `merge=key` a list that patches merge, `retainKeys`, `replace`.

import JSONTree
import Synchronization

/// How a type's fields find the types that they name: by the index, once it is whole.
final class TypeLookup: Sendable {
    let index = AtomicLazyReference<TypeIndex>()
}

/// Where every type of some tables is written.
final class TypeIndex: Sendable {
    let references: [String: TypeReference]
    let kinds: [ObjectKind: TypeReference]

    init(tables: [StaticString]) {
        var references: [String: TypeReference] = [:]
        var kinds: [ObjectKind: TypeReference] = [:]
        references.reserveCapacity(512)
        let lookup = TypeLookup()
        for table in tables {
            var scan = TableScan(table: table, lookup: lookup)
            while let (reference, kind) = scan.next() {
                references[reference.name] = reference
                if let kind { kinds[kind] = reference }
            }
        }
        self.references = references
        self.kinds = kinds
        _ = lookup.index.storeIfNil(self)
    }
}

/// Walks over the headers of a table's types.
private struct TableScan {
    let table: StaticString
    let lookup: TypeLookup
    private var cursor: TableCursor
    private var section = ""
    private var apiVersion = ""

    init(table: StaticString, lookup: TypeLookup) {
        self.table = table
        self.lookup = lookup
        cursor = TableCursor(table, 0..<table.utf8CodeUnitCount)
    }

    mutating func next() -> (TypeReference, ObjectKind?)? {
        while !cursor.isAtEnd {
            if cursor.skip(UInt8(ascii: "@")) {
                section = cursor.word()
                apiVersion = cursor.word()
                cursor.skipLine()
            } else if cursor.skip(UInt8(ascii: "\n")) {
                continue
            } else {
                return header()
            }
        }
        return nil
    }

    private mutating func header() -> (TypeReference, ObjectKind?) {
        var word = cursor.word()
        let isKind = word == "kind"
        if isKind { word = cursor.word() }
        let isAtomic = !cursor.skip(UInt8(ascii: ":")) && cursor.word() == "atomic"
        if isAtomic { _ = cursor.skip(UInt8(ascii: ":")) }
        let start = cursor.position
        repeat { cursor.skipLine() } while cursor.peek() == UInt8(ascii: " ")
        let source = TypeSource(
            table: table, range: start..<cursor.position, section: section, isKind: isKind, isAtomic: isAtomic,
            lookup: lookup)
        let reference = TypeReference(name: section + "." + word, source: source)
        return (reference, isKind ? ObjectKind(apiVersion: apiVersion, kind: word) : nil)
    }
}

/// Where a type's fields are written, and what they need to be read.
struct TypeSource: Sendable {
    let table: StaticString
    let range: Range<Int>
    let section: String
    let isKind: Bool
    let isAtomic: Bool
    let lookup: TypeLookup

    func read(_ name: String) -> ObjectType {
        var cursor = TableCursor(table, range)
        var fields: [Field] = []
        var wire: [WireField] = []
        if isKind {
            fields = [Field(name: "apiVersion", kind: .string), Field(name: "kind", kind: .string)]
        }
        while true {
            while cursor.skip(UInt8(ascii: " ")) || cursor.skip(UInt8(ascii: "\n")) || cursor.skip(UInt8(ascii: ",")) {}
            if cursor.isAtEnd { break }
            if cursor.skip(UInt8(ascii: "+")) {
                let inlined = reference(cursor.word())
                fields += inlined.type.fields
                set(&wire, cursor.number(), .inlined(inlined))
            } else {
                let field = field(&cursor)
                fields.append(field)
                set(&wire, field.number, .field(field))
            }
        }
        return ObjectType(name: name, fields: fields, wire: wire, isAtomic: isAtomic, unknownFields: .pruned)
    }

    private func set(_ wire: inout [WireField], _ number: Int, _ meaning: WireField) {
        while wire.count <= number { wire.append(.none) }
        wire[number] = meaning
    }

    private func field(_ cursor: inout TableCursor) -> Field {
        let name = cursor.word()
        let number = cursor.number()
        let kind = kind(cursor.word())
        var isRequired = false
        var keepsZero = false
        var isPointer = false
        var defaultValue: JSONValue?
        var patch = PatchStrategy()
        while cursor.peek() == UInt8(ascii: " ") {
            let mark = cursor.word()
            switch mark {
            case "": break
            case "!": isRequired = true
            case "?": isPointer = true
            case "empty": keepsZero = true
            case "merge":
                patch.mergesList = true
                if case .list(_, .map(let keys)) = kind { patch.mergeKey = keys.first }
            case "retainKeys": patch.retainsKeys = true
            case "replace": patch.replaces = true
            default:
                let parts = mark.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                if parts.first == "merge" {
                    patch = PatchStrategy(mergesList: true, mergeKey: parts.last)
                } else {
                    defaultValue = parts.last.flatMap { $0.isEmpty ? kind.zero : .string($0) }
                }
            }
        }
        // A required scalar, or one whose default is zero, is written when it is zero; an object, unless it is a pointer.
        let writesZero = isRequired || (defaultValue != nil && defaultValue == kind.zero)
        let isObject = if case .object = kind { true } else { false }
        return Field(
            name: name, kind: kind, number: number, isRequired: isRequired, defaultValue: defaultValue, patch: patch,
            omitsZero: kind.canOmitZero && !writesZero && !keepsZero && !isPointer,
            isAlwaysWritten: !isPointer && (isObject || ((writesZero || keepsZero) && kind.showsZero)))
    }

    private func reference(_ name: String) -> TypeReference {
        let full = name.contains(".") ? name : "\(section).\(name)"
        return lookup.index.load()?.references[full]
            ?? TypeReference(ObjectType(name: full, fields: [], unknownFields: .kept))
    }

    private func kind(_ notation: String) -> FieldKind {
        switch notation {
        case "string": return .string
        case "bool": return .boolean
        case "int32": return .int32
        case "int64": return .int64
        case "double": return .double
        case "bytes": return .bytes
        case "quantity": return .quantity
        case "intOrString": return .intOrString
        case "time": return .time
        case "microTime": return .microTime
        case "rawExtension": return .rawExtension
        case "json": return .json
        case "fieldsV1": return .fieldsV1
        default: return composite(notation)
        }
    }

    private func composite(_ notation: String) -> FieldKind {
        switch notation.utf8.first {
        case UInt8(ascii: "["):
            let isSet = notation.hasSuffix("]set")
            let parts = notation.dropFirst().dropLast(isSet ? 4 : 1).split(separator: "/", maxSplits: 1)
            let keys = parts.count > 1 ? parts[1].split(separator: "+").map(String.init) : []
            return .list(
                kind(String(parts.first ?? "")), isSet ? .set : keys.isEmpty ? .atomic : .map(keys: keys))
        case UInt8(ascii: "{"):
            let isAtomic = notation.hasSuffix("}atomic")
            return .map(kind(String(notation.dropFirst().dropLast(isAtomic ? 7 : 1))), isAtomic: isAtomic)
        case UInt8(ascii: "<"): return .wrapped(kind(String(notation.dropFirst().dropLast())))
        default:
            let parts = notation.split(separator: "|").map(String.init)
            guard parts.count == 2 else { return .object(reference(notation)) }
            let other: FieldKind.Alternative =
                parts[1] == "list" ? .listOfObjects : parts[1] == "bool" ? .boolean : .listOfStrings
            return .either(reference(parts[0]), other)
        }
    }
}

/// Reads words of a table.
private struct TableCursor {
    private(set) var position: Int
    private let end: Int
    private let table: StaticString

    init(_ table: StaticString, _ range: Range<Int>) {
        self.table = table
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    /// The byte at the position; 0 at the end.
    func peek() -> UInt8 { position < end ? table.utf8Start[position] : 0 }

    mutating func skip(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        position += 1
        return true
    }

    mutating func skipLine() {
        while position < end {
            position += 1
            if table.utf8Start[position - 1] == UInt8(ascii: "\n") { return }
        }
    }

    /// The next word, after any spaces: up to a space, comma, colon or the line's end.
    mutating func word() -> String {
        while skip(UInt8(ascii: " ")) {}
        let start = position
        while position < end {
            switch table.utf8Start[position] {
            case UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "\n"):
                return text(start)
            default: position += 1
            }
        }
        return text(start)
    }

    mutating func number() -> Int { Int(word()) ?? 0 }

    private func text(_ start: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: table.utf8Start + start, count: position - start), as: UTF8.self)
    }
}
