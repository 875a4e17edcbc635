// JSONTree: JSON as an ordered tree, for everything above. Hand-written because it is the hot path: a tree keeps
// unknown fields, the order of members, 64-bit integers and the difference between null and absent, and is parsed in
// a fraction of the time Codable takes. This file: the value and how to look into it.

/// A JSON value (RFC 8259).
///
/// Numbers that fit are `integer`; every other numeral (fractions, exponents, `-0`, beyond 64 bits) stays as it was
/// written, so nothing is lost between reading and writing. `1` and `1.0` are therefore different values.
public enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A numeral that is no 64-bit integer, as written. Must follow RFC 8259's grammar: it is encoded as it stands.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

extension JSONValue {
    /// The text of a string; nil for every other kind.
    public var stringValue: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number, when it is a 64-bit integer.
    public var integerValue: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }

    /// The number, integer or not, as a double (rounded where it must be); nil for what is no number or beyond a
    /// double.
    public var doubleValue: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .number(let numeral): Double(numeral).flatMap { $0.isFinite ? $0 : nil }
        default: nil
        }
    }

    public var boolValue: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    public var arrayValue: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    public var objectValue: JSONObject? {
        if case .object(let object) = self { object } else { nil }
    }

    public var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// The kind as people call it, with its article: "a string", "a list", "an object", "null".
    public var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// The member `key` of an object. Reading from anything else gives nil. Setting nil removes the member; setting a
    /// member of `null` makes it an object first, of any other kind replaces it by an object.
    public subscript(key: String) -> JSONValue? {
        get {
            if case .object(let object) = self { object[key] } else { nil }
        }
        set {
            var object = objectValue ?? JSONObject()
            self = .null  // Lets go of the shared storage, so that the change below happens in place.
            object[key] = newValue
            self = .object(object)
        }
    }

    /// The element at `index` of an array; nil outside of its bounds and for every other kind.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }
}

extension JSONValue: Hashable {
    /// Strings are equal when their bytes are (not when Unicode deems them equivalent); objects, whatever the order of
    /// their members.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        case (.number(let left), .number(let right)): sameBytes(left, right)
        case (.string(let left), .string(let right)): sameBytes(left, right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let flag): hasher.combine(flag)
        case .integer(let number): hasher.combine(number)
        case .number(let text), .string(let text): hasher.combine(text)
        case .array(let elements): hasher.combine(elements)
        case .object(let object): hasher.combine(object)
        }
    }
}

/// Swift compares strings by canonical equivalence; keys and values of JSON are the bytes they are.
@inline(__always)
func sameBytes(_ left: String, _ right: String) -> Bool {
    left == right && left.utf8.elementsEqual(right.utf8)
}

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral flag: Bool) { self = .bool(flag) }
    public init(integerLiteral number: Int64) { self = .integer(number) }
    public init(floatLiteral number: Double) { self.init(number) }
    public init(stringLiteral text: String) { self = .string(text) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// Where a key comes twice, its last value counts.
    public init(dictionaryLiteral members: (String, JSONValue)...) {
        var object = JSONObject()
        for (key, value) in members { object[key] = value }
        self = .object(object)
    }
}

extension JSONValue {
    public init(_ flag: Bool) { self = .bool(flag) }
    public init(_ text: String) { self = .string(text) }

    /// An integer; one above 2^63 - 1 becomes a numeral.
    public init(_ number: some BinaryInteger) {
        if let fitting = Int64(exactly: number) { self = .integer(fitting) } else { self = .number(String(number)) }
    }

    /// A number; `null` for infinities and NaN, which JSON cannot say. Whole numbers become integers.
    public init(_ number: Double) {
        if let whole = Int64(exactly: number) {
            self = .integer(whole)
        } else {
            self = number.isFinite ? .number("\(number)") : .null
        }
    }
}

extension JSONValue: CustomStringConvertible {
    /// Compact JSON.
    public var description: String { text() }
}
