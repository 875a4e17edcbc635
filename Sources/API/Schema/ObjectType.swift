// What the table says of a type and its fields.

import JSONTree
import Synchronization

/// A type whose values are JSON objects with named fields.
public final class ObjectType: Sendable {
    /// `core.v1.PodSpec`; of a custom type, what its maker chose.
    public let name: String
    /// In the order of their protobuf numbers; fields of inlined types stand among them.
    public let fields: [Field]
    /// Whether server-side apply owns values of this type as a whole (`x-kubernetes-map-type: atomic`).
    public let isAtomic: Bool
    public let unknownFields: UnknownFields
    /// By protobuf number; the first is no field.
    let wire: [WireField]
    /// What is filled in where it is absent: the fields that have a default, and those that Go writes always.
    var completions: [(field: Field, value: JSONValue)] { completed.value }
    private let completed: Completions
    private let places: [String: Int]

    /// What becomes of members that are no field of the type.
    public enum UnknownFields: Sendable, Hashable {
        /// They are unknown: reported and pruned.
        case pruned
        /// They stay (`x-kubernetes-preserve-unknown-fields`).
        case kept
    }

    /// A type that is in no table, for custom resources.
    public convenience init(name: String, fields: [Field], isAtomic: Bool = false, unknownFields: UnknownFields) {
        self.init(name: name, fields: fields, wire: [], isAtomic: isAtomic, unknownFields: unknownFields)
    }

    init(name: String, fields: [Field], wire: [WireField], isAtomic: Bool, unknownFields: UnknownFields) {
        self.name = name
        self.fields = fields
        self.wire = wire
        self.isAtomic = isAtomic
        self.unknownFields = unknownFields
        completed = Completions(fields)
        places = Dictionary(fields.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
    }

    /// The field that JSON calls `name`.
    public func field(_ name: String) -> Field? {
        guard let place = places[name] else { return nil }
        // A dictionary deems canonically equivalent strings equal (K and the Kelvin sign); names are bytes.
        return fields[place].name.utf8.elementsEqual(name.utf8) ? fields[place] : nil
    }

    /// The object of this type that nobody filled in: with the objects and scalars that are written always.
    public var zero: JSONValue { .object(JSONObject(completions.map { ($0.field.name, $0.value) })) }

    /// The same without defaults and with required lists, which are null: what a created object is compared with.
    var unset: JSONValue {
        .object(JSONObject(fields.compactMap { field in field.unset.map { (field.name, $0) } }))
    }

    /// `PodSpec` of `core.v1.PodSpec`
    public var shortName: Substring { name.split(separator: ".").last ?? Substring(name) }
}

/// What is filled into an object, worked out when it is first needed: types may contain themselves.
private final class Completions: Sendable {
    private let fields: [Field]
    private let worked = AtomicLazyReference<Values>()

    private final class Values: Sendable {
        let values: [(field: Field, value: JSONValue)]
        init(_ values: [(field: Field, value: JSONValue)]) { self.values = values }
    }

    init(_ fields: [Field]) { self.fields = fields }

    var value: [(field: Field, value: JSONValue)] {
        if let done = worked.load() { return done.values }
        let values = fields.compactMap { field in field.completion.map { (field: field, value: $0) } }
        return worked.storeIfNil(Values(values)).values
    }
}

/// What a protobuf number of a message means.
enum WireField: Sendable {
    case none
    case field(Field)
    /// A message whose fields JSON has in the outer object (Go's embedded structs).
    case inlined(TypeReference)
}

/// A field of a type.
public final class Field: Sendable {
    /// The member's name in JSON.
    public let name: String
    public let kind: FieldKind
    /// The protobuf number; 0 where protobuf does not have the field (`apiVersion` and `kind`, custom types).
    public let number: Int
    /// Whether OpenAPI calls the field required. The API server fills most required scalars with zeros when they are
    /// absent, so this says less than it seems: what must be there is validation's business.
    public let isRequired: Bool
    /// What is filled in where the field is absent; nil where nothing is. See ``FieldKind/zero`` for required scalars.
    public let defaultValue: JSONValue?
    public let patch: PatchStrategy
    /// Whether zero, an empty list or an empty map says no more than absence, and is not stored (Go's `omitempty` on what
    /// is no pointer). Protobuf writes such fields always.
    public let omitsZero: Bool
    /// Whether the value is written although nobody gave it: objects and required scalars that are no pointer in Go, and
    /// required lists, as null.
    public let isAlwaysWritten: Bool

    public init(
        name: String, kind: FieldKind, number: Int = 0, isRequired: Bool = false, defaultValue: JSONValue? = nil,
        patch: PatchStrategy = PatchStrategy(), omitsZero: Bool = false, isAlwaysWritten: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.number = number
        self.isRequired = isRequired
        self.defaultValue = defaultValue
        self.patch = patch
        self.omitsZero = omitsZero
        self.isAlwaysWritten = isAlwaysWritten
    }

