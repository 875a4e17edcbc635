// Messages to values, driven by the table.

import JSONTree

/// Reads messages out of one buffer. Bounded: ``ProtobufObject/maximumDepth``, ``ProtobufObject/maximumValues``, and
/// linear time whatever the order of fields.
struct MessageReader {
    let bytes: UnsafeBufferPointer<UInt8>
    private var depth = 0
    private var values = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// A message under way.
    private struct Draft {
        var members: JSONObjectBuilder
        /// Lists and maps by their field's number: their elements can come anywhere in the message.
        var lists: [(field: Field, elements: [JSONValue])] = []
        var maps: [(field: Field, members: JSONObjectBuilder)] = []

        /// The list's index in `lists`; its place among the members is that of its first element.
        mutating func place(ofList field: Field) -> Int {
            if let place = lists.lastIndex(where: { $0.field === field }) { return place }
            members[field.name] = .array([])
            lists.append((field, []))
            return lists.count - 1
        }

        mutating func place(ofMap field: Field) -> Int {
            if let place = maps.lastIndex(where: { $0.field === field }) { return place }
            members[field.name] = [:]
            maps.append((field, JSONObjectBuilder()))
            return maps.count - 1
        }
    }

    /// Reads the message in `range` as an object, after the members that `head` has.
    mutating func object(
        _ range: Range<Int>, _ type: ObjectType, into head: JSONObjectBuilder = JSONObjectBuilder()
    ) throws(ProtobufError) -> JSONObject {
        var draft = Draft(members: head)
        try fields(range, type, &draft)
        for (field, elements) in draft.lists { draft.members[field.name] = .array(elements) }
        for (field, members) in draft.maps { draft.members[field.name] = .object(members.object) }
        return draft.members.object
    }

