import JSONTree

/// How an image wants to be run and what it consists of (image-spec config.md).
public struct ImageConfig: Sendable, Hashable {
    /// A port that the image says it serves. Informative only.
    public struct Port: Sendable, Hashable {
        public let number: UInt16
        /// `tcp`, `udp` or `sctp`.
        public let transport: String
    }

    public let platform: Platform
    /// `NAME=value`, in order.
    public let environment: [String]
    public let entrypoint: [String]
    public let command: [String]
    /// Empty means `/`.
    public let workingDirectory: String
    /// `user`, `uid`, `user:group`, `uid:gid` … as the image says it; empty means root.
    public let user: String
    /// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`; empty means SIGTERM.
    public let stopSignal: String
    /// Directories of the container that the image wants kept outside its root.
    public let volumes: [String]
    public let exposedPorts: [Port]
    public let labels: [String: String]
    /// RFC 3339; empty when unknown.
    public let created: String
    /// The digests of the unpacked layers, bottom first.
    public let diffIDs: [Digest]

    public init(_ bytes: [UInt8]) throws(FormatError) {
        let root = try document(bytes, "image configuration", limit: Bounds.configBytes)
        let config = root["config"]
        platform = Platform(
            os: try root["os"].text(limit: 64) ?? "", architecture: try root["architecture"].text(limit: 64) ?? "",
            variant: try root["variant"].text(limit: 64) ?? "")
        environment = try config["Env"].texts()
        entrypoint = try config["Entrypoint"].texts()
        command = try config["Cmd"].texts()
        workingDirectory = try config["WorkingDir"].text(limit: 4096) ?? ""
        user = try config["User"].text(limit: 1024) ?? ""
        stopSignal = try config["StopSignal"].text(limit: 64) ?? ""
        volumes = try config["Volumes"].keys()
        var ports: [Port] = []
        for key in try config["ExposedPorts"].keys() {
            guard let range = Port.parse(key) else {
                throw FormatError("config.ExposedPorts: \"\(key)\" is no port")
            }
            ports.append(contentsOf: range)
        }
        exposedPorts = ports
        labels = try config["Labels"].labels()
        created = try root["created"].text(limit: 64) ?? ""
        guard try root["rootfs"]["type"].text(limit: 64) ?? "layers" == "layers" else {
            throw FormatError("rootfs.type: expected \"layers\"")
        }
        var diffIDs: [Digest] = []
        for field in try root["rootfs"]["diff_ids"].elements(limit: Bounds.layers) ?? [] {
            diffIDs.append(try field.digest())
        }
        self.diffIDs = diffIDs
        try refuseNulBytes()
    }

    /// A NUL would cut an argument or a variable short on its way through execve(2).
    private func refuseNulBytes() throws(FormatError) {
        let texts = environment + entrypoint + command + volumes + [workingDirectory, user, stopSignal]
        if texts.contains(where: { $0.utf8.contains(0) }) {
            throw FormatError("image configuration: a NUL byte in config")
        }
    }
}

extension ImageConfig.Port {
    /// `80`, `80/tcp`, or a range `8000-8010/udp`, which gives one port each.
    fileprivate static func parse(_ text: String) -> [ImageConfig.Port]? {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let transport = halves.count == 2 ? halves[1].lowercased() : "tcp"
        guard ["tcp", "udp", "sctp"].contains(transport) else { return nil }
        let bounds = halves[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = UInt16(bounds[0]), let last = UInt16(bounds.last ?? ""), first <= last else { return nil }
        return (first...last).map { ImageConfig.Port(number: $0, transport: transport) }
    }
}
