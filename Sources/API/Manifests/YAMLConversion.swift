// YAML nodes to a JSON tree. Aliases are followed here, so this is where a few lines could become billions: the
// number of values is bounded.

import JSONTree

/// Makes a tree of a document's root.
struct YAMLConversion {
    /// The most values that a document may have after its aliases are followed.
    static let maximumValues = 100_000

    private(set) var errors: [FieldError] = []
    private var steps: [JSONPath.Step] = []
    private var values = 0

    /// - Returns: the tree; what could not be converted is null in it and among the errors.
    static func tree(of root: YAMLNode) -> (tree: JSONValue, errors: [FieldError]) {
        var conversion = YAMLConversion()
        let tree = conversion.value(root)
        return (tree, conversion.errors)
    }

    private mutating func value(_ node: YAMLNode) -> JSONValue {
        values += 1
        guard values <= Self.maximumValues, steps.count < YAMLParser.maximumDepth else {
            tooLarge()
            return .null
        }
        switch node.content {
        case .scalar(let text, let plain): return scalar(node, text, plain)
        case .sequence(let elements):
            if !isAllowed(node.tag, "seq") { refuse("the tag \(node.tag ?? "") is not supported") }
            return .array(
                elements.enumerated().map { index, element in
                    steps.append(.index(index))
                    defer { steps.removeLast() }
                    return value(element)
                })
        case .mapping(let members):
            if !isAllowed(node.tag, "map") { refuse("the tag \(node.tag ?? "") is not supported") }
            return .object(object(members))
        }
    }

    private mutating func scalar(_ node: YAMLNode, _ text: String, _ plain: Bool) -> JSONValue {
        if let value = YAMLResolver.value(text, plain: plain, tag: node.tag) { return value }
        refuse(node.tag.map { "\"\(text)\" cannot be read with the tag \($0)" } ?? "\(text) is no number that JSON has")
        return .null
    }

    private mutating func object(_ members: [(key: YAMLNode, value: YAMLNode)]) -> JSONObject {
        var object = JSONObject()
        var lines: [String: Int] = [:]
        for (key, node) in members where !key.isMerge {
            guard values <= Self.maximumValues else { break }
            guard let name = key.keyText else {
                refuse("a key must be a string, at line \(key.line)")
                continue
            }
            steps.append(.field(name))
            defer { steps.removeLast() }
            if let first = lines.updateValue(key.line, forKey: name) {
                refuse("duplicate key \"\(name)\", first at line \(first)")
            } else {
                object[name] = value(node)
            }
        }
        for (key, node) in members where key.isMerge { merge(node, into: &object) }
        return object
    }

    /// Members that are there already stay; of several mappings the first one counts.
    private mutating func merge(_ node: YAMLNode, into object: inout JSONObject) {
        let sources = if case .sequence(let list) = node.content { list } else { [node] }
        for source in sources {
            guard case .mapping = source.content, case .object(let merged) = value(source) else {
                refuse("<< needs a mapping or a list of mappings, at line \(node.line)")
                continue
            }
            for (name, member) in merged where object[name] == nil { object[name] = member }
        }
    }

    private func isAllowed(_ tag: String?, _ name: String) -> Bool {
        tag == nil || tag == "!" || tag == "tag:yaml.org,2002:\(name)"
    }

    private mutating func refuse(_ message: String) {
        errors.append(FieldError(JSONPath(steps), .invalid, message))
    }

    /// Said once, however many values are left out.
    private mutating func tooLarge() {
        if errors.last?.reason == .tooLong { return }
        let message = "the document grows beyond \(Self.maximumValues) values or \(YAMLParser.maximumDepth) levels"
        errors.append(FieldError(JSONPath(), .tooLong, message))
    }
}