    private mutating func fields(
        _ range: Range<Int>, _ type: ObjectType, _ draft: inout Draft
    ) throws(ProtobufError) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= ProtobufObject.maximumDepth else {
            throw ProtobufError(
                message: "nested deeper than \(ProtobufObject.maximumDepth) levels", offset: range.lowerBound)
        }
        var reader = WireReader(bytes, range)
        while let (number, wireType) = try reader.tag() {
            switch number < type.wire.count ? type.wire[number] : .none {
            case .none: try reader.skip(wireType)
            case .inlined(let reference):
                try expect(.bytes, wireType, number, type, reader)
                try fields(try reader.content(), reference.type, &draft)
            case .field(let field): try self.field(field, wireType, &reader, type, &draft)
            }
        }
    }

    private mutating func field(
        _ field: Field, _ wireType: WireType, _ reader: inout WireReader, _ type: ObjectType, _ draft: inout Draft
    ) throws(ProtobufError) {
        switch field.kind {
        case .list(let element, _):
            let place = draft.place(ofList: field)
            if wireType == .bytes, element.wireType != .bytes {
                var packed = WireReader(bytes, try reader.content())
                while !packed.isAtEnd {
                    try countValue(packed)
                    draft.lists[place].elements.append(try scalar(element, &packed))
                }
            } else {
                try expect(element.wireType, wireType, field.number, type, reader)
                draft.lists[place].elements.append(try value(element, &reader))
            }
        case .map(let element, _):
            try expect(.bytes, wireType, field.number, type, reader)
            let place = draft.place(ofMap: field)
            let (key, value) = try entry(try reader.content(), element)
            draft.maps[place].members[key] = value
        default:
            try expect(field.kind.wireType, wireType, field.number, type, reader)
            let value = try value(field.kind, &reader)
            draft.members[field.name] = value.isNull || field.omits(value) ? nil : value
        }
    }

    private func expect(
        _ expected: WireType, _ found: WireType, _ number: Int, _ type: ObjectType, _ reader: WireReader
    ) throws(ProtobufError) {
        guard expected == found else {
            let message = "wrong wire type \(found.rawValue) for field \(number) of \(type.shortName)"
            throw ProtobufError(message: message, offset: reader.position)
        }
    }

    private mutating func entry(
        _ range: Range<Int>, _ kind: FieldKind
    ) throws(ProtobufError) -> (String, JSONValue) {
        var reader = WireReader(bytes, range)
        var key = ""
        var value: JSONValue?
        while let (number, wireType) = try reader.tag() {
            switch (number, wireType) {
            case (1, .bytes): key = text(try reader.content())
            case (2, kind.wireType): value = try self.value(kind, &reader)
            default: try reader.skip(wireType)
            }
        }
        return (key, value ?? kind.zero ?? .null)
    }

    // MARK: Values

    /// Reads one value; null for one that is absent though it is written, as Go's zero time is.
    private mutating func value(_ kind: FieldKind, _ reader: inout WireReader) throws(ProtobufError) -> JSONValue {
        try countValue(reader)
        guard kind.wireType == .bytes else { return try scalar(kind, &reader) }
        let range = try reader.content()
        switch kind {
        case .string: return .string(text(range))
        case .bytes: return .string(Base64.encode(bytes[range]))
        case .object(let reference): return .object(try object(range, reference.type))
        case .quantity:
            let amount = try strings(range, 1).last ?? ""
            return .string(amount.isEmpty ? "0" : amount)
        case .time, .microTime: return try time(range, kind)
        case .intOrString: return try intOrString(range)
        case .wrapped(let element): return try list(range, 1, element)
        case .rawExtension, .json, .fieldsV1: return try raw(range)
        case .either(let reference, let alternative): return try either(range, reference, alternative)
        case .boolean, .int32, .int64, .double, .list, .map: return .null  // Not in one content.
        }
    }

    private mutating func countValue(_ reader: WireReader) throws(ProtobufError) {
        values += 1
        guard values <= ProtobufObject.maximumValues else {
            throw ProtobufError(message: "more than \(ProtobufObject.maximumValues) values", offset: reader.position)
        }
    }

    private func scalar(_ kind: FieldKind, _ reader: inout WireReader) throws(ProtobufError) -> JSONValue {
        switch kind {
        case .boolean: .bool(try reader.varint() != 0)
        case .int32: .integer(Int64(Int32(truncatingIfNeeded: try reader.varint())))
        case .double: JSONValue(Double(bitPattern: try reader.fixed64()))
        default: .integer(Int64(truncatingIfNeeded: try reader.varint()))
        }
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// The strings at the number `number` of a message.
    private func strings(_ range: Range<Int>, _ number: Int) throws(ProtobufError) -> [String] {
        var reader = WireReader(bytes, range)
        var strings: [String] = []
        while let (found, wireType) = try reader.tag() {
            if found == number, wireType == .bytes {
                strings.append(text(try reader.content()))
            } else {
                try reader.skip(wireType)
            }
        }
        return strings
    }

    /// The elements at the number `number` of a message.
    private mutating func list(
        _ range: Range<Int>, _ number: Int, _ kind: FieldKind
    ) throws(ProtobufError) -> JSONValue {
        var reader = WireReader(bytes, range)
        var elements: [JSONValue] = []
        while let (found, wireType) = try reader.tag() {
            if found == number, wireType == kind.wireType {
                elements.append(try value(kind, &reader))
            } else {
                try reader.skip(wireType)
            }
        }
        return .array(elements)
    }

    /// Two numbers: the time in seconds and nanoseconds. An empty message is no time.
    private func time(_ range: Range<Int>, _ kind: FieldKind) throws(ProtobufError) -> JSONValue {
        if range.isEmpty { return .null }
        var reader = WireReader(bytes, range)
        var time = Timestamp(seconds: 0)
        while let (number, wireType) = try reader.tag() {
            switch (number, wireType) {
            case (1, .varint): time.seconds = Int64(truncatingIfNeeded: try reader.varint())
            case (2, .varint): time.nanoseconds = Int32(truncatingIfNeeded: try reader.varint())
            default: try reader.skip(wireType)
            }
        }
        guard time.isPrintable, (0..<1_000_000_000).contains(time.nanoseconds) else {
            throw ProtobufError(message: "a time that RFC 3339 cannot say", offset: range.lowerBound)
        }
        return .string(kind == .microTime ? time.microText : time.text)
    }

    private func intOrString(_ range: Range<Int>) throws(ProtobufError) -> JSONValue {
        var reader = WireReader(bytes, range)
        var isString = false
        var number: Int32 = 0
        var string = ""
        while let (found, wireType) = try reader.tag() {
            switch (found, wireType) {
            case (1, .varint): isString = try reader.varint() != 0
            case (2, .varint): number = Int32(truncatingIfNeeded: try reader.varint())
            case (3, .bytes): string = text(try reader.content())
            default: try reader.skip(wireType)
            }
        }
        return isString ? .string(string) : .integer(Int64(number))
    }

    /// JSON in bytes at number 1; null where there is none.
    private mutating func raw(_ range: Range<Int>) throws(ProtobufError) -> JSONValue {
        var reader = WireReader(bytes, range)
        var value = JSONValue.null
        while let (number, wireType) = try reader.tag() {
            if number == 1, wireType == .bytes {
                let content = try reader.content()
                value = content.isEmpty ? .null : try json(content)
            } else {
                try reader.skip(wireType)
            }
        }
        return value
    }

    /// The JSON text in `range`.
    mutating func json(_ range: Range<Int>) throws(ProtobufError) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue.parse(UnsafeBufferPointer(rebasing: bytes[range]))
        } catch {
            throw ProtobufError(message: error.description, offset: range.lowerBound + error.offset)
        }
    }

    /// `JSONSchemaPropsOrArray`, `…OrBool` and `…OrStringArray`: the object stands at 1, 2 and 1, the other at 2, 1, 2.
    private mutating func either(
        _ range: Range<Int>, _ reference: TypeReference, _ alternative: FieldKind.Alternative
    ) throws(ProtobufError) -> JSONValue {
        let objectNumber = alternative == .boolean ? 2 : 1
        var reader = WireReader(bytes, range)
        var object: JSONValue?
        var allowed = false
        while let (number, wireType) = try reader.tag() {
            switch (number, wireType) {
            case (objectNumber, .bytes): object = try value(.object(reference), &reader)
            case (1, .varint): allowed = try reader.varint() != 0
            default: try reader.skip(wireType)
            }
        }
        if let object { return object }
        switch alternative {
        case .boolean: return .bool(allowed)
        case .listOfObjects: return try list(range, 2, .object(reference))
        case .listOfStrings: return try list(range, 2, .string)
        }
    }
}

extension FieldKind {
    /// How a value, or a list's element, is encoded.
    fileprivate var wireType: WireType {
        switch self {
        case .boolean, .int32, .int64: .varint
        case .double: .fixed64
        default: .bytes
        }
    }
}
