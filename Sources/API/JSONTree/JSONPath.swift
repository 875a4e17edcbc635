// Where in a tree something is, and what is wrong there. Kubernetes writes such places `spec.containers[0].name`.

/// The way from a tree's root to a value in it.
public struct JSONPath: Sendable, Hashable, CustomStringConvertible {
    public enum Step: Sendable, Hashable {
        /// A member whose name the type fixes, written `.name`.
        case field(String)
        /// An element of a list, written `[0]`.
        case index(Int)
        /// A member whose name the author chose (a label, a resource), written `[name]`.
        case key(String)
    }

    public var steps: [Step]

    public init(_ steps: [Step] = []) { self.steps = steps }

    /// The path to the member `name` of the value at this path.
    public func field(_ name: String) -> JSONPath { JSONPath(steps + [.field(name)]) }
    public func index(_ index: Int) -> JSONPath { JSONPath(steps + [.index(index)]) }
    public func key(_ name: String) -> JSONPath { JSONPath(steps + [.key(name)]) }

    /// Whether this path leads to `other` or to something that contains it.
    public func contains(_ other: JSONPath) -> Bool { other.steps.starts(with: steps) }

    /// `spec.containers[0].resources.limits[cpu]`; empty for the root.
    public var description: String {
        var text = ""
        for step in steps {
            switch step {
            case .field(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            case .key(let name): text += "[\(name)]"
            }
        }
        return text
    }
}

/// What is wrong with one field of an object, in the words Kubernetes uses (apimachinery's `field.Error`).
public struct FieldError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What sort of fault it is. The raw value is the `reason` of a cause in a Kubernetes Status.
    public enum Reason: String, Sendable {
        case required = "FieldValueRequired", invalid = "FieldValueInvalid", duplicate = "FieldValueDuplicate"
        case unsupported = "FieldValueNotSupported", forbidden = "FieldValueForbidden"
        case notFound = "FieldValueNotFound", tooLong = "FieldValueTooLong", typeInvalid = "FieldValueTypeInvalid"
        /// A field that the type does not have.
        case unknown = "UnknownField"
        /// A field or value that Kubernetes has and Swiftlet does not serve yet.
        case notServed = "NotServed"
    }

    public let path: JSONPath
    public let reason: Reason
    /// What is wrong, without the place.
    public let message: String

    public init(_ path: JSONPath, _ reason: Reason, _ message: String) {
        self.path = path
        self.reason = reason
        self.message = message
    }

    /// `spec.containers[0].image: Required value`
    public var description: String { path.steps.isEmpty ? message : "\(path): \(message)" }
}

extension FieldError {
    public static func required(_ path: JSONPath, _ detail: String = "") -> FieldError {
        FieldError(path, .required, detail.isEmpty ? "Required value" : "Required value: \(detail)")
    }

    public static func invalid(_ path: JSONPath, _ value: JSONValue, _ detail: String) -> FieldError {
        FieldError(path, .invalid, "Invalid value: \(value.text()): \(detail)")
    }

    public static func duplicate(_ path: JSONPath, _ value: JSONValue) -> FieldError {
        FieldError(path, .duplicate, "Duplicate value: \(value.text())")
    }

    /// `supported` are listed in the order of the alphabet.
    public static func unsupported(_ path: JSONPath, _ value: JSONValue, supported: [String]) -> FieldError {
        let choices = supported.sorted().map { JSONValue.string($0).text() }.joined(separator: ", ")
        return FieldError(path, .unsupported, "Unsupported value: \(value.text()): supported values: \(choices)")
    }

    public static func forbidden(_ path: JSONPath, _ detail: String) -> FieldError {
        FieldError(path, .forbidden, "Forbidden: \(detail)")
    }

    public static func notFound(_ path: JSONPath, _ value: JSONValue) -> FieldError {
        FieldError(path, .notFound, "Not found: \(value.text())")
    }

    public static func tooLong(_ path: JSONPath, maximum: Int) -> FieldError {
        FieldError(path, .tooLong, "Too long: may not be more than \(maximum) bytes")
    }

    /// `expected a list, got a string`
    public static func type(_ path: JSONPath, expected: String, got value: JSONValue) -> FieldError {
        FieldError(path, .typeInvalid, "expected \(expected), got \(value.kindName)")
    }
}
