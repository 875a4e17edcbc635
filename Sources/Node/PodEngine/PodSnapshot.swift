import JSONTree
import Resources

/// A pod at one moment: what it is, what it does, and how Kubernetes would show that.
public struct PodSnapshot: Sendable {
    public let uid: PodUID
    public let pod: Pod
    public let source: PodSource
    /// Where the logs of its containers are: `<directory>/<container>/<attempt>.log`.
    public let logDirectory: String
    /// In the order of the manifest: init containers and sidecars, then app containers.
    public let containers: [ContainerRecord]
    /// The pod's addresses, that of `status.podIP` first; empty while it has none.
    public let addresses: [String]
    public let createdAt: Moment
    public let startedAt: Moment?
    /// Why there is no sandbox yet; nil while nothing is wrong with it.
    public internal(set) var sandboxFailure: String?
    let tree: JSONValue
    let record: PodRecord
    let nodeName: String
    let hostAddresses: [String]

    init(stored: StoredPod, record: PodRecord, node: PodEngineConfiguration, logDirectory: String) {
        uid = stored.uid
        pod = stored.pod
        source = stored.source
        tree = stored.tree
        self.record = record
        self.logDirectory = logDirectory
        containers = record.containers
        addresses = record.addresses
        createdAt = record.createdAt
        startedAt = record.startedAt
        nodeName = node.nodeName
        hostAddresses = node.hostAddresses
    }

    public var namespace: String { pod.metadata.namespace }
    public var name: String { pod.metadata.name }
    public var labels: [String: String] { pod.metadata.labels }

    /// Somebody asked for its end, and it is not there yet.
    public var isTerminating: Bool {
        record.wish == .removed || (record.wish == .stopped && containers.contains { $0.state.isRunning })
    }

    /// Phase Succeeded or Failed: nothing of it will run again.
    public var isEnded: Bool { phase == "Succeeded" || phase == "Failed" }

    /// Whether it takes traffic: every app container and sidecar runs and is past its postStart hook.
    public var isReady: Bool {
        record.wish == .running && record.hasSandbox && initialized && readyContainers == totalContainers
    }

    private var initialized: Bool { record.initialized || pod.spec.initContainers.isEmpty }
    private var counted: [ContainerRecord] { containers.filter { $0.role != .initialization } }
    public var readyContainers: Int { counted.filter { $0.state.isRunning && $0.started }.count }
    public var totalContainers: Int { counted.count }
    public var restarts: Int { containers.map(\.restartCount).reduce(0, +) }

    // MARK: - Phase and status

    /// `Pending`, `Running`, `Succeeded` or `Failed` (Kubernetes, "Pod Lifecycle").
    public var phase: String {
        let phase = phaseByContainers
        // A pod that has done its work goes on until its sidecars have ended too.
        let isOver = phase == "Succeeded" || phase == "Failed"
        return isOver && containers.contains { $0.state.isRunning } ? "Running" : phase
    }

    private var phaseByContainers: String {
        if !record.failureReason.isEmpty { return "Failed" }
        let apps = containers.filter { $0.role == .app }
        let isStopped = record.wish == .stopped && !containers.contains { $0.state.isRunning }
        let policy = pod.spec.restartPolicy
        if containers.contains(where: {
            $0.role == .initialization && ($0.state.termination?.exitCode ?? 0) != 0 && (policy == .never || isStopped)
        }) {
            return "Failed"
        }
        if isStopped {
            return apps.allSatisfy { $0.state.termination?.exitCode == 0 } ? "Succeeded" : "Failed"
        }
        if !initialized { return "Pending" }
        if apps.contains(where: { if case .waiting = $0.state { $0.lastTermination == nil } else { false } }) {
            return "Pending"
        }
        let codes = apps.compactMap { $0.state.termination?.exitCode }
        guard codes.count == apps.count, policy != .always else { return "Running" }
        if codes.allSatisfy({ $0 == 0 }) { return "Succeeded" }
        return policy == .never ? "Failed" : "Running"
    }

    /// What kubectl shows under STATUS.
    public var status: String {
        if record.wish == .removed || isTerminating { return "Terminating" }
        if !record.failureReason.isEmpty { return record.failureReason }
        if sandboxFailure != nil { return "CreatePodSandboxError" }
        let initial = containers.filter { $0.role != .app }
        if let waiting = initialStatus(initial) { return waiting }
        var reason = phase
        var hasRunning = false
        for container in containers.reversed() where container.role == .app {
            switch container.state {
            case .waiting(let why, _): reason = why
            case .terminated(let end): reason = end.reason
            case .running: hasRunning = hasRunning || container.started
            }
        }
        if reason == "Completed" && hasRunning { return "Running" }
        return reason
    }

    private func initialStatus(_ initial: [ContainerRecord]) -> String? {
        if record.initialized { return nil }
        for (index, container) in initial.enumerated() where !container.letsOthersStart {
            switch container.state {
            case .terminated(let end): return "Init:\(end.reason.isEmpty ? "ExitCode:\(end.exitCode)" : end.reason)"
            case .waiting(let reason, _) where !["PodInitializing", "ContainerCreating"].contains(reason):
                return "Init:\(reason)"
            default: return "Init:\(index)/\(initial.count)"
            }
        }
        return nil
    }

