/// A v1 Pod as its author wrote it, after defaulting and validation.
public struct Pod: Sendable, Hashable {
    public var metadata: ObjectMeta
    public var spec: PodSpec

    public init(metadata: ObjectMeta, spec: PodSpec) {
        self.metadata = metadata
        self.spec = spec
    }
}

/// PodSpec (Kubernetes API reference, core/v1).
public struct PodSpec: Sendable, Hashable {
    public enum RestartPolicy: String, Sendable, CaseIterable {
        case always = "Always", onFailure = "OnFailure", never = "Never"
    }
    public enum DNSPolicy: String, Sendable, CaseIterable {
        case clusterFirst = "ClusterFirst", clusterFirstWithHostNet = "ClusterFirstWithHostNet"
        case `default` = "Default", none = "None"
    }

    public var containers: [Container]
    /// In order; one with `restartPolicy` Always is a sidecar.
    public var initContainers: [Container] = []
    public var volumes: [Volume] = []
    public var restartPolicy: RestartPolicy = .always
    /// Seconds between TERM and KILL, at least 0.
    public var terminationGracePeriodSeconds: Int64 = 30
    /// Seconds since start after which the pod is failed; nil for never.
    public var activeDeadlineSeconds: Int64?
    public var dnsPolicy: DNSPolicy = .clusterFirst
    public var dnsConfig: DNSConfig?
    public var hostNetwork = false
    public var hostPID = false
    public var hostIPC = false
    public var shareProcessNamespace = false
    /// A DNS-1123 label; the pod's name where empty.
    public var hostname: String?
    public var subdomain: String?
    public var setHostnameAsFQDN = false
    public var hostAliases: [HostAlias] = []
    public var securityContext = PodSecurityContext()
    public var nodeName: String?
    public var serviceAccountName: String?

    public init(containers: [Container]) { self.containers = containers }
}

/// PodDNSConfig.
public struct DNSConfig: Sendable, Hashable {
    public struct Option: Sendable, Hashable {
        public var name: String
        public var value: String?
        public init(name: String, value: String?) { (self.name, self.value) = (name, value) }
    }
    public var nameservers: [String] = []
    public var searches: [String] = []
    public var options: [Option] = []
    public init() {}
}

/// HostAlias: a line of the pod's /etc/hosts.
public struct HostAlias: Sendable, Hashable {
    public var ip: String
    public var hostnames: [String]
    public init(ip: String, hostnames: [String]) { (self.ip, self.hostnames) = (ip, hostnames) }
}

/// SeccompProfile.
public enum SeccompProfileReference: Sendable, Hashable {
    case runtimeDefault
    case unconfined
    /// A path below the node's seccomp profile directory.
    case localhost(String)
}

/// PodSecurityContext.
public struct PodSecurityContext: Sendable, Hashable {
    public enum FSGroupChangePolicy: String, Sendable, CaseIterable {
        case always = "Always", onRootMismatch = "OnRootMismatch"
    }
    public enum SupplementalGroupsPolicy: String, Sendable, CaseIterable { case merge = "Merge", strict = "Strict" }
    public struct Sysctl: Sendable, Hashable {
        public var name: String
        public var value: String
        public init(name: String, value: String) { (self.name, self.value) = (name, value) }
    }
    public var runAsUser: Int64?
    public var runAsGroup: Int64?
    public var runAsNonRoot: Bool?
    public var fsGroup: Int64?
    public var fsGroupChangePolicy: FSGroupChangePolicy?
    public var supplementalGroups: [Int64] = []
    public var supplementalGroupsPolicy: SupplementalGroupsPolicy = .merge
    public var seccompProfile: SeccompProfileReference?
    public var sysctls: [Sysctl] = []
    public init() {}
}
