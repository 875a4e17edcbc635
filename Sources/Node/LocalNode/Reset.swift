// Everything that Swiftlet made on this host, and its removal: by what the data directory records, by names and marks of
// our own; nothing else is touched.
import CNI
import Cgroups
import ContainerRuntime
import ControlSocket
import JSONTree
import Linux
import NFTables
import Netlink
import Overlay
import PodNetwork

/// What is there to be removed.
public struct Reset: Sendable {
    /// A line for each thing, for a person to agree to.
    public let findings: [String]

    private let settings: NodeSettings
    private let version: String
    private let pods: [String]

    /// The entries that Swiftlet makes in its data directory. Profiles in `seccomp` are their author's.
    private static let dataEntries = [
        "pods", "images", "network", "cni", "services", "logs", "node.json", "version", "agent.lock",
    ]
    private static let runEntries = ["pods", "netns", "swiftlet.sock", "agent.log", "agent.lock"]
    /// The tables that the agent makes, in whatever family.
    private static let tableNames: Set = ["swiftlet-proxy", "swiftlet-pods", "swiftlet-overlay"]
    private static let proxyTable = TableName(.ipv4, "swiftlet-proxy")

    /// Looks around; changes nothing.
    ///
    /// A data directory of a newer release is refused.
    public init(dataDirectory: String, runDirectory: String, version: String) throws(NodeError) {
        try DataDirectory.checkReadable(dataDirectory)
        self.version = version
        settings =
            try NodeSettings.read(dataDirectory: dataDirectory, runDirectory: runDirectory)
            ?? NodeSettings(dataDirectory: dataDirectory, runDirectory: runDirectory, nodeName: "")
        let onDisk = PodOnDisk.all(dataDirectory: dataDirectory)
        let known = ["\(dataDirectory)/pods", "\(runDirectory)/pods"].flatMap { (try? listDirectory($0)) ?? [] }
        pods = Set(known).sorted()
        var found = onDisk.map { "pod \($0.namespace)/\($0.name) (\($0.uid)), its volumes and logs" }
        let named = Set(onDisk.map(\.uid))
        found += pods.filter { !named.contains($0) }.map { "what is left of pod \($0)" }
        found += Self.cgroups(of: pods, parent: settings.cgroupParent).map { "cgroup \($0.path)" }
        found += Self.mounts(ofPodsBelow: [dataDirectory, runDirectory]).map { "mount \($0)" }
        found += Self.interfaces().map { "interface \($0)" }
        found += Self.tables().map { "nftables table \($0)" }
        for (directory, entries) in [(dataDirectory, Self.dataEntries), (runDirectory, Self.runEntries)] {
            let present = entries.filter { fileExists("\(directory)/\($0)") }
            if !present.isEmpty { found.append("\(directory): \(present.joined(separator: ", "))") }
        }
        findings = found
    }

