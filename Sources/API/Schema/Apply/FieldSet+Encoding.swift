// FieldsV1: a set as JSON, `{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{}}}}}`.

import JSONTree

/// Why JSON is no set of fields.
public struct FieldSetError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
}

extension FieldSet {
    /// How deep sets may nest: as deep as objects.
    static let maximumDepth = JSONValue.maximumDepth

    /// Reads FieldsV1. Unknown kinds of steps are skipped, as newer servers may write them.
    public init(fieldsV1: JSONValue) throws(FieldSetError) {
        self = try Self.read(fieldsV1, 0).children
    }

    private static func read(_ value: JSONValue, _ depth: Int) throws(FieldSetError) -> (
        isMember: Bool, children: FieldSet
    ) {
        guard case .object(let object) = value else {
            throw FieldSetError(description: "a set of fields is an object, not \(value.kindName)")
        }
        guard depth < maximumDepth else { throw FieldSetError(description: "a set of fields is nested too deep") }
        // A step without anything below it is a place of the set.
        if object.isEmpty { return (true, FieldSet()) }
        var nodes: [Node] = []
        var isMember = false
        for (key, child) in object {
            if key == "." {
                isMember = true
            } else if let element = try PathElement(fieldsV1: key) {
                let (isMember, children) = try read(child, depth + 1)
                nodes.append(Node(element, isMember: isMember, children: children))
            }
        }
        return (isMember, FieldSet(unsorted: nodes))
    }

    /// The set as FieldsV1, in order.
    public var fieldsV1: JSONValue { encoded(isMember: false) }

    private func encoded(isMember: Bool) -> JSONValue {
        var members: [(String, JSONValue)] = []
        members.reserveCapacity(nodes.count + 1)
        if isMember, !nodes.isEmpty { members.append((".", [:])) }
        for node in nodes { members.append((node.element.fieldsV1, node.children.encoded(isMember: node.isMember))) }
        return .object(JSONObject(members))
    }
}

extension PathElement {
    /// Reads `f:name`, `k:{…}`, `v:…` or `i:0`; nil for other kinds.
    init?(fieldsV1 text: String) throws(FieldSetError) {
        let bytes = text.utf8
        guard bytes.dropFirst().first == UInt8(ascii: ":") else {
            throw FieldSetError(description: "missing colon: \(text)")
        }
        let rest = String(text[bytes.index(bytes.startIndex, offsetBy: 2)...])
        switch bytes.first {
        case UInt8(ascii: "f"): self = .field(rest)
        case UInt8(ascii: "v"): self = .value(try Self.json(rest))
        case UInt8(ascii: "k"):
            guard case .object(let keys) = try Self.json(rest), !keys.isEmpty else {
                throw FieldSetError(description: "keys of a list's element are an object: \(text)")
            }
            self = .key(keys.map { Key($0.key, $0.value) }.sorted { $0.name.compareBytes($1.name) < 0 })
        case UInt8(ascii: "i"):
            guard let index = Int(rest) else { throw FieldSetError(description: "no index: \(text)") }
            self = .index(index)
        default: return nil
        }
    }

    private static func json(_ text: String) throws(FieldSetError) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue.parse(text)
        } catch {
            throw FieldSetError(description: "\(error.message): \(text)")
        }
    }

    var fieldsV1: String {
        switch self {
        case .field(let name): "f:" + name
        case .key(let keys): "k:" + JSONValue.object(JSONObject(keys.map { ($0.name, $0.value) })).text()
        case .value(let value): "v:" + value.text()
        case .index(let index): "i:\(index)"
        }
    }
}
