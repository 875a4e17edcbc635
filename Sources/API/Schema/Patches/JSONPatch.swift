// JSON Patch (RFC 6902) with JSON Pointers (RFC 6901). Messages are those of the Go library that the API server uses
// (evanphx/json-patch).

import JSONTree

/// Operations that change a document one after the other: `application/json-patch+json`.
public struct JSONPatch: Sendable, Hashable {
    /// How many operations a patch may have (apiserver `maxJSONPatchOperations`).
    public static let maximumOperations = 10_000
    /// By how many bytes copies may make a document grow: the size of a request.
    public static let maximumCopies = 3 << 20

    /// One step of a patch.
    public enum Operation: Sendable, Hashable {
        case add(JSONPointer, JSONValue)
        case remove(JSONPointer)
        case replace(JSONPointer, JSONValue)
        case move(from: JSONPointer, to: JSONPointer)
        case copy(from: JSONPointer, to: JSONPointer)
        case test(JSONPointer, JSONValue)
    }

    public let operations: [Operation]

    public init(_ operations: [Operation]) { self.operations = operations }

    /// Reads a patch: a list of objects. Members that an operation does not have are ignored (RFC 6902 §4).
    public init(_ patch: JSONValue) throws(PatchError) {
        guard case .array(let elements) = patch else {
            throw PatchError(.invalid, "a JSON patch is a list of operations, not \(patch.kindName)")
        }
        guard elements.count <= Self.maximumOperations else {
            let text =
                "The allowed maximum operations in a JSON patch is \(Self.maximumOperations), got \(elements.count)"
            throw PatchError(.tooLarge, text)
        }
        var operations: [Operation] = []
        for element in elements { operations.append(try Operation(element)) }
        self.operations = operations
    }

    /// The document after all operations; where one fails, none is applied.
    public func apply(to document: JSONValue) throws(PatchError) -> JSONValue {
        var result = document
        var budget = PatchBudget(depth: document.depth)
        for operation in operations { try operation.apply(to: &result, &budget) }
        return result
    }
}

/// What the operations of a patch may still make of a document.
private struct PatchBudget {
    /// How many bytes may still be copied.
    var copies = JSONPatch.maximumCopies
    /// How deep the document may be by now.
    var depth: Int

    init(depth: Int) { self.depth = depth }

    /// Notes that something `depth` deep was put at `path`.
    mutating func put(_ depth: Int, at path: JSONPointer) throws(PatchError) {
        self.depth = max(self.depth, path.tokens.count + depth)
        guard self.depth <= JSONValue.maximumDepth else {
            throw PatchError(.tooLarge, "the object would be nested deeper than \(JSONValue.maximumDepth) levels")
        }
    }
}

/// What a place is looked for, for messages.
private enum PatchStep {
    case add, remove, replace, moveFrom, moveTo, copyFrom, copyTo

    var operation: String {
        switch self {
        case .add: "add"
        case .remove: "remove"
        case .replace: "replace"
        case .moveFrom, .moveTo: "move"
        case .copyFrom, .copyTo: "copy"
        }
    }

    func missing(_ path: JSONPointer) -> PatchError {
        let place =
            switch self {
            case .add, .remove: "doc is missing path: \"\(path)\""
            case .replace: "doc is missing path: \(path)"
            case .moveFrom, .copyFrom: "doc is missing from path: \(path)"
            case .moveTo, .copyTo: "doc is missing destination path: \(path)"
            }
        return PatchError(.unprocessable, "\(operation) operation does not apply: \(place): missing value")
    }

    func badIndex(_ path: JSONPointer, _ token: String) -> PatchError {
        let text =
            Int(token) == nil
            ? "strconv.Atoi: parsing \"\(token)\": invalid syntax"
            : "Unable to access invalid index: \(token): invalid index referenced"
        return PatchError(.unprocessable, "error in \(operation) for path: '\(path)': \(text)")
    }
}

