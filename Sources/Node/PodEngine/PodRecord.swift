import JSONTree
import Linux
import Resources

/// What is wanted of a pod.
enum PodWish: String, Sendable {
    case running
    /// Stopped by a person; it stays listed until it is removed.
    case stopped
    case removed
}

/// All that is remembered of a pod's run; `status.json`. The manifest stands beside it in `pod.json`.
struct PodRecord: Sendable, Hashable {
    var wish = PodWish.running
    /// Seconds between TERM and KILL once the wish is not to run.
    var grace: Int64 = 30
    /// When the wish to stop was uttered.
    var stopRequestedAt: Moment?
    let createdAt: Moment
    /// When the sandbox was first ready.
    var startedAt: Moment?
    /// The pod's addresses, that of `status.podIP` first; empty until it has some.
    var addresses: [String] = []
    /// Whether the present sandbox is complete: process, network and files. One that is not is taken down again.
    var hasSandbox = false
    /// Whether all init containers have run in the present sandbox.
    var initialized = false
    /// Why the pod as a whole failed (DeadlineExceeded …); empty if it did not.
    var failureReason = ""
    var failureMessage = ""
    /// In the order of the manifest: init containers and sidecars, then app containers.
    var containers: [ContainerRecord]

    init(pod: Pod, createdAt: Moment) {
        self.createdAt = createdAt
        containers =
            pod.spec.initContainers.map {
                ContainerRecord(name: $0.name, role: $0.isSidecar ? .sidecar : .initialization)
            }
            + pod.spec.containers.map { ContainerRecord(name: $0.name, role: .app) }
        grace = pod.spec.terminationGracePeriodSeconds
        if pod.spec.initContainers.isEmpty {
            for index in containers.indices {
                containers[index].state = .waiting(reason: "ContainerCreating", message: "")
            }
        }
    }

    var tree: JSONValue {
        var object: JSONObject = [
            "wish": JSONValue(wish.rawValue), "grace": JSONValue(grace), "createdAt": JSONValue(createdAt.nanoseconds),
            "addresses": .array(addresses.map { .string($0) }), "initialized": JSONValue(initialized),
            "hasSandbox": JSONValue(hasSandbox),
            "failureReason": JSONValue(failureReason), "failureMessage": JSONValue(failureMessage),
            "containers": .array(containers.map(\.tree)),
        ]
        if let startedAt { object["startedAt"] = JSONValue(startedAt.nanoseconds) }
        if let stopRequestedAt { object["stopRequestedAt"] = JSONValue(stopRequestedAt.nanoseconds) }
        return .object(object)
    }

    /// What a file says, laid over the record of a new pod: containers are matched by name.
    init(pod: Pod, tree: JSONValue) {
        self.init(pod: pod, createdAt: Moment(nanoseconds: tree["createdAt"]?.integerValue ?? 0))
        wish = tree["wish"]?.stringValue.flatMap(PodWish.init(rawValue:)) ?? .running
        grace = tree["grace"]?.integerValue ?? grace
        stopRequestedAt = tree["stopRequestedAt"]?.integerValue.map(Moment.init(nanoseconds:))
        startedAt = tree["startedAt"]?.integerValue.map(Moment.init(nanoseconds:))
        addresses =
            tree["addresses"]?.arrayValue?.compactMap(\.stringValue)
            // What an agent of version 0.1.0 wrote.
            ?? tree["address"]?.stringValue.flatMap { $0.isEmpty ? nil : [$0] } ?? []
        initialized = tree["initialized"]?.boolValue ?? false
        hasSandbox = tree["hasSandbox"]?.boolValue ?? false
        failureReason = tree["failureReason"]?.stringValue ?? ""
        failureMessage = tree["failureMessage"]?.stringValue ?? ""
        for saved in tree["containers"]?.arrayValue?.compactMap(ContainerRecord.init(tree:)) ?? [] {
            guard let index = containers.firstIndex(where: { $0.name == saved.name && $0.role == saved.role }) else {
                continue
            }
            containers[index] = saved
        }
    }
}

/// A pod as it stands on disk: who it is, what was asked for, and by whom.
struct StoredPod: Sendable {
    let uid: PodUID
    let pod: Pod
    /// The manifest after defaulting.
    let tree: JSONValue
    let source: PodSource

    /// The file `pod.json`.
    var file: JSONValue {
        var object: JSONObject = ["uid": JSONValue(uid.text), "pod": tree]
        if case .manifest(let path) = source { object["manifest"] = JSONValue(path) }
        return .object(object)
    }

    init(uid: PodUID, pod: Pod, tree: JSONValue, source: PodSource) {
        (self.uid, self.pod, self.tree, self.source) = (uid, pod, tree, source)
    }

    /// Reads `pod.json` of the directory `path`.
    static func read(directory path: String) throws(PodError) -> StoredPod {
        let file = "\(path)/pod.json"
        do {
            let tree = try JSONValue.parse(readFile(file))
            guard let uid = tree["uid"]?.stringValue.flatMap(PodUID.init), let manifest = tree["pod"] else {
                throw PodError(.internalError, "\(file): no uid or pod in it")
            }
            guard uid.text == lastComponent(of: path) else {
                throw PodError(.internalError, "\(file): of another pod, \(uid)")
            }
            let source = tree["manifest"]?.stringValue.map { PodSource.manifest(path: $0) } ?? .command
            return StoredPod(uid: uid, pod: try Pod(tree: manifest), tree: manifest, source: source)
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.internalError, "\(file): \(error)")
        }
    }
}