    /// The first thing that is wrong with it, in one line; nil while nothing is.
    public var failure: String? {
        if let sandboxFailure { return sandboxFailure }
        for container in containers {
            switch container.state {
            case .waiting(let reason, let message)
            where !["PodInitializing", "ContainerCreating"].contains(reason) && container.lastTermination == nil:
                return "container \(container.name): \(reason): \(message)"
            case .terminated(let end) where end.reason == "StartError":
                return "container \(container.name): StartError: \(end.message)"
            default: continue
            }
        }
        return nil
    }

    // MARK: - As an object

    /// A v1 Pod with its status (Kubernetes API reference, PodStatus).
    public func json() -> JSONValue {
        guard case .object(var object) = tree else { return tree }
        var metadata = object["metadata"]?.objectValue ?? JSONObject()
        metadata["namespace"] = JSONValue(namespace)
        metadata["uid"] = JSONValue(uid.text)
        metadata["creationTimestamp"] = JSONValue(createdAt.rfc3339)
        if record.wish == .removed, let since = record.stopRequestedAt {
            metadata["deletionTimestamp"] = JSONValue((since + record.grace).rfc3339)
            metadata["deletionGracePeriodSeconds"] = JSONValue(record.grace)
        }
        object["metadata"] = .object(metadata)
        if var spec = object["spec"]?.objectValue {
            spec["nodeName"] = JSONValue(nodeName)
            object["spec"] = .object(spec)
        }
        object["status"] = statusTree
        return .object(object)
    }

    private var statusTree: JSONValue {
        let initial = containers.filter { $0.role != .app }
        let apps = containers.filter { $0.role == .app }
        var status: JSONObject = [
            "phase": JSONValue(phase), "conditions": .array(conditions),
            "qosClass": JSONValue(pod.spec.qosClass.rawValue),
        ]
        for (one, all, addresses) in [("hostIP", "hostIPs", hostAddresses), ("podIP", "podIPs", addresses)] {
            guard let first = addresses.first else { continue }
            status[one] = JSONValue(first)
            status[all] = .array(addresses.map { ["ip": JSONValue($0)] })
        }
        if let startedAt { status["startTime"] = JSONValue(startedAt.rfc3339) }
        if !record.failureReason.isEmpty {
            status["reason"] = JSONValue(record.failureReason)
            status["message"] = JSONValue(record.failureMessage)
        } else if let sandboxFailure {
            status["message"] = JSONValue(sandboxFailure)
        }
        if !initial.isEmpty { status["initContainerStatuses"] = .array(initial.map(containerStatus)) }
        status["containerStatuses"] = .array(apps.map(containerStatus))
        return .object(status)
    }

    private var conditions: [JSONValue] {
        func condition(_ type: String, _ isTrue: Bool) -> JSONValue {
            ["type": JSONValue(type), "status": JSONValue(isTrue ? "True" : "False")]
        }
        return [
            condition("PodScheduled", true), condition("Initialized", initialized), condition("Ready", isReady),
            condition("ContainersReady", isReady),
        ]
    }

    private func containerStatus(_ container: ContainerRecord) -> JSONValue {
        let definition = (pod.spec.initContainers + pod.spec.containers).first { $0.name == container.name }
        let isDone = container.role == .initialization && container.state.termination?.exitCode == 0
        var object: JSONObject = [
            "name": JSONValue(container.name), "image": JSONValue(definition?.image ?? ""),
            "imageID": JSONValue(container.imageID), "restartCount": JSONValue(container.restartCount),
            "ready": JSONValue(isDone || (container.state.isRunning && container.started)),
            "started": JSONValue(container.state.isRunning && container.started),
            "state": stateTree(container.state, container),
        ]
        if container.attempted || container.restartCount > 0 {
            object["containerID"] = JSONValue(containerID(container))
        }
        if let last = container.lastTermination, container.state.termination != last {
            object["lastState"] = ["terminated": terminationTree(last, container)]
        }
        return .object(object)
    }

    private func containerID(_ container: ContainerRecord) -> String {
        "swiftlet://\(uid)/\(container.name)/\(container.attempt)"
    }

    private func stateTree(_ state: ContainerState, _ container: ContainerRecord) -> JSONValue {
        switch state {
        case .waiting(let reason, let message):
            var object: JSONObject = ["reason": JSONValue(reason)]
            if !message.isEmpty { object["message"] = JSONValue(message) }
            return ["waiting": .object(object)]
        case .running(let startedAt): return ["running": ["startedAt": JSONValue(startedAt.rfc3339)]]
        case .terminated(let end): return ["terminated": terminationTree(end, container)]
        }
    }

    private func terminationTree(_ end: Termination, _ container: ContainerRecord) -> JSONValue {
        var object: JSONObject = [
            "exitCode": JSONValue(end.exitCode), "reason": JSONValue(end.reason),
            "startedAt": JSONValue(end.startedAt.rfc3339), "finishedAt": JSONValue(end.finishedAt.rfc3339),
            "containerID": JSONValue(containerID(container)),
        ]
        if end.signal != 0 { object["signal"] = JSONValue(end.signal) }
        if !end.message.isEmpty { object["message"] = JSONValue(end.message) }
        return .object(object)
    }
}
