// Places in objects as server-side apply names them: list elements by their keys or values, not by their index.

import JSONTree

/// One step of a path (structured-merge-diff `fieldpath.PathElement`).
public enum PathElement: Sendable, Hashable {
    /// A member of an object or a map: `f:name`.
    case field(String)
    /// An element of a list that is told apart by keys, in the order of the alphabet: `k:{"name":"a"}`.
    case key([Key])
    /// An element of a set: `v:"a"`.
    case value(JSONValue)
    /// An element by its index, which no list of Kubernetes uses: `i:0`.
    case index(Int)

    /// A key of a list's element with its value.
    public struct Key: Sendable, Hashable {
        public let name: String
        public let value: JSONValue

        public init(_ name: String, _ value: JSONValue) { (self.name, self.value) = (name, value) }
    }
}

extension PathElement: Comparable {
    /// Fields come before keys, values and indices, and among themselves in the order of their bytes.
    public static func < (left: PathElement, right: PathElement) -> Bool { compare(left, right) < 0 }

    /// Negative, zero or positive, as the left element comes before, with or after the right.
    static func compare(_ left: PathElement, _ right: PathElement) -> Int {
        switch (left, right) {
        case (.field(let left), .field(let right)): return left.compareBytes(right)
        case (.key(let left), .key(let right)):
            for (left, right) in zip(left, right) {
                let order = left.name.compareBytes(right.name)
                if order != 0 { return order }
                let values = left.value.compare(right.value)
                if values != 0 { return values }
            }
            return left.count - right.count
        case (.value(let left), .value(let right)): return left.compare(right)
        case (.index(let left), .index(let right)): return left - right
        default: return left.rank - right.rank
        }
    }

    private var rank: Int {
        switch self {
        case .field: 0
        case .key: 1
        case .value: 2
        case .index: 3
        }
    }
}

extension PathElement: CustomStringConvertible {
    /// As conflicts show it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`.
    public var description: String {
        switch self {
        case .field(let name): ".\(name)"
        case .key(let keys): "[" + keys.map { "\($0.name)=\($0.value.text())" }.joined(separator: ",") + "]"
        case .value(let value): "[=\(value.text())]"
        case .index(let index): "[\(index)]"
        }
    }
}

/// A place in an object.
public struct FieldPath: Sendable, Hashable, CustomStringConvertible {
    public var elements: [PathElement]

    public init(_ elements: [PathElement] = []) { self.elements = elements }

    /// The path through these fields.
    public init(fields: String...) { elements = fields.map { .field($0) } }

    /// `.spec.containers[name="a"].image`
    public var description: String { elements.map(\.description).joined() }
}

extension String {
    /// The order of the bytes: Swift's own is that of Unicode.
    func compareBytes(_ other: String) -> Int {
        var (left, right) = (self, other)
        return left.withUTF8 { left in
            right.withUTF8 { right in
                let count = min(left.count, right.count)
                for index in 0..<count where left[index] != right[index] {
                    return Int(left[index]) - Int(right[index])
                }
                return left.count - right.count
            }
        }
    }
}

extension JSONValue {
    /// The order of structured-merge-diff's values: numbers, strings, booleans, lists, maps, null.
    func compare(_ other: JSONValue) -> Int {
        switch (self, other) {
        case (.string(let left), .string(let right)): return left.compareBytes(right)
        case (.integer(let left), .integer(let right)): return left < right ? -1 : left > right ? 1 : 0
        case (.integer, .number), (.number, .integer), (.number, .number):
            let (left, right) = (doubleValue ?? 0, other.doubleValue ?? 0)
            return left < right ? -1 : left > right ? 1 : text().compareBytes(other.text())
        case (.bool(let left), .bool(let right)): return left == right ? 0 : left ? 1 : -1
        case (.array, .array), (.object, .object): return text().compareBytes(other.text())
        default: return rank - other.rank
        }
    }

    private var rank: Int {
        switch self {
        case .integer, .number: 0
        case .string: 1
        case .bool: 2
        case .array: 3
        case .object: 4
        case .null: 5
        }
    }
}
