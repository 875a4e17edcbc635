// How a node was told to be. Kept in `<data-dir>/node.json`, so that an agent started in the background for a `pod run`
// goes on with what the last `swiftlet node` was told, and commands find the logs.
import JSONTree
import Linux

public struct NodeSettings: Sendable, Hashable {
    public var dataDirectory: String
    public var runDirectory: String
    public var logDirectory: String
    public var nodeName: String
    /// How the node takes part in the pod network.
    public var network = NetworkSettings()
    /// Where Services' cluster IPs come from.
    public var serviceCIDR = "10.43.0.0/16"
    /// The cgroup above all pods.
    public var cgroupParent = "/kubepods"
    /// Name servers for pods with dnsPolicy ClusterFirst.
    public var clusterDNS: [String] = []
    public var clusterDomain = "cluster.local"
    /// Most processes of a pod; nil for no limit.
    public var podPidsLimit: Int64?
    /// The file that describes mirrors and registries; nil for its usual place.
    public var registriesFile: String?
    /// Whether containers that name no seccomp profile get RuntimeDefault; else they are unconfined.
    public var seccompDefault = true
    /// Sysctls beyond the safe ones that pods may set: names, or beginnings with a `*`.
    public var allowedUnsafeSysctls: [String] = []

    public init(dataDirectory: String, runDirectory: String, nodeName: String) {
        self.dataDirectory = dataDirectory
        self.runDirectory = runDirectory
        self.nodeName = nodeName
        logDirectory = "\(dataDirectory)/logs"
    }

    private static func path(_ dataDirectory: String) -> String { "\(dataDirectory)/node.json" }

    /// What the last agent wrote; nil if there was none. An unreadable file is an error.
    public static func read(dataDirectory: String, runDirectory: String) throws(NodeError) -> NodeSettings? {
        let file = path(dataDirectory)
        guard fileExists(file) else { return nil }
        do {
            let tree = try JSONValue.parse(try readFile(file))
            guard let nodeName = tree["nodeName"]?.stringValue else { throw NodeError("\(file): no nodeName in it") }
            var settings = NodeSettings(dataDirectory: dataDirectory, runDirectory: runDirectory, nodeName: nodeName)
            settings.take(tree)
            return settings
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("\(file): \(error)")
        }
    }

    private mutating func take(_ tree: JSONValue) {
        logDirectory = tree["logDirectory"]?.stringValue ?? logDirectory
        serviceCIDR = tree["serviceCIDR"]?.stringValue ?? serviceCIDR
        cgroupParent = tree["cgroupParent"]?.stringValue ?? cgroupParent
        clusterDNS = tree["clusterDNS"]?.arrayValue?.compactMap(\.stringValue) ?? clusterDNS
        clusterDomain = tree["clusterDomain"]?.stringValue ?? clusterDomain
        podPidsLimit = tree["podPidsLimit"]?.integerValue
        registriesFile = tree["registriesFile"]?.stringValue
        network = NetworkSettings(tree: tree)
        seccompDefault = tree["seccompDefault"]?.boolValue ?? true
        allowedUnsafeSysctls = tree["allowedUnsafeSysctls"]?.arrayValue?.compactMap(\.stringValue) ?? []
    }

    var tree: JSONValue {
        var tree: JSONObject = [
            "nodeName": .string(nodeName), "logDirectory": .string(logDirectory), "serviceCIDR": .string(serviceCIDR),
            "cgroupParent": .string(cgroupParent),
            "clusterDNS": .array(clusterDNS.map { .string($0) }), "clusterDomain": .string(clusterDomain),
            "seccompDefault": .bool(seccompDefault),
            "allowedUnsafeSysctls": .array(allowedUnsafeSysctls.map { .string($0) }),
        ]
        if let podPidsLimit { tree["podPidsLimit"] = .integer(podPidsLimit) }
        if let registriesFile { tree["registriesFile"] = .string(registriesFile) }
        network.put(into: &tree)
        return .object(tree)
    }

    /// Records the settings for later agents and commands.
    func write() throws(SystemError) {
        let bytes = tree.encoded(pretty: true)
        let file = Self.path(dataDirectory)
        if let present = try? readFile(file), present == bytes { return }
        try writeFileAtomically(file, bytes, durable: true)
    }
}
