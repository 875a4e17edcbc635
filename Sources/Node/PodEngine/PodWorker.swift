import ContainerRuntime
import Images
import JSONTree
import Linux
import Logging
import OCI
import Resources
import Synchronization

/// Leads one pod through its life. What it does next follows from the record and from what runs, looked at again after
/// each event ("level-triggered"), so that a worker that adopted a pod and one that made it act alike.
actor PodWorker {
    let node: NodeContext
    let stored: StoredPod
    let paths: PodPaths
    let logger: Logger
    var record: PodRecord
    var sandbox: Sandbox?
    /// The images of containers that were resolved in this process.
    var images: [String: Image] = [:]
    /// What works in the background for a container: a pull, a hook, a termination.
    var activities: [Activity: Task<Void, Never>] = [:]
    /// Not before these moments: the next try of a pull or of a creation, and how long to wait after a failure.
    var retries: [String: Retry] = [:]
    var sandboxRetry: Retry?
    /// Images that `pod run` has fetched already, by their names in the manifest; each is taken once.
    var fetched: [String: Image] = [:]
    /// The pause process went away: the loop has to clear up after it.
    var hasLostSandbox = false
    /// Nothing of the pod runs, and its sandbox is gone.
    private(set) var isSettled = false
    private var eventReader: Task<Void, Never>?
    private var timer: Task<Void, Never>?
    var isDetached = false
    /// Runs that have ended and are to be cleared up after once the record that says so is on disk.
    var endedRuns: [EndedRun] = []
    /// The pod's files are being removed: nothing is written any more.
    var isDiscarded = false
    private let wakeups: AsyncStream<Void>
    private let wakeupSource: AsyncStream<Void>.Continuation
    private nonisolated let published: Mutex<PodSnapshot>

    enum Activity: Hashable { case pull(String), postStart(String), termination(String) }

    struct EndedRun {
        let name: String
        let attempt: Int
    }

    struct Retry {
        var notBefore: Moment
        var delay: Int64
        var message: String
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { node.loop.asUnownedSerialExecutor() }
    nonisolated var snapshot: PodSnapshot { published.withLock { $0 } }

    var spec: PodSpec { stored.pod.spec }
    var uid: PodUID { stored.uid }

    init(node: NodeContext, stored: StoredPod, record: PodRecord, fetched: [String: Image] = [:]) {
        self.fetched = fetched
        self.node = node
        self.stored = stored
        self.record = record
        paths = PodPaths(
            node.configuration, uid: stored.uid, namespace: stored.pod.metadata.namespace,
            name: stored.pod.metadata.name)
        var logger = node.logger
        logger[metadataKey: "pod"] = "\(stored.pod.metadata.namespace)/\(stored.pod.metadata.name)"
        self.logger = logger
        (wakeups, wakeupSource) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        published = Mutex(
            PodSnapshot(stored: stored, record: record, node: node.configuration, logDirectory: paths.logs))
    }

    // MARK: - The loop

    /// Works until the pod is removed or the agent lets go of it.
    func run() async {
        for await _ in wakeups {
            while !isDetached {
                switch await step() {
                case .again: continue
                case .waitForEvent: break
                case .waitUntil(let moment): wake(at: moment)
                case .finished:
                    stopListening()
                    return
                }
                break
            }
            if isDetached { return }
        }
    }

    enum Step {
        /// Something changed: look again.
        case again
        case waitForEvent
        case waitUntil(Moment)
        /// The pod is gone.
        case finished
    }

    /// Lets the loop look at the pod again.
    nonisolated func wake() { wakeupSource.yield() }

    private func wake(at moment: Moment) {
        timer?.cancel()
        let seconds = max(moment - Moment.now(), 0)
        timer = Task { [weak self] in
            try? await Task.sleep(for: .seconds(seconds) + .milliseconds(1))
            if !Task.isCancelled { self?.wake() }
        }
    }

    /// The agent quits: nothing more is done to the pod, which goes on running.
    func detach() {
        isDetached = true
        stopListening()
        for task in activities.values { task.cancel() }
        wakeupSource.finish()
    }

    private func stopListening() {
        eventReader?.cancel()
        timer?.cancel()
    }

    private func step() async -> Step {
        if hasLostSandbox {
            await loseSandbox()
            return .again
        }
        if let end = deadlineStep() { return end }
        if record.wish != .running { return await stopStep() }
        if isEnded { return await endStep() }
        guard let sandbox else { return await sandboxStep() }
        return await containersStep(sandbox)
    }

    /// activeDeadlineSeconds (PodSpec).
    private func deadlineStep() -> Step? {
        guard let seconds = spec.activeDeadlineSeconds, let startedAt = record.startedAt, record.failureReason.isEmpty,
            record.wish == .running, !isEnded
        else { return nil }
        let deadline = startedAt + seconds
        if Moment.now() < deadline {
            return nil
        }
        record.failureReason = "DeadlineExceeded"
        record.failureMessage = "Pod was active on the node longer than the specified deadline"
        record.wish = .stopped
        record.stopRequestedAt = Moment.now()
        save()
        return .again
    }

    /// Whether every app container has ended for good, or an init container has failed for good.
    var isEnded: Bool {
        let now = Moment.now()
        func endedForGood(_ container: ContainerRecord) -> Bool {
            container.state.termination != nil
                && container.restartDecision(policy: spec.restartPolicy, now: now) == .never
        }
        if record.containers.contains(where: {
            $0.role == .initialization && endedForGood($0) && $0.state.termination?.exitCode != 0
        }) {
            return !record.containers.contains { $0.role == .app && $0.state.isRunning }
        }
        return record.containers.allSatisfy { $0.role != .app || endedForGood($0) }
    }

    // MARK: - Wishes

    /// Asks for the pod's end. A shorter grace than one asked for before holds.
    func requestStop(_ wish: PodWish, grace: Int64?) {
        guard record.wish != .removed || grace != nil else { return }
        let wanted = max(grace ?? spec.terminationGracePeriodSeconds, 0)
        record.grace = record.wish == .running ? wanted : min(record.grace, wanted)
        if record.wish == .running { record.stopRequestedAt = Moment.now() }
        if record.wish != .removed { record.wish = wish }
        save()
        wake()
    }

    // MARK: - The record

    /// Writes the record and shows it. A record that cannot be written is told, and written at the next change; until
    /// then the pause process keeps the exits that are in it.
    func save() {
        defer { publish() }
        guard !isDiscarded else { return }
        do {
            try writeFileAtomically(paths.status, record.tree.encoded(), mode: 0o600)
        } catch {
            return logger.error("cannot keep the pod's status: \(error)")
        }
        let runs = endedRuns
        endedRuns = []
        for run in runs { clearUp(run) }
    }

    func publish() {
        var snapshot = PodSnapshot(stored: stored, record: record, node: node.configuration, logDirectory: paths.logs)
        snapshot.sandboxFailure = sandboxRetry?.message
        published.withLock { $0 = snapshot }
        node.changes.notify()
    }

    func index(of name: String) -> Int? { record.containers.firstIndex { $0.name == name } }

    /// The manifest's container of that name.
    func definition(of name: String) -> Container? {
        spec.initContainers.first { $0.name == name } ?? spec.containers.first { $0.name == name }
    }

    // MARK: - Background work

    /// Starts `work` for a container unless the same is under way; the loop looks again when it is done.
    func begin(_ activity: Activity, _ work: @escaping @Sendable (isolated PodWorker) async -> Void) {
        guard activities[activity] == nil else { return }
        activities[activity] = Task { [weak self] in
            guard let self else { return }
            await work(self)
            await self.end(activity)
        }
    }

    private func end(_ activity: Activity) {
        activities[activity] = nil
        wake()
    }

    // MARK: - Sandbox events

    /// Takes over a sandbox that was launched or adopted, and listens to it.
    func listen(to sandbox: Sandbox) {
        self.sandbox = sandbox
        eventReader?.cancel()
        eventReader = Task { [weak self] in
            for await event in sandbox.events {
                guard let self else { return }
                switch event {
                case .containerExited(let status): await self.noteExit(status)
                case .gone: await self.noteSandboxGone(sandbox)
                }
            }
        }
    }

    private func noteSandboxGone(_ gone: Sandbox) {
        guard sandbox === gone, !isDetached else { return }
        sandbox = nil
        if record.wish == .running && !isEnded {
            logger.error("the pod's pause process (pid \(gone.pid)) is gone; its containers are ended")
        }
        hasLostSandbox = true
        wake()
    }

    /// Says whether nothing of the pod runs any more, for those who wait for its end.
    func setSettled(_ settled: Bool) {
        guard isSettled != settled else { return }
        isSettled = settled
        publish()
    }
}
