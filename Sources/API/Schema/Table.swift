// How the table is written, and read once at first use.
//
//     Type: field kind mark, field kind mark, …
//
// A type goes on in lines that start with a space. Kinds: string bool int32 int64 quantity intOrString time any, the
// name of a type, [kind] a list, [Type/key+key] a list merged by keys, {kind} a map. Marks: none served, `-` valid but
// not served, `~` accepted and dropped, `=A|B` only these values are served, `=A|B/C|D*` and C and all that starts with
// D are valid but not served (then any other value is left to validation).

extension Schema {
    init(table: String) {
        var types: [String: ObjectType] = [:]
        var fields: [String: Field] = [:]
        var name: Substring = ""
        for line in table.split(separator: "\n") {
            var rest = line
            if line.first != " ", let colon = line.firstIndex(of: ":") {
                if !name.isEmpty { types[String(name)] = ObjectType(name: String(name), fields: fields) }
                name = line[..<colon]
                fields = [:]
                rest = line[line.index(after: colon)...]
            }
            for entry in rest.split(separator: ",") {
                if let field = Field(entry: entry) { fields[field.name] = field }
            }
        }
        if !name.isEmpty { types[String(name)] = ObjectType(name: String(name), fields: fields) }
        self.types = types
    }
}

extension Field {
    /// Reads `name kind mark`; nil for what is neither two nor three words.
    init?(entry: Substring) {
        let words = entry.split(separator: " ")
        guard words.count == 2 || words.count == 3 else { return nil }
        name = String(words[0])
        kind = FieldKind(notation: words[1])
        service = words.count == 2 ? .served : FieldService(mark: words[2])
    }
}

extension FieldKind {
    init(notation: Substring) {
        switch notation {
        case "string": self = .string
        case "bool": self = .boolean
        case "int32": self = .int32
        case "int64": self = .int64
        case "quantity": self = .quantity
        case "intOrString": self = .intOrString
        case "time": self = .time
        case "any": self = .any
        default:
            let parts = notation.dropFirst().dropLast().split(separator: "/", maxSplits: 1)
            switch notation.first {
            case "[":
                let keys = parts.count > 1 ? parts[1].split(separator: "+").map(String.init) : []
                self = .list(FieldKind(notation: parts.first ?? ""), keys: keys)
            case "{": self = .map(FieldKind(notation: parts.first ?? ""))
            default: self = .object(String(notation))
            }
        }
    }
}

extension FieldService {
    init(mark: Substring) {
        switch mark {
        case "-": self = .notServed
        case "~": self = .dropped
        default:
            let parts = mark.dropFirst().split(separator: "/", maxSplits: 1)
            let lists = parts.map { $0.split(separator: "|").map(String.init) }
            self = .someValues(lists.first ?? [], notServed: lists.count > 1 ? lists[1] : nil)
        }
    }
}
