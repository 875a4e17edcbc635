/// Container (Kubernetes API reference, core/v1), for app and init containers alike.
public struct Container: Sendable, Hashable {
    public enum ImagePullPolicy: String, Sendable, CaseIterable {
        case always = "Always", ifNotPresent = "IfNotPresent", never = "Never"
    }
    public enum TerminationMessagePolicy: String, Sendable, CaseIterable {
        case file = "File", fallbackToLogsOnError = "FallbackToLogsOnError"
    }

    public var name: String
    public var image: String
    /// Replaces the image's entrypoint where not nil.
    public var command: [String]?
    /// Replaces the image's cmd where not nil.
    public var args: [String]?
    public var workingDir: String?
    public var ports: [ContainerPort] = []
    public var env: [EnvVar] = []
    public var resources = ResourceRequirements()
    public var volumeMounts: [VolumeMount] = []
    public var lifecycle = Lifecycle()
    public var terminationMessagePath = "/dev/termination-log"
    public var terminationMessagePolicy: TerminationMessagePolicy = .file
    public var imagePullPolicy: ImagePullPolicy = .ifNotPresent
    public var securityContext = SecurityContext()
    public var stdin = false
    public var stdinOnce = false
    public var tty = false
    /// Only for init containers: true makes it a sidecar (`restartPolicy: Always`).
    public var isSidecar = false

    public init(name: String, image: String) {
        self.name = name
        self.image = image
    }
}

/// ContainerPort.
public struct ContainerPort: Sendable, Hashable {
    public var name: String?
    /// 1 to 65535.
    public var containerPort: UInt16
    /// The port of the node that leads here; nil for none.
    public var hostPort: UInt16?
    public var hostIP: String?
    public var `protocol`: PortProtocol = .tcp
    public init(containerPort: UInt16) { self.containerPort = containerPort }
}

/// A transport protocol of a port.
public enum PortProtocol: String, Sendable, Hashable, CaseIterable { case tcp = "TCP", udp = "UDP", sctp = "SCTP" }

/// EnvVar: a name and a value that may contain `$(NAME)`, or a field of the pod.
public struct EnvVar: Sendable, Hashable {
    public enum Source: Sendable, Hashable {
        case value(String)
        /// ObjectFieldSelector's path, such as `metadata.name` or `status.podIP`.
        case field(String)
    }
    public var name: String
    public var source: Source
    public init(name: String, source: Source) { (self.name, self.source) = (name, source) }
}

/// ResourceRequirements.
public struct ResourceRequirements: Sendable, Hashable {
    public struct Amounts: Sendable, Hashable {
        public var cpu: Quantity?
        public var memory: Quantity?
        public init(cpu: Quantity? = nil, memory: Quantity? = nil) { (self.cpu, self.memory) = (cpu, memory) }
    }
    public var requests = Amounts()
    public var limits = Amounts()
    public init() {}
}

/// VolumeMount.
public struct VolumeMount: Sendable, Hashable {
    public enum Propagation: String, Sendable, CaseIterable {
        case none = "None", hostToContainer = "HostToContainer", bidirectional = "Bidirectional"
    }
    public var name: String
    public var mountPath: String
    public var readOnly = false
    /// A relative path inside the volume, without `..`.
    public var subPath: String?
    public var mountPropagation: Propagation = .none
    public init(name: String, mountPath: String) { (self.name, self.mountPath) = (name, mountPath) }
}

/// Lifecycle; only exec handlers are served.
public struct Lifecycle: Sendable, Hashable {
    /// The command run after the container's start, nil for none.
    public var postStart: [String]?
    /// The command run before TERM is sent, nil for none.
    public var preStop: [String]?
    public init() {}
}

/// SecurityContext of a container; nil where the pod's applies.
public struct SecurityContext: Sendable, Hashable {
    public enum ProcMount: String, Sendable, CaseIterable { case `default` = "Default", unmasked = "Unmasked" }
    public var runAsUser: Int64?
    public var runAsGroup: Int64?
    public var runAsNonRoot: Bool?
    public var privileged = false
    /// Names without the `CAP_` prefix, or `ALL`.
    public var capabilitiesAdd: [String] = []
    public var capabilitiesDrop: [String] = []
    public var readOnlyRootFilesystem = false
    public var allowPrivilegeEscalation: Bool?
    public var seccompProfile: SeccompProfileReference?
    public var procMount: ProcMount = .default
    public init() {}
}
