// Schema: one table of Kubernetes' types, and what is checked by it. The table (ServedTypes.swift, OtherTypes.swift)
// lists every field of v1 Pod and v1 Service as Kubernetes 1.32 has them and says which of them Swiftlet serves, so
// that a field that is valid but not served is told from one that does not exist.

/// The types and their fields.
///
/// What serving means, and what happens to the rest:
/// - *served*: the field is acted on.
/// - *dropped*: accepted and removed. The API server or a controller fills it in (`status`,
///   `metadata.managedFields`), or it only allows or describes what one node does anyway (`tolerations`,
///   `preemptionPolicy`, `appProtocol`). So the output of `kubectl get -o yaml` can be run.
/// - *not served*: an error that names the field, unless its value is empty (`""`, `[]`, `{}`, `null`), which says
///   nothing.
/// - *served for some values*: those that the API server fills in as the default, or that change nothing here
///   (`schedulerName: default-scheduler`); any other value is an error that names the field and its value.
public struct Schema: Sendable {
    public let types: [String: ObjectType]

    /// The types that this node knows: v1 Pod and v1 Service with all that they contain.
    public static let kubernetes = Schema(table: servedTypes + otherTypes)

    /// The kinds that can stand in a manifest, by apiVersion and kind; the name of their type.
    public static func typeName(apiVersion: String, kind: String) -> String? {
        apiVersion == "v1" && (kind == "Pod" || kind == "Service") ? kind : nil
    }
}

/// A type of the table.
public struct ObjectType: Sendable, Hashable {
    public let name: String
    public let fields: [String: Field]
}

/// A field of a type.
public struct Field: Sendable, Hashable {
    public let name: String
    public let kind: FieldKind
    public let service: FieldService
}

/// What a field holds.
public indirect enum FieldKind: Sendable, Hashable {
    case string, boolean, int32, int64
    /// An amount: a string or a number.
    case quantity
    case intOrString
    /// A time (RFC 3339).
    case time
    /// Whatever JSON it is.
    case any
    case object(String)
    /// `keys` are the fields by which elements are told apart where lists are merged; empty where a list is one whole.
    case list(FieldKind, keys: [String])
    case map(FieldKind)
}

/// What Swiftlet does with a field: see ``Schema``.
public enum FieldService: Sendable, Hashable {
    case served
    case dropped
    case notServed
    /// Values that are served, and valid ones that are not (`Name*` for all that start so; nil for every other one).
    /// A list is looked at element by element.
    case someValues([String], notServed: [String]?)
}
