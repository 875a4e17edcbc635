// How typed values are read from a tree: field by field, every fault noted with its path, reading on so that all faults
// of an object are reported at once.

import JSONTree

/// An object that cannot be made a typed value, with everything that is wrong with it.
public struct InvalidObject: Error, Sendable, Hashable, CustomStringConvertible {
    /// Never empty.
    public let errors: [FieldError]
    public init(errors: [FieldError]) { self.errors = errors }
    /// One line for each error.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// Where the faults found while reading one object are gathered.
final class Faults {
    private(set) var errors: [FieldError] = []
    func add(_ error: FieldError) { errors.append(error) }

    /// Throws the faults, if there are any: each once, without those that only follow from a value of a wrong type.
    func check(and more: [FieldError] = []) throws(InvalidObject) {
        let all = errors + more
        let wrong = Set(all.filter { $0.reason == .typeInvalid }.map(\.path))
        var seen: Set<FieldError> = []
        let reported = all.filter { error in
            let follows = error.reason != .typeInvalid && wrong.contains { $0.contains(error.path) }
            return !follows && seen.insert(error).inserted
        }
        if !reported.isEmpty { throw InvalidObject(errors: reported) }
    }
}

/// One object of the tree, at its path.
struct FieldReader {
    let object: JSONObject
    let path: JSONPath
    let faults: Faults

    func add(_ error: FieldError) { faults.add(error) }

    /// Notes each of `messages` as `Invalid value` of the field `name`.
    func invalid(_ name: String, _ value: JSONValue, _ messages: [String]) {
        for message in messages { add(.invalid(path.field(name), value, message)) }
    }

    /// The member, unless it is absent or null.
    subscript(name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    private func read<Value>(_ name: String, _ expected: String, _ convert: (JSONValue) -> Value?) -> Value? {
        guard let value = self[name] else { return nil }
        if let converted = convert(value) { return converted }
        add(.type(path.field(name), expected: expected, got: value))
        return nil
    }

    func string(_ name: String) -> String? { read(name, "a string", \.stringValue) }

    /// A string that is not empty.
    func text(_ name: String) -> String? { string(name).flatMap { $0.isEmpty ? nil : $0 } }

    /// A string that must be there; empty, with the fault noted, when it is not.
    func required(_ name: String, _ detail: String = "") -> String {
        if let text = text(name) { return text }
        if self[name] == nil || self[name] == "" { add(.required(path.field(name), detail)) }
        return ""
    }

    func boolean(_ name: String) -> Bool? { read(name, "a boolean (true or false)", \.boolValue) }
    func integer(_ name: String) -> Int64? { read(name, "an integer", \.integerValue) }

    func integer(_ name: String, check: (Int64) -> [String]) -> Int64? {
        guard let number = integer(name) else { return nil }
        invalid(name, .integer(number), check(number))
        return number
    }

    /// The object in the field `name`.
    func reader(_ name: String) -> FieldReader? {
        read(name, "an object", \.objectValue).map { FieldReader(object: $0, path: path.field(name), faults: faults) }
    }

    /// The objects in the list `name`. One that is none is read as empty, so that every other keeps its index.
    func readers(_ name: String) -> [FieldReader] {
        let path = path.field(name)
        return list(name, "an object", [:], \.objectValue).enumerated().map { index, object in
            FieldReader(object: object, path: path.index(index), faults: faults)
        }
    }

    func strings(_ name: String) -> [String] { list(name, "a string", "", \.stringValue) }
    func integers(_ name: String) -> [Int64] { list(name, "an integer", 0, \.integerValue) }

    /// The list `name`, nil where it is absent or empty.
    func someStrings(_ name: String) -> [String]? {
        let strings = strings(name)
        return strings.isEmpty ? nil : strings
    }

    /// The elements of a list; `wrong` in place of those of another kind.
    private func list<Value>(
        _ name: String, _ expected: String, _ wrong: Value, _ convert: (JSONValue) -> Value?
    ) -> [Value] {
        let elements = read(name, "a list", \.arrayValue) ?? []
        return elements.enumerated().map { index, element in
            if let converted = convert(element) { return converted }
            add(.type(path.field(name).index(index), expected: expected, got: element))
            return wrong
        }
    }

    /// The members of a map of strings, in their order.
    func stringMap(_ name: String) -> [(String, String)] {
        let object = read(name, "a map", \.objectValue) ?? [:]
        return object.compactMap { key, value in
            if let text = value.stringValue { return (key, text) }
            add(.type(path.field(name).key(key), expected: "a string", got: value))
            return nil
        }
    }

    /// One of the words of `Choice`; `fallback` where the field is absent, empty or wrong.
    func choice<Choice>(_ name: String, _ fallback: Choice) -> Choice
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        choice(name) ?? fallback
    }

    func choice<Choice>(_ name: String) -> Choice?
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        guard let word = text(name) else { return nil }
        if let choice = Choice(rawValue: word) { return choice }
        add(.unsupported(path.field(name), .string(word), supported: Choice.allCases.map(\.rawValue)))
        return nil
    }
}
