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

extension Document {
    /// The documents of a file, JSON or YAML, without those that are empty.
    static func all(in bytes: [UInt8], fileName: String) throws(ManifestErrors) -> [Document] {
        func failure(_ line: Int, _ message: String) -> ManifestErrors {
            ManifestErrors(errors: [ManifestError(file: fileName, line: line, path: "", message: message)])
        }
        let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if fileName.hasSuffix(".json") || first == UInt8(ascii: "{") {
            do throws(JSONError) {
                return [Document(tree: try JSONValue.parse(bytes), index: 0, lines: .json(bytes))]
            } catch {
                // A YAML document can start with a brace too.
                if fileName.hasSuffix(".json") { throw failure(error.line, error.message) }
            }
        }
        do throws(YAMLError) {
            return try YAMLParser.documents(bytes).enumerated().map { index, root in
                let (tree, errors) = YAMLConversion.tree(of: root)
                return Document(tree: tree, errors: errors, index: index, lines: .yaml(root))
            }
        } catch {
            throw failure(error.line, error.message)
        }
    }
}

/// A YAML or JSON file that is no manifest, such as a list of leases: its tree, and where in the text each value stands.
public struct TreeFile {
    /// What the file says; null where it is empty.
    public let tree: JSONValue
    private let fileName: String
    private let document: Document?

    /// Reads one document. `fileName` is what errors call it; one that ends in `.json` must be JSON.
    /// - Throws: What is wrong with the text: its grammar, duplicate keys, a second document.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(ManifestErrors) -> TreeFile {
        let documents = try Document.all(in: bytes, fileName: fileName)
        let file = TreeFile(tree: documents.first?.tree ?? .null, fileName: fileName, document: documents.first)
        var errors = documents.first?.errors.map { file.error($0) } ?? []
        if documents.count > 1 {
            let line = documents[1].line(of: JSONPath())
            errors.append(ManifestError(file: fileName, line: line, path: "", message: "a second document"))
        }
        guard errors.isEmpty else { throw ManifestErrors(errors: errors) }
        return file
    }

    /// What a reader of the tree finds wrong, with file and line.
    public func error(_ fault: FieldError) -> ManifestError {
        ManifestError(
            file: fileName, line: document?.line(of: fault.path) ?? 0, path: "\(fault.path)", message: fault.message)
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
