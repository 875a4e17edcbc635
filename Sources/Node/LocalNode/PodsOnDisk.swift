// What the disk says of pods, for commands that work without an agent: names, containers, log files, whether a container
// will run again. Reads what PodEngine writes (`pods/<uid>/pod.json`, `status.json`); changes nothing.
import JSONTree
import Linux

/// A pod as its files tell.
public struct PodOnDisk: Sendable, Hashable {
    public let uid: String
    public let namespace: String
    public let name: String
    /// `pods/<uid>` of the data directory.
    public let directory: String
    /// The manifest after defaulting.
    public let manifest: JSONValue

    /// All pods below `dataDirectory`, by namespace and name. What is half written or of no pod is left out.
    public static func all(dataDirectory: String) -> [PodOnDisk] {
        let directory = "\(dataDirectory)/pods"
        let uids = (try? listDirectory(directory)) ?? []
        // A name with a dot is what a removal that was cut off has left.
        return uids.filter { !$0.hasPrefix(".") }.compactMap { read("\(directory)/\($0)") }
            .sorted { ($0.namespace, $0.name, $0.uid) < ($1.namespace, $1.name, $1.uid) }
    }

    static func read(_ directory: String) -> PodOnDisk? {
        guard let bytes = try? readFile("\(directory)/pod.json"), let tree = try? JSONValue.parse(bytes),
            let uid = tree["uid"]?.stringValue, let manifest = tree["pod"],
            let name = manifest["metadata"]?["name"]?.stringValue
        else { return nil }
        let namespace = manifest["metadata"]?["namespace"]?.stringValue ?? "default"
        return PodOnDisk(uid: uid, namespace: namespace, name: name, directory: directory, manifest: manifest)
    }

    /// The names of the app containers, then of the init containers, each in the manifest's order.
    public var containers: [String] { names("containers") + names("initContainers") }

    /// The container that a command means when it names none: the one of the annotation
    /// `kubectl.kubernetes.io/default-container`, else the first.
    public var defaultContainer: String? {
        let annotated = manifest["metadata"]?["annotations"]?["kubectl.kubernetes.io/default-container"]?.stringValue
        if let annotated, containers.contains(annotated) { return annotated }
        return names("containers").first
    }

    private func names(_ list: String) -> [String] {
        manifest["spec"]?[list]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
    }

    /// Where the container's log files are.
    public func logDirectory(_ container: String, below logDirectory: String) -> String {
        "\(logDirectory)/\(namespace)_\(name)_\(uid)/\(container)"
    }

    /// The file that podinit leaves when a container's run has ended.
    public func exitRecord(_ container: String, attempt: Int) -> String {
        "\(directory)/exits/\(container).\(attempt)"
    }

    /// Whether a container that ended its run number `attempt` will run again, as far as the disk tells now; false also
    /// when the pod is gone.
    public func willRunAgain(_ container: String, after attempt: Int) -> Bool {
        guard let bytes = try? readFile("\(directory)/status.json"), let status = try? JSONValue.parse(bytes) else {
            return false
        }
        let record = status["containers"]?.arrayValue?.first { $0["name"]?.stringValue == container }
        guard let record else { return false }
        if let next = record["attempt"]?.integerValue, next > attempt { return true }
        if let wish = status["wish"]?.stringValue, wish != "running" { return false }
        if let reason = status["failureReason"]?.stringValue, !reason.isEmpty { return false }
        // The exit record is there before the engine has taken note of it: the run still counts as running then.
        let exitCode = record["terminated"]?["exitCode"]?.integerValue
        guard let exitCode else { return true }
        if record["role"]?.stringValue == "sidecar" { return true }
        switch manifest["spec"]?["restartPolicy"]?.stringValue ?? "Always" {
        case "Never": return false
        case "OnFailure": return exitCode != 0
        default: return record["role"]?.stringValue == "app" || exitCode != 0
        }
    }

    /// The pod that `text` means: `name` (of any namespace, where only one has it), `namespace/name`, or the beginning of
    /// a uid of at least four characters.
    public static func find(_ text: String, among pods: [PodOnDisk]) throws(NodeError) -> PodOnDisk {
        var found = pods.filter { "\($0.namespace)/\($0.name)" == text || $0.uid == text }
        if found.isEmpty { found = pods.filter { $0.name == text } }
        if found.count > 1, let ours = found.first(where: { $0.namespace == "default" }) { return ours }
        if found.isEmpty, text.utf8.count >= 4 { found = pods.filter { $0.uid.hasPrefix(text) } }
        guard let pod = found.first else { throw NodeError("pod \"\(text)\" not found") }
        if found.count > 1 {
            let names = found.map { "\($0.namespace)/\($0.name)" }.joined(separator: ", ")
            throw NodeError("\"\(text)\" means more than one pod: \(names)")
        }
        return pod
    }
}
