// A pod in one line, from its v1 object, as `kubectl get pods` derives it (kubectl, printers/internalversion, printPod): a
// person who knows those words finds them here.
import JSONTree
import Linux

/// The columns of one pod.
public struct PodSummaryLine: Sendable, Hashable {
    public let namespace: String
    public let name: String
    public let readyContainers: Int
    public let totalContainers: Int
    /// `Running`, `Completed`, `Init:0/1`, `CrashLoopBackOff`, `Terminating` …
    public let status: String
    public let restarts: Int
    /// Seconds since the last restart; nil if there was none.
    public let sinceLastRestart: Int64?
    /// Seconds since creation; nil where the object does not say.
    public let age: Int64?
    public let address: String
    public let node: String
    public let uid: String

    /// - Parameter now: seconds since 1970.
    public init(_ pod: JSONValue, now: Int64) {
        let (metadata, spec, status) = (pod["metadata"], pod["spec"], pod["status"])
        namespace = metadata?["namespace"]?.stringValue ?? ""
        name = metadata?["name"]?.stringValue ?? ""
        uid = metadata?["uid"]?.stringValue ?? ""
        age = metadata?["creationTimestamp"]?.stringValue.flatMap(secondsSinceEpoch).map { now - $0 }
        address = status?["podIP"]?.stringValue ?? ""
        node = spec?["nodeName"]?.stringValue ?? ""
        var derivation = PodStatusDerivation(spec: spec, status: status)
        derivation.run()
        if metadata?["deletionTimestamp"]?.stringValue != nil, !derivation.isTerminal {
            derivation.reason = "Terminating"
        }
        self.status = derivation.reason
        readyContainers = derivation.ready
        totalContainers = derivation.total
        restarts = derivation.restarts
        sinceLastRestart = derivation.lastRestart.map { now - $0 }
    }

    /// `3 (2m ago)`, as kubectl's column RESTARTS.
    public var restartsText: String {
        guard restarts > 0, let sinceLastRestart else { return "\(restarts)" }
        return "\(restarts) (\(humanDuration(sinceLastRestart)) ago)"
    }
}

/// The state of the walk through a pod's container statuses.
private struct PodStatusDerivation {
    let phase: String
    var reason: String
    var ready = 0
    var total: Int
    var restarts = 0
    var lastRestart: Int64?

    private let initContainers: [JSONValue]
    private let initStatuses: [JSONValue]
    private let statuses: [JSONValue]
    private let conditions: [JSONValue]
    private var initializing = false
    private var sidecarRestarts = 0
    private var lastSidecarRestart: Int64?

    init(spec: JSONValue?, status: JSONValue?) {
        phase = status?["phase"]?.stringValue ?? "Unknown"
        reason = phase
        if let given = status?["reason"]?.stringValue, !given.isEmpty { reason = given }
        initContainers = spec?["initContainers"]?.arrayValue ?? []
        initStatuses = status?["initContainerStatuses"]?.arrayValue ?? []
        statuses = status?["containerStatuses"]?.arrayValue ?? []
        conditions = status?["conditions"]?.arrayValue ?? []
        total = spec?["containers"]?.arrayValue?.count ?? 0
        total += initContainers.count { $0["restartPolicy"]?.stringValue == "Always" }
    }

    var isTerminal: Bool { phase == "Failed" || phase == "Succeeded" }

    mutating func run() {
        walkInitContainers()
        if !initializing || holds("Initialized") { walkContainers() }
    }

    private func holds(_ condition: String) -> Bool {
        conditions.contains { $0["type"]?.stringValue == condition && $0["status"]?.stringValue == "True" }
    }

