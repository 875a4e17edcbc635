import Resources

/// When a container is run again: Kubernetes' rules (Pod Lifecycle, "How Pods handle problems with containers").
enum RestartDecision: Equatable {
    /// It stays as it ended.
    case never
    case now
    /// Not before this moment; the container waits with reason CrashLoopBackOff.
    case after(Moment)
}

/// The back-off between restarts: none before the first, then 10 s, doubled each time up to 5 min, forgotten after a run
/// that came 10 min after the last restart.
enum RestartBackOff {
    static let first: Int64 = 10
    static let longest: Int64 = 300
    static let forgottenAfter: Int64 = 600

    /// What follows a back-off of `seconds`.
    static func next(after seconds: Int64) -> Int64 { seconds == 0 ? first : min(seconds * 2, longest) }
}

extension ContainerRecord {
    /// Whether and when an ended container is run again under the pod's policy.
    func restartDecision(policy: PodSpec.RestartPolicy, now: Moment) -> RestartDecision {
        guard let end = state.termination ?? (isBackingOff ? lastTermination : nil) else { return .never }
        let restarts =
            switch (role, policy) {
            case (.sidecar, _): true
            case (.initialization, .always), (.initialization, .onFailure): end.exitCode != 0
            case (.app, .always): true
            case (.app, .onFailure): end.exitCode != 0
            case (_, .never): false
            }
        guard restarts else { return .never }
        if backOff == 0 || isBackOffForgotten(at: end.finishedAt) { return .now }
        let earliest = end.finishedAt + backOff
        return now < earliest ? .after(earliest) : .now
    }

    /// Takes note of a restart: the count, the next run's number and the next back-off.
    mutating func noteRestart(at now: Moment) {
        let ended = state.termination ?? lastTermination
        if let ended, isBackOffForgotten(at: ended.finishedAt) { backOff = 0 }
        backOff = RestartBackOff.next(after: backOff)
        lastRestart = now
        lastTermination = ended
        restartCount += 1
        attempt += 1
        attempted = false
        started = false
        processID = 0
        state = .waiting(reason: "ContainerCreating", message: "")
    }

    private var isBackingOff: Bool {
        if case .waiting(let reason, _) = state { reason == "CrashLoopBackOff" } else { false }
    }

    private func isBackOffForgotten(at end: Moment) -> Bool {
        guard let lastRestart else { return true }
        return end - lastRestart > Double(RestartBackOff.forgottenAfter)
    }
}
