// What server-side apply needs to know of a value: whether it is one whole, a list of elements that are told apart, or an
// object whose members are.

import JSONTree

/// Something that server-side apply cannot work with.
public struct ApplyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// `.spec.foo: field not declared in schema`
    public let description: String

    init(_ path: FieldPath, _ message: String) {
        description = path.elements.isEmpty ? message : "\(path): \(message)"
    }
}

/// How values of a kind are merged and owned.
enum MergeKind {
    /// As one: scalars, atomic lists and maps.
    case whole
    /// Element by element; without keys, by their values.
    case list(FieldKind, keys: [String])
    /// Member by member.
    case object(ObjectType)
    /// Member by member, all of a kind.
    case map(FieldKind)
    /// Whatever it is: lists are whole, objects are not.
    case deduced

    init(_ kind: FieldKind) {
        switch kind {
        case .object(let reference):
            let type = reference.type
            self = type.isAtomic ? .whole : .object(type)
        case .list(let element, .set): self = .list(element, keys: [])
        case .list(let element, .map(let keys)): self = .list(element, keys: keys)
        case .map(let element, isAtomic: false): self = .map(element)
        case .rawExtension, .json, .fieldsV1, .either: self = .deduced
        default: self = .whole
        }
    }

    /// The kind for a value, with what is deduced from it; `other` is its counterpart.
    func resolved(_ value: JSONValue?, _ other: JSONValue? = nil) -> MergeKind {
        guard case .deduced = self else { return self }
        let values = [value, other].compactMap { $0 }.filter { !$0.isNull }
        let areObjects = values.allSatisfy { $0.objectValue != nil }
        return areObjects && !values.isEmpty ? .map(.json) : .whole
    }

    /// The kind of the member `name`; nil where the type has no such field.
    func member(_ name: String) -> FieldKind? {
        switch self {
        case .object(let type): type.field(name)?.kind ?? (type.unknownFields == .kept ? .json : nil)
        case .map(let element): element
        default: nil
        }
    }

    /// Whether `name` is a field that the type names, not a key that somebody chose.
    func isNamed(_ name: String) -> Bool {
        if case .object(let type) = self { type.field(name) != nil } else { false }
    }
}

/// A list's elements by what tells them apart.
struct ListElements {
    private(set) var elements: [(identity: PathElement, value: JSONValue)] = []
    /// The places of each element in `elements`; more than one where it comes again.
    private(set) var places: [PathElement: [Int]] = [:]

    init(_ list: [JSONValue], _ kind: FieldKind, keys: [String], at path: FieldPath) throws(ApplyError) {
        elements.reserveCapacity(list.count)
        for value in list {
            let identity = try Self.identity(value, kind, keys, path)
            places[identity, default: []].append(elements.count)
            elements.append((identity, value))
        }
    }

    /// The first element with this identity.
    func first(_ identity: PathElement) -> JSONValue? { places[identity]?.first.map { elements[$0].value } }

    private static func identity(
        _ value: JSONValue, _ kind: FieldKind, _ keys: [String], _ path: FieldPath
    ) throws(ApplyError) -> PathElement {
        guard !keys.isEmpty else {
            switch value {
            case .object: throw ApplyError(path, "associative list without keys has an element that's a map type")
            case .array: throw ApplyError(path, "not supported: associative list with lists as elements")
            case .null: throw ApplyError(path, "associative list without keys has an element that's an explicit null")
            default: return .value(value)
            }
        }
        guard case .object(let object) = value else {
            let what = value.isNull ? "a null element" : "non-map elements"
            throw ApplyError(path, "associative list with keys may not have \(what)")
        }
        var identity: [PathElement.Key] = []
        for name in keys {
            guard let value = object[name] ?? kind.objectType?.field(name)?.keyDefault else {
                throw ApplyError(
                    path,
                    "associative list with keys has an element that omits key field \"\(name)\""
                        + " (and doesn't have default value)")
            }
            identity.append(PathElement.Key(name, value))
        }
        return .key(identity.count == 1 ? identity : identity.sorted { $0.name.compareBytes($1.name) < 0 })
    }
}

extension Field {
    /// What a list's key is where an element leaves it out.
    fileprivate var keyDefault: JSONValue? { defaultValue ?? (isRequired ? kind.zero : nil) }
}
