/// A v1 Service as its author wrote it, after defaulting and validation.
public struct Service: Sendable, Hashable {
    public var metadata: ObjectMeta
    public var spec: ServiceSpec
    public init(metadata: ObjectMeta, spec: ServiceSpec) { (self.metadata, self.spec) = (metadata, spec) }
}

/// ServiceSpec (Kubernetes API reference, core/v1).
public struct ServiceSpec: Sendable, Hashable {
    public enum Kind: String, Sendable, CaseIterable { case clusterIP = "ClusterIP", nodePort = "NodePort" }
    public var type: Kind = .clusterIP
    /// Empty until allocated, `None` for a headless Service.
    public var clusterIP = ""
    /// Labels that an endpoint pod has; empty selects no pod.
    public var selector: [String: String] = [:]
    public var ports: [ServicePort] = []
    public init() {}
}

/// ServicePort.
public struct ServicePort: Sendable, Hashable {
    public enum Target: Sendable, Hashable {
        case number(UInt16)
        /// A named port of the pod's containers.
        case name(String)
    }
    public var name: String?
    public var `protocol`: PortProtocol = .tcp
    public var port: UInt16
    public var targetPort: Target
    /// Asked for or allocated; nil until then, and for ClusterIP.
    public var nodePort: UInt16?
    public init(port: UInt16) { (self.port, self.targetPort) = (port, .number(port)) }
}