extension JSONPatch.Operation {
    init(_ element: JSONValue) throws(PatchError) {
        guard case .object(let object) = element else {
            throw PatchError(.invalid, "an operation of a JSON patch is an object, not \(element.kindName)")
        }
        func pointer(_ name: String) throws(PatchError) -> JSONPointer {
            guard let text = object[name]?.stringValue else {
                throw PatchError(.invalid, "operation missing \(name) field: missing value")
            }
            guard let pointer = JSONPointer(text) else {
                throw PatchError(.invalid, "\"\(text)\" is no JSON pointer (RFC 6901)")
            }
            return pointer
        }
        func value() throws(PatchError) -> JSONValue {
            guard let value = object["value"] else {
                throw PatchError(.invalid, "operation missing value field: missing value")
            }
            return value
        }
        switch object["op"]?.stringValue {
        case "add": self = .add(try pointer("path"), try value())
        case "remove": self = .remove(try pointer("path"))
        case "replace": self = .replace(try pointer("path"), try value())
        case "move": self = .move(from: try pointer("from"), to: try pointer("path"))
        case "copy": self = .copy(from: try pointer("from"), to: try pointer("path"))
        case "test": self = .test(try pointer("path"), try value())
        case let other: throw PatchError(.invalid, "Unexpected kind: \(other ?? "unknown")")
        }
    }

    fileprivate func apply(to document: inout JSONValue, _ budget: inout PatchBudget) throws(PatchError) {
        switch self {
        case .add(let path, let value):
            try budget.put(value.depth, at: path)
            try document.add(value, at: path.tokens[...], .add, path)
        case .remove(let path): _ = try document.remove(at: path.tokens[...], .remove, path)
        case .replace(let path, let value):
            try budget.put(value.depth, at: path)
            try document.replace(value, at: path.tokens[...], path)
        case .move(let source, let path):
            guard !source.isProperPrefix(of: path) else {
                throw PatchStep.moveTo.missing(path)  // What is moved is gone by then.
            }
            try budget.put(budget.depth - source.tokens.count, at: path)
            let value = try document.remove(at: source.tokens[...], .moveFrom, source)
            try document.add(value, at: path.tokens[...], .moveTo, path)
        case .copy(let source, let path):
            guard let value = document.value(at: source) else {
                throw PatchStep.copyFrom.missing(source)
            }
            try budget.put(budget.depth - source.tokens.count, at: path)
            guard value.spend(&budget.copies) else {
                throw PatchError(
                    .tooLarge,
                    "Unable to complete the copy, the accumulated size increase of copy exceeds the limit"
                        + " \(JSONPatch.maximumCopies)")
            }
            try document.add(value, at: path.tokens[...], .copyTo, path)
        case .test(let path, let expected):
            let parent = JSONPointer(tokens: path.tokens.dropLast())
            switch document.value(at: parent) {
            case .object?, .array?: break
            default:
                guard path.tokens.isEmpty else {
                    let text = "test operation does not apply: is missing path: \(path): missing value"
                    throw PatchError(.unprocessable, text)
                }
            }
            // What is absent is null.
            guard (document.value(at: path) ?? .null).equals(expected) else {
                throw PatchError(.unprocessable, "testing value \(path) failed: test failed")
            }
        }
    }
}

extension JSONValue {
    fileprivate func value(at pointer: JSONPointer) -> JSONValue? {
        var value = self
        for token in pointer.tokens {
            let next: JSONValue? =
                switch value {
                case .object(let object): object[token]
                case .array(let elements): elements.place(token, upTo: elements.count - 1).map { elements[$0] }
                default: nil
                }
            guard let next else { return nil }
            value = next
        }
        return value
    }

    /// Changes the value that the tokens but the last lead to, in place.
    private mutating func change<Result>(
        at tokens: ArraySlice<String>, _ step: PatchStep, _ path: JSONPointer,
        _ body: (inout JSONValue) throws(PatchError) -> Result
    ) throws(PatchError) -> Result {
        guard let token = tokens.first, tokens.count > 1 else { return try body(&self) }
        // The child is taken out of its parent, so that it is not copied when it changes.
        switch self {
        case .object(var object):
            guard let place = object.index(of: token) else { throw step.missing(path) }
            self = .null
            var child = object[place].value
            object.setValue(.null, at: place)
            let result = try child.change(at: tokens.dropFirst(), step, path, body)
            object.setValue(child, at: place)
            self = .object(object)
            return result
        case .array(var elements):
            guard let place = elements.place(token, upTo: elements.count - 1) else {
                throw step.missing(path)
            }
            self = .null
            var child = elements[place]
            elements[place] = .null
            let result = try child.change(at: tokens.dropFirst(), step, path, body)
            elements[place] = child
            self = .array(elements)
            return result
        default: throw step.missing(path)
        }
    }

