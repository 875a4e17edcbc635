// JSON to an object of a type, as it is after the API server decoded it (sigs.k8s.io/json) and wrote it out again: members
// that are null are absent, and so is zero where it says nothing; unknown ones are pruned and told, and a value of a
// wrong type refuses the object.

import JSONTree

/// What strict field validation complains of (`fieldValidation=Strict`; a warning with `Warn`).
public enum FieldFinding: Sendable, Hashable, CustomStringConvertible {
    case unknown(JSONPath)
    case duplicate(JSONPath)

    /// As the API server says it: `unknown field "spec.foo"`, `duplicate field "metadata.labels.app"`.
    public var description: String {
        switch self {
        case .unknown(let path): "unknown field \"\(path.dotted)\""
        case .duplicate(let path): "duplicate field \"\(path.dotted)\""
        }
    }

    fileprivate var path: JSONPath {
        switch self {
        case .unknown(let path), .duplicate(let path): path
        }
    }

    /// `strict decoding error: unknown field "a", duplicate field "b"`; nil where there is nothing to complain of.
    public static func strictError(_ findings: [FieldFinding]) -> String? {
        findings.isEmpty ? nil : "strict decoding error: " + findings.map(\.description).joined(separator: ", ")
    }
}

extension JSONPath {
    /// With a dot before the keys of maps too.
    fileprivate var dotted: String {
        JSONPath(steps.map { if case .key(let name) = $0 { .field(name) } else { $0 } }).description
    }
}

/// An object as it was read.
public struct ReadObject: Sendable {
    /// Without what is unknown or null.
    public let value: JSONValue
    /// What a strict reading would refuse, in the order of the text; the first ``ObjectType/maximumFindings``.
    public let findings: [FieldFinding]
}

extension ObjectType {
    /// How many findings are told of one object.
    public static let maximumFindings = 100

    /// Reads a JSON text as an object of this type.
    ///
    /// - Parameter completes: Whether to fill in what a stored object has always: fields for which the table has a value
    ///   (`protocol: TCP`), objects and required scalars that Go writes though they are empty (`resources: {}`).
    /// - Throws: where the text is no JSON, or a value is of a wrong type.
    public func read(json: [UInt8], completes: Bool = false) throws(ReadError) -> ReadObject {
        let tree: JSONValue
        var duplicates: [JSONDuplicate] = []
        do throws(JSONError) {
            tree = try JSONValue.parse(json)
        } catch {
            // Rarely: read again, to learn whether a duplicate key was all.
            do throws(JSONError) {
                (tree, duplicates) = try JSONValue.parseAllowingDuplicates(json)
            } catch {
                throw .syntax(error)
            }
        }
        let object = try read(tree, completes: completes)
        if duplicates.isEmpty { return object }
        return ReadObject(value: object.value, findings: Self.merged(duplicates, object.findings, json))
    }

    /// All findings, in the order of the text: of a large one, whose parts would take long to find, first what is unknown.
    private static func merged(
        _ duplicates: [JSONDuplicate], _ unknown: [FieldFinding], _ text: [UInt8]
    ) -> [FieldFinding] {
        // What is unknown is not told twice.
        let told = Set(unknown.map(\.path.dotted))
        var all = unknown.map { (text.count > 64 << 10 ? 0 : $0.path.offset(in: text), $0) }
        all += duplicates.filter { !told.contains($0.path.dotted) }.map { ($0.offset, .duplicate($0.path)) }
        return all.sorted { $0.0 < $1.0 }.prefix(maximumFindings).map(\.1)
    }

    /// Reads a value as an object of this type.
    public func read(_ value: JSONValue, completes: Bool = false) throws(ReadError) -> ReadObject {
        var reader = ObjectReader(completes: completes)
        do throws(FieldError) {
            let changed = try reader.object(value, self)
            return ReadObject(value: changed ?? value, findings: reader.findings)
        } catch {
            throw .type(error)
        }
    }
}

/// Why something is no object of a type.
public enum ReadError: Error, Hashable, Sendable, CustomStringConvertible {
    case syntax(JSONError)
    case type(FieldError)

    public var description: String {
        switch self {
        case .syntax(let error): error.description
        case .type(let error): error.description
        }
    }
}

/// Walks a value along its type. Each step gives the value as it is kept, or nil where it stays as it is: most objects
/// are sound, and copying them would cost more than looking at them.
private struct ObjectReader {
    let completes: Bool
    var findings: [FieldFinding] = []
    /// Where the reader is. A list of steps, so that the path costs nothing until it is told.
    private var steps: [JSONPath.Step] = []

    init(completes: Bool) { self.completes = completes }

    private var path: JSONPath { JSONPath(steps) }

