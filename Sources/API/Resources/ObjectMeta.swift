// Resources: Kubernetes objects as typed values, for the rooms that act on them. Fields that Swiftlet does not serve
// have no place here: the Schema room refuses them by name before a value of these types is made.

/// The identity of an object (Kubernetes API reference, ObjectMeta).
public struct ObjectMeta: Sendable, Hashable {
    /// A DNS-1123 subdomain, unique per kind and namespace.
    public var name: String
    public var namespace: String
    /// Set by whoever owns the object; empty until then.
    public var uid: String
    public var labels: [String: String]
    public var annotations: [String: String]

    public init(
        name: String, namespace: String = "default", uid: String = "", labels: [String: String] = [:],
        annotations: [String: String] = [:]
    ) {
        self.name = name
        self.namespace = namespace
        self.uid = uid
        self.labels = labels
        self.annotations = annotations
    }
}
