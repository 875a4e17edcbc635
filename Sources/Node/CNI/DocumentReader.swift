import JSONTree
import Netlink

/// Reads the members of one object of a CNI document; what is wrong is said with its place. A member that is `null` is as
/// good as absent, as Go's decoder has it.
struct DocumentReader {
    private let object: JSONObject
    let path: JSONPath

    init(_ value: JSONValue, at path: JSONPath = JSONPath()) throws(FieldError) {
        guard let object = value.objectValue else { throw .type(path, expected: "an object", got: value) }
        (self.object, self.path) = (object, path)
    }

    subscript(key: String) -> JSONValue? {
        let value = object[key]
        return value?.isNull == true ? nil : value
    }

    func string(_ key: String) throws(FieldError) -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.stringValue else { throw .type(path.field(key), expected: "a string", got: value) }
        return text
    }

    /// Go leaves out what is empty, so empty is as good as absent.
    func text(_ key: String) throws(FieldError) -> String? {
        let text = try string(key)
        return text == "" ? nil : text
    }

    func required(_ key: String) throws(FieldError) -> String {
        guard let text = try text(key) else { throw .required(path.field(key)) }
        return text
    }

    /// Some write the word instead: `"disableCheck": "true"` (libcni reads both).
    func flag(_ key: String) throws(FieldError) -> Bool? {
        guard let value = self[key] else { return nil }
        switch (value.boolValue, value.stringValue) {
        case (let flag?, _): return flag
        case (_, "true"): return true
        case (_, "false"): return false
        default: throw .type(path.field(key), expected: "a boolean", got: value)
        }
    }

    func integer(_ key: String, _ range: ClosedRange<Int64>) throws(FieldError) -> Int64? {
        guard let value = self[key] else { return nil }
        guard let number = value.integerValue else {
            throw .type(path.field(key), expected: "an integer", got: value)
        }
        guard range.contains(number) else {
            throw .invalid(path.field(key), value, "must be \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func list(_ key: String) throws(FieldError) -> [JSONValue] {
        guard let value = self[key] else { return [] }
        guard let elements = value.arrayValue else { throw .type(path.field(key), expected: "a list", got: value) }
        return elements
    }

    func strings(_ key: String) throws(FieldError) -> [String] {
        var texts: [String] = []
        for (index, value) in try list(key).enumerated() {
            guard let text = value.stringValue else {
                throw .type(path.field(key).index(index), expected: "a string", got: value)
            }
            texts.append(text)
        }
        return texts
    }

    /// The objects of a list, in order.
    func objects(_ key: String) throws(FieldError) -> [DocumentReader] {
        var readers: [DocumentReader] = []
        for (index, value) in try list(key).enumerated() {
            readers.append(try DocumentReader(value, at: path.field(key).index(index)))
        }
        return readers
    }

    func object(_ key: String) throws(FieldError) -> DocumentReader? {
        guard let value = self[key] else { return nil }
        return try DocumentReader(value, at: path.field(key))
    }

    func address(_ key: String) throws(FieldError) -> IPAddress? {
        guard let text = try text(key) else { return nil }
        guard let address = IPAddress(text) else {
            throw .invalid(path.field(key), .string(text), "not an IP address")
        }
        return address
    }
}
