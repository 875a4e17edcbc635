// Volumes from a tree.

import JSONTree

extension Volume {
    init(_ reader: FieldReader) {
        let name = reader.required("name")
        if !name.isEmpty { reader.invalid("name", .string(name), NameRules.dns1123Label(name)) }
        let sources = [("emptyDir", Volume.emptyDir), ("hostPath", Volume.hostPath)].filter { reader[$0.0] != nil }
        for (field, _) in sources.dropFirst() {
            reader.add(.forbidden(reader.path.field(field), "may not specify more than 1 volume type"))
        }
        guard let (field, read) = sources.first, let source = reader.reader(field) else {
            if sources.isEmpty { reader.add(.required(reader.path, "must specify a volume type")) }
            self.init(name: name, source: .emptyDir(memory: false, sizeLimit: nil))
            return
        }
        self.init(name: name, source: read(source))
    }

    private static func emptyDir(_ reader: FieldReader) -> Source {
        let medium = reader.string("medium") ?? ""
        if medium != "", medium != "Memory" {
            reader.add(.unsupported(reader.path.field("medium"), .string(medium), supported: ["", "Memory"]))
        }
        let limit = reader["sizeLimit"].flatMap { reader.quantity($0, reader.path.field("sizeLimit")) }
        // The kubelet takes zero for no limit.
        return .emptyDir(memory: medium == "Memory", sizeLimit: limit.flatMap { $0.value > 0 ? $0.value : nil })
    }

    private static func hostPath(_ reader: FieldReader) -> Source {
        let path = reader.required("path")
        if !path.isEmpty {
            reader.invalid("path", .string(path), path.hasPrefix("/") ? [] : ["must be an absolute path"])
            reader.invalid("path", .string(path), backstepFaults(path))
        }
        return .hostPath(path: path, type: reader.choice("type", .unset))
    }
}