    /// What is filled in where the field is absent.
    fileprivate var completion: JSONValue? {
        if let defaultValue, defaultValue != kind.zero { return defaultValue }
        guard isAlwaysWritten else { return nil }
        if case .object(let reference) = kind { return reference.type.zero }
        return kind.zero
    }

    /// What Go has where nobody set the field, if it has something.
    fileprivate var unset: JSONValue? {
        guard isAlwaysWritten else { return nil }
        if case .object(let reference) = kind { return reference.type.unset }
        return kind.zero ?? .null
    }

    /// Whether `value` is not stored.
    func omits(_ value: JSONValue) -> Bool {
        guard omitsZero else { return false }
        return switch value {
        case .bool(let flag): !flag
        case .integer(let number): number == 0
        case .string(let text): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        case .null, .number: false
        }
    }
}

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`).
public struct PatchStrategy: Sendable, Hashable {
    /// A list is merged with the old one, not replaced.
    public var mergesList = false
    /// The member that tells elements apart where lists are merged; nil where the elements themselves do.
    public var mergeKey: String?
    /// `$retainKeys` may say which members are kept.
    public var retainsKeys = false
    /// An object is replaced, not merged.
    public var replaces = false

    public init(mergesList: Bool = false, mergeKey: String? = nil, retainsKeys: Bool = false, replaces: Bool = false) {
        self.mergesList = mergesList
        self.mergeKey = mergeKey
        self.retainsKeys = retainsKeys
        self.replaces = replaces
    }
}

/// What a field holds.
public indirect enum FieldKind: Sendable, Hashable {
    case string, boolean, int32, int64, double
    /// Base64 in JSON.
    case bytes
    /// An amount: a string or a number.
    case quantity
    case intOrString
    /// A time (RFC 3339), to the second or to the microsecond.
    case time, microTime
    /// Whatever JSON it is: an object of any kind (`runtime.RawExtension`), any value (`apiextensions JSON`), the field
    /// sets of `managedFields`. They differ in protobuf only.
    case rawExtension, json, fieldsV1
    case object(TypeReference)
    case list(FieldKind, ListKind)
    /// A map from strings; `isAtomic` where server-side apply owns it as a whole.
    case map(FieldKind, isAtomic: Bool)
    /// A list that protobuf wraps in a message of its own (`ExtraValue`).
    case wrapped(FieldKind)
    /// An object of a type, or something else (`JSONSchemaPropsOrArray` and its like).
    case either(TypeReference, Alternative)

    /// What stands in place of an object.
    public enum Alternative: Sendable, Hashable {
        case listOfObjects, boolean, listOfStrings
    }
}

/// How server-side apply tells a list's elements apart.
public enum ListKind: Sendable, Hashable {
    /// The list is one whole.
    case atomic
    /// By their values, of which none comes twice.
    case set
    /// By these members.
    case map(keys: [String])
}

extension FieldKind {
    /// Whether values are told apart by what they are, not by members or elements.
    public var isScalar: Bool {
        switch self {
        case .object, .list, .map, .wrapped, .either, .rawExtension, .json, .fieldsV1: false
        default: true
        }
    }

    /// Whether Go leaves out such a value when it is zero, unless it is told otherwise: structs never are.
    var canOmitZero: Bool {
        switch self {
        case .string, .boolean, .int32, .int64, .double, .bytes, .list, .map, .wrapped: true
        default: false
        }
    }

    /// Whether Go has a plain scalar or a list here, whose zero value JSON shows.
    var showsZero: Bool {
        switch self {
        case .string, .boolean, .int32, .int64, .double, .list: true
        default: false
        }
    }

    /// What Go's zero value is in JSON: the value of a required scalar that is absent. nil for what has no such.
    public var zero: JSONValue? {
        switch self {
        case .string: ""
        case .boolean: false
        case .int32, .int64, .double: 0
        case .object: [:]
        case .quantity: "0"
        case .intOrString: 0
        default: nil
        }
    }

    /// The type of the objects in this field: of itself, or of its elements.
    public var objectType: ObjectType? {
        switch self {
        case .object(let reference), .either(let reference, _): reference.type
        case .list(let element, _), .map(let element, _), .wrapped(let element): element.objectType
        default: nil
        }
    }
}

/// The name of a type, and the type once somebody needs it. Types can contain themselves, and most are not needed.
public final class TypeReference: Sendable, Hashable {
    public let name: String
    private let source: TypeSource?
    private let loaded = AtomicLazyReference<ObjectType>()

    /// A reference to a type that is in no table.
    public init(_ type: ObjectType) {
        name = type.name
        source = nil
        _ = loaded.storeIfNil(type)
    }

    init(name: String, source: TypeSource) {
        self.name = name
        self.source = source
    }

    /// The type; one that no table has (which a test rules out for our own) is empty.
    public var type: ObjectType {
        if let type = loaded.load() { return type }
        // Two threads may both read the table; both get what was stored first.
        let type = source?.read(name) ?? ObjectType(name: name, fields: [], unknownFields: .kept)
        return loaded.storeIfNil(type)
    }

    public static func == (left: TypeReference, right: TypeReference) -> Bool { left.name == right.name }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
