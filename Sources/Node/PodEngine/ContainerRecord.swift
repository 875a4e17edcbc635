import JSONTree

/// How a container's run ended, as ContainerStateTerminated tells it.
public struct Termination: Sendable, Hashable {
    /// 0 to 255; 128 + the signal's number for a killed process.
    public var exitCode: Int32
    /// The signal that ended it, 0 for none.
    public var signal: Int32 = 0
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerStatusUnknown` …
    public var reason: String
    public var message: String = ""
    public var startedAt: Moment
    public var finishedAt: Moment
}

/// What a container is doing. The payload exists only in the state that has it.
public enum ContainerState: Sendable, Hashable {
    case waiting(reason: String, message: String)
    case running(startedAt: Moment)
    case terminated(Termination)

    public var isRunning: Bool { if case .running = self { true } else { false } }
    public var termination: Termination? { if case .terminated(let end) = self { end } else { nil } }
}

/// Which of a pod's three lists a container stands in; a sidecar is an init container that goes on running.
public enum ContainerRole: String, Sendable { case initialization = "init", sidecar, app }

/// All that is remembered of one container of a pod; written to disk at each change.
public struct ContainerRecord: Sendable, Hashable {
    public let name: String
    public let role: ContainerRole
    public var state: ContainerState = .waiting(reason: "PodInitializing", message: "")
    public var lastTermination: Termination?
    /// The number of the present or next run, from 0; it names the log file.
    public var attempt = 0
    /// Whether run number `attempt` was handed to the pause process, or is about to be.
    public var attempted = false
    /// Whether the run has passed its postStart hook.
    public var started = false
    public var restartCount = 0
    /// Seconds to wait before the next restart, 0 before the first.
    public var backOff: Int64 = 0
    /// When the last restart was decided.
    public var lastRestart: Moment?
    public var imageID = ""
    public var imageManifest = ""
    public var processID: Int32 = 0

    public init(name: String, role: ContainerRole) { (self.name, self.role) = (name, role) }

    /// Whether run number `attempt` may still be going on, as far as is known.
    var isUnderWay: Bool {
        switch state {
        case .running: true
        case .terminated: false
        case .waiting(let reason, _): attempted && reason != "CrashLoopBackOff"
        }
    }

    /// The run's own cgroup below the pod's: of each run another, so that the end of one never touches the next.
    var cgroup: String { Self.cgroup(name, attempt: attempt) }
    static func cgroup(_ name: String, attempt: Int) -> String { "\(name).\(attempt)" }

    /// Whether an init container has done its work, or a sidecar runs, so that what follows may start.
    var letsOthersStart: Bool {
        switch role {
        case .initialization: state.termination?.exitCode == 0
        case .sidecar: state.isRunning && started
        case .app: true
        }
    }
}

// MARK: - On disk

extension Termination {
    var tree: JSONValue {
        [
            "exitCode": JSONValue(exitCode), "signal": JSONValue(signal), "reason": JSONValue(reason),
            "message": JSONValue(message), "startedAt": JSONValue(startedAt.nanoseconds),
            "finishedAt": JSONValue(finishedAt.nanoseconds),
        ]
    }

    init?(tree: JSONValue?) {
        guard let tree, let exitCode = tree["exitCode"]?.integerValue, let reason = tree["reason"]?.stringValue,
            let started = tree["startedAt"]?.integerValue, let finished = tree["finishedAt"]?.integerValue
        else { return nil }
        self.init(
            exitCode: Int32(clamping: exitCode), signal: Int32(clamping: tree["signal"]?.integerValue ?? 0),
            reason: reason, message: tree["message"]?.stringValue ?? "", startedAt: Moment(nanoseconds: started),
            finishedAt: Moment(nanoseconds: finished))
    }
}

extension ContainerRecord {
    var tree: JSONValue {
        var object: JSONObject = [
            "name": JSONValue(name), "role": JSONValue(role.rawValue), "attempt": JSONValue(attempt),
            "attempted": JSONValue(attempted), "started": JSONValue(started), "restartCount": JSONValue(restartCount),
            "backOff": JSONValue(backOff), "imageID": JSONValue(imageID), "imageManifest": JSONValue(imageManifest),
            "processID": JSONValue(processID),
        ]
        switch state {
        case .waiting(let reason, let message):
            object["waiting"] = ["reason": JSONValue(reason), "message": JSONValue(message)]
        case .running(let startedAt): object["running"] = JSONValue(startedAt.nanoseconds)
        case .terminated(let end): object["terminated"] = end.tree
        }
        if let lastTermination { object["lastTermination"] = lastTermination.tree }
        if let lastRestart { object["lastRestart"] = JSONValue(lastRestart.nanoseconds) }
        return .object(object)
    }

    init?(tree: JSONValue) {
        guard let name = tree["name"]?.stringValue,
            let role = tree["role"]?.stringValue.flatMap(ContainerRole.init(rawValue:))
        else { return nil }
        self.init(name: name, role: role)
        attempt = Int(tree["attempt"]?.integerValue ?? 0)
        attempted = tree["attempted"]?.boolValue ?? false
        started = tree["started"]?.boolValue ?? false
        restartCount = Int(tree["restartCount"]?.integerValue ?? 0)
        backOff = tree["backOff"]?.integerValue ?? 0
        imageID = tree["imageID"]?.stringValue ?? ""
        imageManifest = tree["imageManifest"]?.stringValue ?? ""
        processID = Int32(clamping: tree["processID"]?.integerValue ?? 0)
        lastTermination = Termination(tree: tree["lastTermination"])
        lastRestart = tree["lastRestart"]?.integerValue.map(Moment.init(nanoseconds:))
        if let startedAt = tree["running"]?.integerValue {
            state = .running(startedAt: Moment(nanoseconds: startedAt))
        } else if let end = Termination(tree: tree["terminated"]) {
            state = .terminated(end)
        } else if let waiting = tree["waiting"] {
            state = .waiting(
                reason: waiting["reason"]?.stringValue ?? "", message: waiting["message"]?.stringValue ?? "")
        }
    }
}