    mutating func object(_ value: JSONValue, _ type: ObjectType) throws(FieldError) -> JSONValue? {
        guard case .object(let object) = value else { throw wrong(value, .object(TypeReference(type))) }
        var changes: [(index: Int, value: JSONValue?)] = []
        for (index, (name, member)) in object.enumerated() {
            guard let field = type.field(name) else {
                if type.unknownFields == .kept { continue }
                if findings.count < ObjectType.maximumFindings {
                    findings.append(.unknown(path.field(name)))
                }
                changes.append((index, nil))
                continue
            }
            if member.isNull || field.omits(member) {
                changes.append((index, nil))
            } else {
                steps.append(.field(name))
                if let changed = try self.value(member, field.kind) { changes.append((index, changed)) }
                steps.removeLast()
            }
        }
        let missing =
            completes
            ? type.completions.filter { field, _ in object[field.name].map { $0.isNull || field.omits($0) } ?? true }
            : []
        if changes.isEmpty, missing.isEmpty { return nil }
        var result = object.applying(changes)
        for (field, value) in missing { result[field.name] = value }
        return .object(result)
    }

    private mutating func value(_ value: JSONValue, _ kind: FieldKind) throws(FieldError) -> JSONValue? {
        switch (kind, value) {
        case (.string, .string), (.boolean, .bool), (.int64, .integer), (.double, .integer), (.double, .number),
            (.quantity, .string), (.intOrString, .string), (.rawExtension, .object), (.fieldsV1, .object), (.json, _):
            return nil
        case (.object(let reference), _): return try object(value, reference.type)
        case (.list(let element, _), .array(let elements)), (.wrapped(let element), .array(let elements)):
            return try list(elements, element)
        case (.map(let element, _), .object(let members)): return try map(members, element)
        case (.either(let reference, let alternative), _): return try either(value, reference, alternative)
        case (.quantity, .integer), (.quantity, .number): return .string(value.text())
        case (.int32, .integer(let number)), (.intOrString, .integer(let number)):
            if Int32(exactly: number) != nil { return nil }
            throw FieldError(path, .typeInvalid, "expected a 32-bit integer, got \(number)")
        case (.time, .string(let text)), (.microTime, .string(let text)): return try time(text, kind)
        case (.bytes, .string(let text)):
            if Base64.isValid(text) { return nil }
            throw FieldError(path, .typeInvalid, "expected base64 (RFC 4648, with padding)")
        default: throw wrong(value, kind)
        }
    }

    private mutating func list(_ elements: [JSONValue], _ kind: FieldKind) throws(FieldError) -> JSONValue? {
        // The commonest lists hold plain strings.
        var changed: [JSONValue]?
        for (index, element) in elements.enumerated() {
            if case .string = kind, case .string = element { continue }
            steps.append(.index(index))
            if let new = try self.element(element, kind) {
                if changed == nil { changed = elements }
                changed?[index] = new
            }
            steps.removeLast()
        }
        return changed.map { .array($0) }
    }

    private mutating func map(_ members: JSONObject, _ kind: FieldKind) throws(FieldError) -> JSONValue? {
        var changes: [(index: Int, value: JSONValue?)] = []
        for (index, (name, member)) in members.enumerated() {
            if case .string = kind, case .string = member { continue }
            steps.append(.key(name))
            if let new = try element(member, kind) { changes.append((index, new)) }
            steps.removeLast()
        }
        return changes.isEmpty ? nil : .object(members.applying(changes))
    }

    /// An element that is null is Go's zero value.
    private mutating func element(_ value: JSONValue, _ kind: FieldKind) throws(FieldError) -> JSONValue? {
        if value.isNull, case .object(let reference) = kind { return completes ? reference.type.zero : [:] }
        if value.isNull, let zero = kind.zero { return zero }
        return try self.value(value, kind)
    }

    private mutating func either(
        _ value: JSONValue, _ reference: TypeReference, _ alternative: FieldKind.Alternative
    ) throws(FieldError) -> JSONValue? {
        switch (alternative, value) {
        case (.boolean, .bool): nil
        case (.listOfObjects, .array(let elements)): try list(elements, .object(reference))
        case (.listOfStrings, .array(let elements)): try list(elements, .string)
        default: try object(value, reference.type)
        }
    }

    /// Times are kept as they are written out again: in UTC, to the second or the microsecond.
    private func time(_ text: String, _ kind: FieldKind) throws(FieldError) -> JSONValue? {
        guard let time = Timestamp(text) else {
            throw FieldError(path, .typeInvalid, "expected a time such as 2024-05-06T07:08:09Z (RFC 3339)")
        }
        let written = kind == .microTime ? time.microText : time.text
        return written == text ? nil : .string(written)
    }

    private func wrong(_ value: JSONValue, _ kind: FieldKind) -> FieldError {
        .type(path, expected: kind.description, got: value)
    }
}

extension JSONObject {
    /// The object with members replaced, or removed where the new value is nil. `changes` are in order.
    fileprivate func applying(_ changes: [(index: Int, value: JSONValue?)]) -> JSONObject {
        var result = self
        for change in changes.reversed() { result.setValue(change.value, at: change.index) }
        return result
    }
}
