// Checks a manifest by the table, for a node without control plane: structure, not meaning (whether a name is a good
// name is validation, in Resources), and what of it is served (ServedFields.swift).

import JSONTree

extension Schema {
    /// The kinds that can stand in a manifest, by apiVersion and kind; the name of their type.
    public static func typeName(apiVersion: String, kind: String) -> String? {
        apiVersion == "v1" && (kind == "Pod" || kind == "Service") ? "core.v1.\(kind)" : nil
    }

    /// Checks `value` as an object of the type `typeName` (`core.v1.Pod`).
    ///
    /// - Returns: the object without members that are null, dropped or in error, and all errors: unknown fields (with
    ///   what was perhaps meant), fields and values that are not served, values of a wrong type. What is left of an
    ///   object with errors can still be validated, to report everything at once.
    public func check(_ value: JSONValue, as typeName: String) -> (object: JSONValue, errors: [FieldError]) {
        var check = SchemaCheck()
        guard let type = type(named: typeName) else { return (value, []) }
        let object = check.object(value, type)
        return (object ?? [:], check.errors)
    }
}

private struct SchemaCheck {
    let served = ServedFields.node
    var errors: [FieldError] = []
    /// Where the check is. Kept here, so that the path costs nothing until there is an error.
    private var steps: [JSONPath.Step] = []

    private var path: JSONPath { JSONPath(steps) }

    /// The value as it is kept, nil when it is wrong.
    mutating func value(_ value: JSONValue, _ kind: FieldKind) -> JSONValue? {
        switch kind {
        case .object(let reference): return object(value, reference.type)
        case .list(let element, _), .wrapped(let element): return list(value, element)
        case .map(let element, _): return map(value, element)
        default: return scalar(value, kind)
        }
    }

    mutating func object(_ value: JSONValue, _ type: ObjectType) -> JSONValue? {
        guard case .object(let object) = value else { return wrong(value, "an object") }
        let marks = served.marks[type.name]
        var kept = JSONObject()
        for (name, member) in object {
            steps.append(.field(name))
            defer { steps.removeLast() }
            guard let field = type.field(name) else {
                errors.append(FieldError(path, .unknown, "unknown field" + type.hint(for: name)))
                continue
            }
            let service = marks?[name] ?? .served
            if !member.isNull, let value = self.member(member, field, service) { kept[name] = value }
        }
        return .object(kept)
    }

    private mutating func member(_ member: JSONValue, _ field: Field, _ service: FieldService) -> JSONValue? {
        if service == .ignored { return nil }
        // What is not served is checked inside all the same: a misspelt field should be heard of at once.
        let checked = value(member, field.kind)
        switch service {
        case .served: return checked
        case .dropped, .ignored: return nil
        case .notServed:
            if !member.saysNothing {
                let message = "is valid in Kubernetes but not served by Swiftlet yet; remove it to run this here"
                errors.append(FieldError(path, .notServed, message))
            }
            return nil
        case .someValues(let served, let notServed):
            guard let checked else { return nil }
            let values = checked.arrayValue ?? [checked]
            guard let offending = values.first(where: { $0.isNotServed(served, notServed) }) else { return checked }
            let choices = served.map { field.kind.isTextual ? "\"\($0)\"" : $0 }.joined(separator: " or ")
            let message =
                "\(offending.text()) is valid in Kubernetes but not served by Swiftlet yet; served: \(choices)"
            errors.append(FieldError(path, .notServed, message))
            return nil
        }
    }

    private mutating func list(_ value: JSONValue, _ element: FieldKind) -> JSONValue? {
        guard case .array(let elements) = value else { return wrong(value, "a list") }
        var kept: [JSONValue] = []
        kept.reserveCapacity(elements.count)
        for (index, member) in elements.enumerated() {
            steps.append(.index(index))
            defer { steps.removeLast() }
            // An element in error keeps its place, so that the paths of later ones stay true.
            kept.append(self.value(member, element) ?? .null)
        }
        return .array(kept)
    }

    private mutating func map(_ value: JSONValue, _ element: FieldKind) -> JSONValue? {
        guard case .object(let object) = value else { return wrong(value, "a map") }
        var kept = JSONObject()
        for (name, member) in object {
            steps.append(.key(name))
            defer { steps.removeLast() }
            if let value = self.value(member, element) { kept[name] = value }
        }
        return .object(kept)
    }

    private mutating func scalar(_ value: JSONValue, _ kind: FieldKind) -> JSONValue? {
        switch (kind, value) {
        case (.string, .string), (.boolean, .bool), (.int64, .integer), (.double, .integer), (.double, .number),
            (.rawExtension, _), (.json, _), (.fieldsV1, _), (.either, _), (.bytes, .string), (.time, .string),
            (.microTime, .string), (.quantity, .string), (.quantity, .integer), (.quantity, .number),
            (.intOrString, .string):
            return value
        case (.int32, .integer(let number)), (.intOrString, .integer(let number)):
            if Int32(exactly: number) != nil { return value }
            errors.append(FieldError(path, .typeInvalid, "expected a 32-bit integer, got \(number)"))
            return nil
        case (.string, .integer), (.string, .number), (.string, .bool):
            let message = "expected a string, got \(value.kindName) (\(value.text())); write it in quotes"
            errors.append(FieldError(path, .typeInvalid, message))
            return nil
        default: return wrong(value, kind.description)
        }
    }

    private mutating func wrong(_ value: JSONValue, _ expected: String) -> JSONValue? {
        errors.append(.type(path, expected: expected, got: value))
        return nil
    }
}

extension FieldKind: CustomStringConvertible {
    /// What is expected, with its article.
    public var description: String {
        switch self {
        case .string: "a string"
        case .boolean: "a boolean (true or false)"
        case .int32, .int64: "an integer"
        case .double: "a number"
        case .bytes: "base64"
        case .quantity: "an amount such as 500m or 64Mi"
        case .intOrString: "an integer or a string"
        case .time, .microTime: "a time"
        case .json: "any value"
        case .object, .rawExtension, .fieldsV1, .either: "an object"
        case .list, .wrapped: "a list"
        case .map: "a map"
        }
    }

    fileprivate var isTextual: Bool {
        switch self {
        case .string: true
        case .list(let element, _): element.isTextual
        default: false
        }
    }
}

extension JSONValue {
    /// Whether a value says nothing: what the API server writes for a field nobody set.
    fileprivate var saysNothing: Bool {
        switch self {
        case .null: true
        case .string(let text): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        default: false
        }
    }

    fileprivate func isNotServed(_ served: [String], _ notServed: [String]?) -> Bool {
        let word = stringValue ?? text()
        if word.isEmpty || served.contains(word) { return false }
        guard let notServed else { return true }
        return notServed.contains { $0.hasSuffix("*") ? word.hasPrefix($0.dropLast()) : $0 == word }
    }
}