    private mutating func walkInitContainers() {
        for (index, status) in initStatuses.enumerated() {
            let name = status["name"]?.stringValue
            let isSidecar = initContainers.contains {
                $0["name"]?.stringValue == name && $0["restartPolicy"]?.stringValue == "Always"
            }
            restarts += count(status)
            lastRestart = later(lastRestart, end(status))
            if isSidecar {
                sidecarRestarts += count(status)
                lastSidecarRestart = later(lastSidecarRestart, end(status))
            }
            let terminated = status["state"]?["terminated"]
            if terminated?["exitCode"]?.integerValue == 0 { continue }
            if isSidecar, status["started"]?.boolValue == true {
                if status["ready"]?.boolValue == true { ready += 1 }
                continue
            }
            if let terminated {
                reason = "Init:" + describe(terminated)
            } else if let waiting = waitingReason(status), waiting != "PodInitializing" {
                reason = "Init:" + waiting
            } else {
                reason = "Init:\(index)/\(initContainers.count)"
            }
            initializing = true
            break
        }
    }

    private mutating func walkContainers() {
        restarts = sidecarRestarts
        lastRestart = lastSidecarRestart
        var hasRunning = false
        for status in statuses.reversed() {
            restarts += count(status)
            lastRestart = later(lastRestart, end(status))
            if let waiting = waitingReason(status) {
                reason = waiting
            } else if let terminated = status["state"]?["terminated"] {
                reason = describe(terminated)
            } else if status["ready"]?.boolValue == true, status["state"]?["running"] != nil {
                hasRunning = true
                ready += 1
            }
        }
        if reason == "Completed" && hasRunning { reason = holds("Ready") ? "Running" : "NotReady" }
    }

    private func count(_ status: JSONValue) -> Int { Int(status["restartCount"]?.integerValue ?? 0) }

    private func end(_ status: JSONValue) -> Int64? {
        status["lastState"]?["terminated"]?["finishedAt"]?.stringValue.flatMap(secondsSinceEpoch)
    }

    private func later(_ left: Int64?, _ right: Int64?) -> Int64? {
        guard let left, let right else { return left ?? right }
        return max(left, right)
    }

    private func waitingReason(_ status: JSONValue) -> String? {
        guard let reason = status["state"]?["waiting"]?["reason"]?.stringValue, !reason.isEmpty else { return nil }
        return reason
    }

    private func describe(_ terminated: JSONValue) -> String {
        if let reason = terminated["reason"]?.stringValue, !reason.isEmpty { return reason }
        if let signal = terminated["signal"]?.integerValue, signal != 0 { return "Signal:\(signal)" }
        return "ExitCode:\(terminated["exitCode"]?.integerValue ?? 0)"
    }
}

/// A span of time in at most two units, as kubectl writes ages (apimachinery, duration.HumanDuration): `45s`, `5m12s`,
/// `3h`, `2d4h`.
public func humanDuration(_ seconds: Int64) -> String {
    func pair(_ large: Int64, _ unit: String, _ small: Int64, _ smallUnit: String) -> String {
        small == 0 ? "\(large)\(unit)" : "\(large)\(unit)\(small)\(smallUnit)"
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600)
    switch seconds {
    case ..<(-1): return "<invalid>"
    case ..<0: return "0s"
    case ..<120: return "\(seconds)s"
    case ..<600: return pair(minutes, "m", seconds % 60, "s")
    case ..<(3 * 3600): return "\(minutes)m"
    case ..<(8 * 3600): return pair(hours, "h", minutes % 60, "m")
    case ..<(48 * 3600): return "\(hours)h"
    case ..<(8 * 86400): return pair(hours / 24, "d", hours % 24, "h")
    case ..<(2 * 365 * 86400): return "\(hours / 24)d"
    case ..<(8 * 365 * 86400): return pair(hours / 24 / 365, "y", hours / 24 % 365, "d")
    default: return "\(hours / 24 / 365)y"
    }
}

/// The seconds since 1970 of a time such as `2026-11-21T04:00:00Z`; fractions are dropped, only UTC is read.
public func secondsSinceEpoch(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
    func number(_ range: Range<Int>) -> Int64? { Int64(String(decoding: bytes[range], as: UTF8.self)) }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
        let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month)
    else { return nil }
    var parts = tm()
    parts.tm_year = Int32(year - 1900)
    parts.tm_mon = Int32(month - 1)
    parts.tm_mday = Int32(day)
    parts.tm_hour = Int32(hour)
    parts.tm_min = Int32(minute)
    parts.tm_sec = Int32(second)
    return Int64(timegm(&parts))
}
