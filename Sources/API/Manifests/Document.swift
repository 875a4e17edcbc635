// One document of a file: its tree, and the lines of what is in it.

import JSONTree

/// A document as a tree, with the means to find lines.
struct Document {
    let tree: JSONValue
    /// What was wrong already with making a tree of it.
    var errors: [FieldError] = []
    /// The place of the document in its file, from 0.
    let index: Int
    let lines: Lines

    enum Lines {
        case json([UInt8])
        case yaml(YAMLNode)
    }

    /// The line, from 1, of the value at `path` or of the nearest thing that contains it.
    func line(of path: JSONPath) -> Int {
        switch lines {
        case .json(let bytes): path.line(in: bytes)
        case .yaml(let root): root.line(of: path)
        }
    }
}

extension YAMLNode {
    fileprivate func line(of path: JSONPath) -> Int {
        var node = self
        var line = self.line
        for step in path.steps {
            switch (step, node.content) {
            case (.field(let name), .mapping(let members)), (.key(let name), .mapping(let members)):
                // The last one: of duplicate keys it is the one complained about.
                guard let member = members.last(where: { $0.key.keyText == name }) ?? Self.merged(members, name) else {
                    return line
                }
                (node, line) = (member.value, member.key.line)
            case (.index(let index), .sequence(let elements)) where elements.indices.contains(index):
                (node, line) = (elements[index], elements[index].line)
            default: return line
            }
        }
        return line
    }

    /// The member `name` of a mapping merged in by `<<`.
    private static func merged(
        _ members: [(key: YAMLNode, value: YAMLNode)], _ name: String
    ) -> (key: YAMLNode, value: YAMLNode)? {
        guard let merge = members.first(where: { $0.key.isMerge }) else { return nil }
        let sources = if case .sequence(let list) = merge.value.content { list } else { [merge.value] }
        for source in sources {
            guard case .mapping(let inner) = source.content else { continue }
            if let member = inner.first(where: { $0.key.keyText == name }) { return member }
        }
        return nil
    }

    /// The text that a key becomes in JSON; nil for what cannot be a key.
    var keyText: String? {
        guard case .scalar(let text, let plain) = content else { return nil }
        guard let value = YAMLResolver.value(text, plain: plain, tag: tag) else { return nil }
        return switch value {
        case .string(let key): key
        case .bool, .integer, .number: value.text()
        default: nil
        }
    }

    /// Whether a key means: take over the members of the mapping that is its value (yaml.org/type/merge).
    var isMerge: Bool {
        if case .scalar("<<", plain: true) = content { tag == nil } else { false }
    }
}
