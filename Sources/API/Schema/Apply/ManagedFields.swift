// `metadata.managedFields`: who owns which fields.

import JSONTree

/// Who changes an object, and how.
public struct FieldManager: Sendable, Hashable {
    /// The raw value is what `operation` says.
    public enum Operation: String, Sendable {
        case apply = "Apply", update = "Update"
    }

    /// What the client calls itself: `kubectl`, `kube-controller-manager`.
    public let name: String
    public let operation: Operation
    /// The version in which it speaks of the fields: `apps/v1`.
    public let apiVersion: String
    /// `status`, `scale`; empty for the object itself.
    public let subresource: String

    public init(name: String, operation: Operation, apiVersion: String, subresource: String = "") {
        self.name = name
        self.operation = operation
        self.apiVersion = apiVersion
        self.subresource = subresource
    }

    /// What makes two entries the same manager: of one who applies, not the version.
    var identity: FieldManager {
        operation == .apply
            ? FieldManager(name: name, operation: operation, apiVersion: "", subresource: subresource) : self
    }
}

extension FieldManager: CustomStringConvertible {
    /// As conflicts tell it: `"kubectl"`, `"kubectl" with subresource "status" using apps/v1`.
    public var description: String {
        var text = JSONValue.string(name).text()
        if !subresource.isEmpty { text += " with subresource \(JSONValue.string(subresource).text())" }
        if operation == .update { text += " using \(apiVersion)" }
        return text
    }
}

/// What the managers of an object own.
public struct ManagedFields: Sendable, Hashable {
    /// One manager's fields.
    public struct Entry: Sendable, Hashable {
        public var manager: FieldManager
        public var fields: FieldSet
        /// When the entry was last changed; nil for what no server wrote.
        public var time: Timestamp?

        public init(manager: FieldManager, fields: FieldSet, time: Timestamp? = nil) {
            self.manager = manager
            self.fields = fields
            self.time = time
        }
    }

    /// No two of the same manager.
    public internal(set) var entries: [Entry]

    public init() { entries = [] }

    /// Reads `metadata.managedFields`.
    public init(_ managedFields: JSONValue?) throws(FieldSetError) {
        entries = []
        guard let managedFields, !managedFields.isNull else { return }
        guard case .array(let elements) = managedFields else {
            throw FieldSetError(description: "managedFields is a list, not \(managedFields.kindName)")
        }
        for element in elements {
            let entry = try Entry(element)
            // Of two entries of one manager both count.
            if let place = place(of: entry.manager) {
                entries[place].fields = entries[place].fields.union(entry.fields)
            } else {
                entries.append(entry)
            }
        }
    }

    /// `[{}]` (or `[]`): how a client clears all ownership.
    public static func isReset(_ managedFields: JSONValue?) -> Bool {
        managedFields == [[:]] || managedFields == []
    }

    /// The list as it is stored: those who applied first, then by time, name, version and subresource.
    public var json: JSONValue {
        let sorted = entries.sorted { left, right in
            if left.manager.operation != right.manager.operation { return left.manager.operation == .apply }
            let times = (left.time?.seconds ?? 0, right.time?.seconds ?? 0)
            if times.0 != times.1 { return times.0 < times.1 }
            for (left, right) in [
                (left.manager.name, right.manager.name), (left.manager.apiVersion, right.manager.apiVersion),
            ] where left != right { return left.compareBytes(right) < 0 }
            return left.manager.subresource.compareBytes(right.manager.subresource) < 0
        }
        return .array(sorted.map(\.json))
    }

    /// The fields of a manager.
    public subscript(manager: FieldManager) -> FieldSet? { place(of: manager).map { entries[$0].fields } }

    func place(of manager: FieldManager) -> Int? {
        let identity = manager.identity
        return entries.firstIndex { $0.manager.identity == identity }
    }
}

extension ManagedFields.Entry {
    init(_ element: JSONValue) throws(FieldSetError) {
        guard let operation = element["operation"]?.stringValue.flatMap(FieldManager.Operation.init(rawValue:)) else {
            throw FieldSetError(description: "an entry of managedFields has the operation Apply or Update")
        }
        if let type = element["fieldsType"]?.stringValue, type != "FieldsV1" {
            throw FieldSetError(description: "fields of type \"\(type)\" are not known; FieldsV1 are")
        }
        manager = FieldManager(
            name: element["manager"]?.stringValue ?? "", operation: operation,
            apiVersion: element["apiVersion"]?.stringValue ?? "",
            subresource: element["subresource"]?.stringValue ?? "")
        fields =
            try element["fieldsV1"].map { value throws(FieldSetError) in try FieldSet(fieldsV1: value) } ?? FieldSet()
        time = element["time"]?.stringValue.flatMap { Timestamp($0) }
    }

    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "manager": .string(manager.name), "operation": .string(manager.operation.rawValue),
            "apiVersion": .string(manager.apiVersion),
        ]
        if let time { object["time"] = .string(time.text) }
        object["fieldsType"] = "FieldsV1"
        object["fieldsV1"] = fields.fieldsV1
        if !manager.subresource.isEmpty { object["subresource"] = .string(manager.subresource) }
        return .object(object)
    }
}
