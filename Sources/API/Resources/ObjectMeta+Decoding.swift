// ObjectMeta from and to a tree.

import JSONTree

extension ObjectMeta {
    /// Reads `metadata` of the object that `object` reads. `nameRule` is the kind's rule for names.
    init(of object: FieldReader, nameRule: (String) -> [String]) {
        let reader =
            object.reader("metadata")
            ?? FieldReader(object: [:], path: object.path.field("metadata"), faults: object.faults)
        let generated = reader.text("generateName") != nil
        let name = reader.required(
            "name",
            generated ? "generateName needs an API server; give the object a name" : "name or generateName is required")
        if !name.isEmpty { reader.invalid("name", .string(name), nameRule(name)) }
        let namespace = reader.text("namespace") ?? "default"
        reader.invalid("namespace", .string(namespace), NameRules.dns1123Label(namespace))
        self.init(
            name: name, namespace: namespace, uid: reader.text("uid") ?? "", labels: reader.labels("labels"),
            annotations: reader.annotations())
    }

    var tree: JSONValue {
        var tree: JSONObject = ["name": .string(name), "namespace": .string(namespace)]
        if !uid.isEmpty { tree["uid"] = .string(uid) }
        if !labels.isEmpty { tree["labels"] = .sortedMap(labels) }
        if !annotations.isEmpty { tree["annotations"] = .sortedMap(annotations) }
        return .object(tree)
    }
}

extension FieldReader {
    /// A map of labels, also as a selector.
    func labels(_ name: String) -> [String: String] {
        let pairs = stringMap(name)
        for (key, value) in pairs {
            invalid(name, .string(key), NameRules.qualifiedName(key))
            invalid(name, .string(value), NameRules.labelValue(value))
        }
        return Dictionary(pairs) { $1 }
    }

    /// Annotations may hold any text, 256 KiB with their keys.
    fileprivate func annotations() -> [String: String] {
        let pairs = stringMap("annotations")
        for (key, _) in pairs {
            invalid("annotations", .string(key), NameRules.qualifiedName(key.lowercased()))
        }
        let size = pairs.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count }
        if size > 256 * 1024 { add(.tooLong(path.field("annotations"), maximum: 256 * 1024)) }
        return Dictionary(pairs) { $1 }
    }
}

extension JSONValue {
    /// A map of strings in the order of its keys.
    static func sortedMap(_ map: [String: String]) -> JSONValue {
        .object(JSONObject(map.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }

    static func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}