    /// Stops the agent, kills the pods and removes all of it. What cannot be removed is named, the rest goes nevertheless.
    public func run() async throws(NodeError) -> [String] {
        try stopAgent()
        let lock = try AgentLock(runDirectory: settings.runDirectory, dataDirectory: settings.dataDirectory)
        var problems: [String] = []
        func attempt(_ what: String, _ body: () throws -> Void) {
            do { try body() } catch { problems.append("\(what): \(error)") }
        }
        await killPods(&problems)
        for cgroup in Self.cgroups(of: pods, parent: settings.cgroupParent) {
            attempt("cgroup \(cgroup.path)") {
                try cgroup.kill()
                try cgroup.remove()
            }
        }
        removeEmptyParents()
        for mount in Self.mounts(ofPodsBelow: [settings.dataDirectory, settings.runDirectory]).reversed() {
            attempt("mount \(mount)") { try unmount(mount) }
        }
        await settings.detachFromPlugins { problems.append($0) }
        attempt("overlay") {
            try Overlay.removeEverything(in: OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY))
        }
        attempt("pod network") { try PodNetwork.removeEverything(directory: "\(settings.dataDirectory)/network") }
        attempt("nftables table ip swiftlet-proxy") {
            var socket = try NFTablesSocket()
            var change = Transaction()
            change.remove(Self.proxyTable)
            try socket.commit(change)
        }
        removeFiles(&problems)
        _ = consume lock
        return problems
    }

    // MARK: Processes

    private func stopAgent() throws(NodeError) {
        do throws(ControlError) {
            var client = try ControlClient(runDirectory: settings.runDirectory, version: version)
            _ = try client.call("quit", ["force": true])
        } catch {
            guard error.code == .unavailable || error.code == .disconnected else { throw NodeError(error.message) }
        }
        // The agent has gone when its lock is free.
        let deadline = ContinuousClock.now + Takeover.patience
        while ContinuousClock.now < deadline {
            if (try? AgentLock(runDirectory: settings.runDirectory, dataDirectory: settings.dataDirectory)) != nil {
                return
            }
            usleep(10_000)
        }
    }

    private func killPods(_ problems: inout [String]) async {
        for uid in pods {
            let directory = "\(settings.runDirectory)/pods/\(uid)"
            guard fileExists(directory) else { continue }
            do throws(LaunchError) {
                try await Sandbox.adopt(socketDirectory: directory).terminate()
            } catch {
                if !error.isSandboxGone { problems.append("pod \(uid): \(error)") }
            }
        }
    }

    // MARK: Kernel

    /// The cgroups of these pods, whatever their class.
    private static func cgroups(of pods: [String], parent: String) -> [Cgroup] {
        guard let system = try? CgroupSystem.detect() else { return [] }
        return pods.flatMap { uid in
            CPUShares.QualityOfService.allCases.compactMap { tier in
                let path = CPUShares.kubernetesPath(qualityOfService: tier, podUID: uid, parent: parent)
                guard let cgroup = try? Cgroup(system: system, path: path), (try? cgroup.exists()) == true else {
                    return nil
                }
                return cgroup
            }
        }
    }

    /// Removes the tree above the pods where nothing is left in it: another kubelet's pods may be there.
    private func removeEmptyParents() {
        guard let system = try? CgroupSystem.detect() else { return }
        let parent = settings.cgroupParent
        for path in ["\(parent)/burstable", "\(parent)/besteffort", parent] {
            for hierarchy in system.hierarchies { rmdir("\(hierarchy.mountPoint)\(path)") }
        }
    }

    /// The mount points in this mount namespace that are inside a pod's directory, parents first. Elsewhere below these
    /// directories nothing is mounted by us: a file system for images or logs, for example, is its owner's.
    private static func mounts(ofPodsBelow directories: [String]) -> [String] {
        let info = (try? readText("/proc/self/mountinfo")) ?? ""
        // mountinfo knows no symbolic links, such as /var/run.
        return mounts(in: info, ofPodsBelow: directories.map { resolved($0) })
    }

    static func mounts(in mountinfo: String, ofPodsBelow directories: [String]) -> [String] {
        mountinfo.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { return nil }
            let path = unescaped(fields[4])
            let isPods = directories.contains { directory in
                // Below `pods/<uid>/`, not `pods` or the directory of a pod itself.
                path.hasPrefix("\(directory)/pods/") && path.dropFirst(directory.utf8.count + 6).contains("/")
            }
            return isPods ? path : nil
        }
    }

    private static func resolved(_ path: String) -> String {
        guard let found = realpath(path, nil) else { return path }
        defer { free(found) }
        return String(cString: found)
    }

    /// mountinfo writes space, tab, newline and backslash as `\040` and so on (proc_pid_mountinfo(5)).
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func interfaces() -> [String] {
        guard var socket = try? RouteSocket(), let links = try? socket.links() else { return [] }
        return links.filter { link in
            guard let alias = link.alias else { return false }
            return alias.hasPrefix("swiftlet pod ") || alias == "swiftlet bridge of pods"
                || alias == OverlayConfiguration.alias
        }.map(\.name)
    }

    private static func tables() -> [TableName] {
        guard var socket = try? NFTablesSocket(), let found = try? socket.tableNames() else { return [] }
        return found.filter { tableNames.contains($0.name) }
    }

    // MARK: Files

    private func removeFiles(_ problems: inout [String]) {
        func remove(_ path: String) {
            do { try removeTree(path) } catch { problems.append("\(path): \(error)") }
        }
        let known = PodOnDisk.all(dataDirectory: settings.dataDirectory)
        for pod in known where settings.logDirectory != "\(settings.dataDirectory)/logs" {
            remove("\(settings.logDirectory)/\(pod.namespace)_\(pod.name)_\(pod.uid)")
        }
        // `version` goes last but one: what is left of an interrupted reset is still seen as ours.
        for entry in Self.runEntries { remove("\(settings.runDirectory)/\(entry)") }
        for entry in Self.dataEntries { remove("\(settings.dataDirectory)/\(entry)") }
        // Somebody else's files keep their directory.
        rmdir(settings.runDirectory)
        rmdir(settings.dataDirectory)
    }
}
