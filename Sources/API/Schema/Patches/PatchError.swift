// Why a patch was not applied, in the words of the API server.

import JSONTree

/// A patch that cannot be applied.
public struct PatchError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What the server answers.
    public enum Reason: Sendable, Hashable {
        /// 400: the patch itself is wrong.
        case invalid
        /// 422: it does not fit the object.
        case unprocessable
        /// 413: it asks for too much.
        case tooLarge
    }

    public let reason: Reason
    public let message: String

    public var description: String { message }

    init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

extension JSONValue {
    /// The value as Go's `%v` prints it: Kubernetes has such texts in its messages.
    var goText: String {
        switch self {
        case .null: "<nil>"
        case .bool(let flag): "\(flag)"
        case .integer(let number): "\(number)"
        case .number(let text), .string(let text): text
        case .array(let elements): "[" + elements.map(\.goText).joined(separator: " ") + "]"
        case .object(let object):
            "map[" + object.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.goText)" }.joined(separator: " ")
                + "]"
        }
    }

    /// What Go calls the value's kind.
    var goKind: String {
        switch self {
        case .null: "nil"
        case .bool: "bool"
        case .integer: "int64"
        case .number: "float64"
        case .string: "string"
        case .array: "slice"
        case .object: "map"
        }
    }

    /// Whether two values are the same JSON, numbers by what they are worth (RFC 6902 §4.6): `1` is `1.0`.
    func equals(_ other: JSONValue) -> Bool {
        switch (self, other) {
        case (.array(let left), .array(let right)):
            left.count == right.count && zip(left, right).allSatisfy { $0.equals($1) }
        case (.object(let left), .object(let right)):
            left.count == right.count && left.hasSameMembers(as: right)
        case (.integer, .number), (.number, .integer), (.number, .number):
            self == other || doubleValue.map { $0 == other.doubleValue } ?? false
        default: self == other
        }
    }
}

extension JSONObject {
    fileprivate func hasSameMembers(as other: JSONObject) -> Bool {
        let theirs = JSONObjectBuilder(other)
        return allSatisfy { member in theirs[member.key].map { member.value.equals($0) } ?? false }
    }
}