    fileprivate mutating func add(
        _ value: JSONValue, at tokens: ArraySlice<String>, _ step: PatchStep, _ path: JSONPointer
    ) throws(PatchError) {
        guard let last = tokens.last else {
            self = value
            return
        }
        try change(at: tokens, step, path) { (parent) throws(PatchError) in
            switch parent {
            case .object: parent[last] = value
            case .array(var elements):
                guard let place = last == "-" ? elements.count : elements.place(last, upTo: elements.count) else {
                    throw step.badIndex(path, last)
                }
                parent = .null
                elements.insert(value, at: place)
                parent = .array(elements)
            default: throw step.missing(path)
            }
        }
    }

    fileprivate mutating func remove(
        at tokens: ArraySlice<String>, _ step: PatchStep, _ path: JSONPointer
    ) throws(PatchError) -> JSONValue {
        guard let last = tokens.last else {
            defer { self = .null }
            return self
        }
        return try change(at: tokens, step, path) { (parent) throws(PatchError) in
            switch parent {
            case .object:
                guard let value = parent[last] else {
                    let text = "unable to remove nonexistent key: \(last): missing value"
                    throw PatchError(.unprocessable, "error in \(step.operation) for path: '\(path)': \(text)")
                }
                parent[last] = nil
                return value
            case .array(var elements):
                guard let place = elements.place(last, upTo: elements.count - 1) else {
                    throw step.badIndex(path, last)
                }
                parent = .null
                let value = elements.remove(at: place)
                parent = .array(elements)
                return value
            default: throw step.missing(path)
            }
        }
    }

    fileprivate mutating func replace(
        _ value: JSONValue, at tokens: ArraySlice<String>, _ path: JSONPointer
    ) throws(PatchError) {
        guard let last = tokens.last else {
            self = value
            return
        }
        try change(at: tokens, .replace, path) { (parent) throws(PatchError) in
            switch parent {
            case .object where parent[last] != nil: parent[last] = value
            case .array(var elements):
                guard let place = elements.place(last, upTo: elements.count - 1) else {
                    throw PatchStep.replace.badIndex(path, last)
                }
                parent = .null
                elements[place] = value
                parent = .array(elements)
            case .object:
                let text = "replace operation does not apply: doc is missing key: \(path): missing value"
                throw PatchError(.unprocessable, text)
            default: throw PatchStep.replace.missing(path)
            }
        }
    }

    /// How many arrays and objects are nested here at most.
    fileprivate var depth: Int {
        switch self {
        case .array(let elements): 1 + elements.reduce(0) { max($0, $1.depth) }
        case .object(let object): 1 + object.reduce(0) { max($0, $1.value.depth) }
        default: 0
        }
    }

    /// Takes about the size of the value's text from `budget`; false when it does not suffice.
    fileprivate func spend(_ budget: inout Int) -> Bool {
        switch self {
        case .null, .bool, .integer: budget -= 8
        case .number(let text), .string(let text): budget -= text.utf8.count + 3
        case .array(let elements):
            budget -= 3
            for element in elements where budget < 0 || !element.spend(&budget) { return false }
        case .object(let object):
            budget -= 3
            for (key, value) in object {
                budget -= key.utf8.count + 4
                if budget < 0 || !value.spend(&budget) { return false }
            }
        }
        return budget >= 0
    }
}

extension [JSONValue] {
    /// The index that a token means: digits without a leading zero (RFC 6901 §4), at most `last`.
    fileprivate func place(_ token: String, upTo last: Int) -> Int? {
        let digits = token.utf8
        guard (1...9).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            digits.count == 1 || digits.first != 0x30, let index = Int(token), index <= last
        else { return nil }
        return index
    }
}
