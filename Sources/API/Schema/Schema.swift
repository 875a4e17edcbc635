// Schema: one table of Kubernetes' types, and everything that is done by it: checking manifests, strict validation and
// pruning, reading protobuf, patches, server-side apply. The table (Tables/) is written by scripts/schema/generate; the
// notation is in TableReader.swift. Server-side work on objects of custom types uses the same engines, with types made
// from their structural schemas instead of the table (``ObjectType/init(name:fields:isAtomic:unknownFields:)``).

/// The types of a table, each read when it is first asked for.
public final class Schema: Sendable {
    /// Every type of the kinds that Kubernetes 1.32 serves and Swiftlet knows.
    public static let kubernetes = Schema(tables: [tableMeta, tableCore, tableWorkloads, tableGroups])

    let index: TypeIndex

    init(tables: [StaticString]) { index = TypeIndex(tables: tables) }

    /// The type with this name: the group's first word, the version and the type, as in `core.v1.PodSpec`,
    /// `meta.v1.ObjectMeta`, `rbac.v1.Role`. nil when the table has none.
    public func type(named name: String) -> ObjectType? { index.references[name]?.type }

    /// The type of objects that say they are of this kind; nil when the table has none.
    ///
    /// `DeleteOptions` and `WatchEvent` belong to every group (apimachinery `metav1.AddToGroupVersion`).
    public func type(apiVersion: String, kind: String) -> ObjectType? {
        let version = kind == "DeleteOptions" || kind == "WatchEvent" ? "v1" : apiVersion
        return index.kinds[ObjectKind(apiVersion: version, kind: kind)]?.type
    }

    /// The kinds of the table, in no order.
    public var kinds: [ObjectKind] { Array(index.kinds.keys) }

    /// The names of all types, in no order.
    public var typeNames: [String] { Array(index.references.keys) }
}

/// What an object says it is.
public struct ObjectKind: Sendable, Hashable, CustomStringConvertible {
    /// `v1`, `apps/v1`
    public let apiVersion: String
    /// `Deployment`
    public let kind: String

    public init(apiVersion: String, kind: String) { (self.apiVersion, self.kind) = (apiVersion, kind) }

    /// `apps/v1 Deployment`
    public var description: String { "\(apiVersion) \(kind)" }
}
