import Linux
import Resources

/// What the pod engine is told about its node. All directories are absolute paths.
public struct PodEngineConfiguration: Sendable {
    /// What must survive a reboot: `pods/<uid>/…`.
    public var dataDirectory: String
    /// What belongs to running processes: `pods/<uid>/podinit.sock`.
    public var runDirectory: String
    /// `<namespace>_<pod>_<uid>/<container>/<attempt>.log` stand below it.
    public var logDirectory: String
    public var nodeName: String
    /// Addresses of the node that pods see as `status.hostIPs`, at most one of each family.
    public var hostAddresses: [String] = []
    /// The cgroup above all pods, such as `/kubepods`.
    public var cgroupParent = "/kubepods"
    /// Most processes of one pod; nil for no limit.
    public var podPidsLimit: Int64?
    /// Name servers for pods with dnsPolicy ClusterFirst; empty: they get the node's own.
    public var clusterDNS: [String] = []
    public var clusterDomain = "cluster.local"
    /// The profile of containers that name none.
    public var defaultSeccompProfile = SeccompProfileReference.runtimeDefault
    /// Where `localhostProfile` names are looked up.
    public var seccompDirectory: String
    /// Sysctls beyond Kubernetes' safe set that pods may set, by name or with a trailing `*`.
    public var allowedUnsafeSysctls: [String] = []
    /// What describes mirrors and registries; nil: `/etc/swiftlet/registries.yaml` where it exists.
    public var registriesFile: String?
    /// Bytes at which a log file is rotated, and how many are kept.
    public var logMaximumSize: UInt64 = 10 << 20
    public var logMaximumFiles: UInt32 = 5

    public init(dataDirectory: String, runDirectory: String, logDirectory: String, nodeName: String) {
        self.dataDirectory = dataDirectory
        self.runDirectory = runDirectory
        self.logDirectory = logDirectory
        self.nodeName = nodeName
        seccompDirectory = "\(dataDirectory)/seccomp"
    }
}

/// Where the files of one pod are.
struct PodPaths: Sendable {
    let data: String
    let run: String
    let logs: String

    init(_ configuration: PodEngineConfiguration, uid: PodUID, namespace: String, name: String) {
        data = "\(configuration.dataDirectory)/pods/\(uid)"
        run = "\(configuration.runDirectory)/pods/\(uid)"
        logs = "\(configuration.logDirectory)/\(namespace)_\(name)_\(uid)"
    }

    var manifest: String { "\(data)/pod.json" }
    var status: String { "\(data)/status.json" }
    var exits: String { "\(data)/exits" }
    /// `hosts`, `hostname`, `resolv.conf`: what the engine writes for the containers' /etc.
    var etc: String { "\(data)/etc" }
    func volume(_ name: String) -> String { "\(data)/volumes/\(name)" }
    /// Where a memory-backed volume is mounted.
    func memoryVolume(_ name: String) -> String { "\(run)/volumes/\(name)" }
    func container(_ name: String) -> String { "\(data)/containers/\(name)" }
    func attempt(_ name: String, _ number: Int) -> String { "\(container(name))/\(number)" }
    func log(_ container: String) -> String { "\(logs)/\(container)" }
}
