import Cgroups
import ContainerRuntime
import Images
import JSONTree
import Linux
import Logging
import Resources
import Synchronization

/// Runs pods on this host: takes them in, leads each by a worker of its own, finds them again after a restart.
public actor PodEngine {
    private nonisolated let node: NodeContext
    private nonisolated let workers = Mutex<[PodUID: PodWorker]>([:])
    private var ends: [PodUID: Task<Void, Never>] = [:]

    public nonisolated var unownedExecutor: UnownedSerialExecutor { node.loop.asUnownedSerialExecutor() }

    /// The engine and all its pods work on the thread of `loop`.
    public init(
        configuration: PodEngineConfiguration, images: ImageStore, network: any PodConnector, loop: EventLoop,
        logger: Logger
    ) throws(PodError) {
        do {
            try makeDirectories("\(configuration.dataDirectory)/pods", mode: 0o700)
            try makeDirectories("\(configuration.runDirectory)/pods", mode: 0o700)
            try makeDirectories(configuration.logDirectory, mode: 0o755)
            node = NodeContext(
                configuration: configuration, images: images, network: network, cgroups: try CgroupSystem.detect(),
                program: try PodinitProgram(path: try PodinitProgram.locate()), seccomp: SeccompPrograms(), loop: loop,
                janitor: try Janitor(logger: logger), mover: try CgroupMover(), changes: ChangeBroadcast(),
                logger: logger,
                memoryCapacity: NodeContext.memoryCapacityOfHost(),
                lowestOOMScore: try NodeContext.lowestOOMScoreOfProcess())
        } catch {
            throw PodError(.internalError, "\(error)")
        }
        if node.lowestOOMScore > -1000 {
            logger.info("oom_score_adj cannot go below \(node.lowestOOMScore) here: CAP_SYS_RESOURCE is missing")
        }
    }

    // MARK: - Taking in

    /// Takes up the pods that an earlier agent left: those that run are led on, those whose pause process is gone are
    /// ended or begun anew by their policy. To be called once, before anything else.
    public func adopt() async {
        warmUp()
        let directory = "\(node.configuration.dataDirectory)/pods"
        var known: Set<String> = []
        var adoptions: [Task<Void, Never>] = []
        for name in (try? listDirectory(directory)) ?? [] {
            guard PodUID(name) != nil else {
                // What a removal that was cut off had moved here (``removeTree(_:)``). Containers wrote it: whatever is
                // in it, it is no pod.
                await node.janitor.remove("\(directory)/\(name)")
                continue
            }
            do {
                let stored = try StoredPod.read(directory: "\(directory)/\(name)")
                let worker = PodWorker(
                    node: node, stored: stored, record: try Self.readRecord(stored, "\(directory)/\(name)"))
                known.insert(name)
                // At the same time, for one pause process that does not answer must not hold up the others.
                adoptions.append(
                    Task {
                        await worker.adopt()
                        add(worker)
                    })
            } catch {
                if fileExists("\(directory)/\(name)/pod.json") {
                    // It may run, and its volumes may be dear to somebody.
                    node.logger.error("pod \(name) cannot be read and is left as it is: \(error)")
                    known.insert(name)
                    continue
                }
                // Cut off while it was made: nothing of it has run.
                node.logger.warning("\(directory)/\(name) holds no pod, removing it: \(error)")
                await node.janitor.remove("\(directory)/\(name)")
            }
        }
        await wait(for: adoptions)
        await clearLeftovers(sparing: known)
    }

    /// Waits until all pods are taken up, but not for ever: one that is stuck is led as soon as it answers.
    private func wait(for adoptions: [Task<Void, Never>]) async {
        let (done, source) = AsyncStream.makeStream(of: Void.self)
        Task {
            for adoption in adoptions { await adoption.value }
            source.finish()
        }
        let alarm = Task {
            try await Task.sleep(for: .seconds(10))
            node.logger.error("a pod's pause process does not answer; the others are led without it")
            source.finish()
        }
        for await _ in done {}
        alarm.cancel()
    }

    /// Compiles the seccomp program that most containers get, beside what else a start has to do.
    private nonisolated func warmUp() {
        let node = self.node
        Task {
            await node.janitor.run {
                _ = try? node.seccomp.program(
                    for: node.configuration.defaultSeccompProfile, capabilities: .containerDefault,
                    directory: node.configuration.seccompDirectory)
            }
        }
    }

    /// A record that is not there or (after a loss of power) not whole makes a new pod; one that cannot be read now is
    /// an error.
    private static func readRecord(_ stored: StoredPod, _ directory: String) throws(SystemError) -> PodRecord {
        var bytes: [UInt8] = []
        do {
            bytes = try readFile("\(directory)/status.json")
        } catch {
            if error.errno != ENOENT { throw error }
        }
        guard let tree = try? JSONValue.parse(bytes) else {
            return PodRecord(pod: stored.pod, createdAt: Moment.now())
        }
        return PodRecord(pod: stored.pod, tree: tree)
    }

    /// What pods that are known no more have left: pause processes, addresses, pins.
    private func clearLeftovers(sparing spared: Set<String>) async {
        let known = Set(workers.withLock { $0.keys.map(\.text) }).union(spared)
        let directory = "\(node.configuration.runDirectory)/pods"
        for name in (try? listDirectory(directory)) ?? [] where !known.contains(name) {
            node.logger.warning("pod \(name) is known no more: ending what is left of it")
            if let stray = try? await Sandbox.adopt(socketDirectory: "\(directory)/\(name)") {
                try? await stray.terminate()
            }
            for volume in (try? listDirectory("\(directory)/\(name)/volumes")) ?? [] {
                try? unmount("\(directory)/\(name)/volumes/\(volume)")
            }
            try? unmount("\(directory)/\(name)/shm")
            await node.janitor.remove("\(directory)/\(name)")
        }
        do {
            await replaceSandboxes(of: try await node.network.reconcile(live: known))
            for owner in try node.images.owners() where !known.contains(owner) { try node.images.unpin(owner: owner) }
        } catch {
            node.logger.warning("cannot clear what earlier pods left: \(error)")
        }
    }

    /// Starts pods anew that have lost their connection, or must have another.
    public func replaceSandboxes(of uids: [String]) async {
        for uid in uids.compactMap(PodUID.init) { await workers.withLock { $0[uid] }?.replaceSandbox() }
    }

    /// Has every pod's interface brought to what the node's settings are now (``PodConnector/refresh(uid:_:)``).
    public func refreshNetworks() async {
        for worker in workers.withLock({ Array($0.values) }) { await worker.refreshNetwork() }
    }

    /// Takes in a pod; returns when it is on disk and its worker works, before its containers run. `tree` is the
    /// manifest after defaulting. Without `uid` it gets a random one. Errors: `alreadyExists` for a namespace and name
    /// (or uid) that is taken, `conflict` for a host port, `invalid` for what this node refuses.
    @discardableResult
    public func create(_ pod: Pod, tree: JSONValue, uid: PodUID? = nil, source: PodSource) throws(PodError) -> PodUID {
        try take(pod, tree: tree, uid: uid, source: source, fetched: [:])
    }

    private func take(
        _ pod: Pod, tree: JSONValue, uid: PodUID?, source: PodSource, fetched: [String: Image]
    ) throws(PodError) -> PodUID {
        try check(pod)
        let stored = StoredPod(uid: uid ?? PodUID(), pod: pod, tree: tree, source: source)
        let record = PodRecord(pod: pod, createdAt: Moment.now())
        let directory = "\(node.configuration.dataDirectory)/pods/\(stored.uid)"
        guard workers.withLock({ $0[stored.uid] }) == nil else {
            throw PodError(.alreadyExists, "a pod with uid \(stored.uid) exists already")
        }
        guard !fileExists("\(directory)/pod.json") else {
            throw PodError(.alreadyExists, "\(directory) holds a pod that cannot be read")
        }
        do {
            try makeDirectories(directory, mode: 0o700)
            try writeFileAtomically("\(directory)/status.json", record.tree.encoded(), mode: 0o600)
            // pod.json makes it a pod: it goes last.
            try writeFileAtomically("\(directory)/pod.json", stored.file.encoded(), mode: 0o600)
        } catch {
            try? removeTree(directory)
            throw PodError(.internalError, "cannot keep pod \(pod.metadata.name): \(error)")
        }
        add(PodWorker(node: node, stored: stored, record: record, fetched: fetched))
        node.changes.notify()
        return stored.uid
    }

    /// Pulls the pod's images, takes it in and waits until each of its containers runs, has ended, or cannot run. A
    /// failure before it is taken in leaves nothing behind; after that the pod stays, to be looked at and removed.
    public func run(
        _ pod: Pod, tree: JSONValue, source: PodSource,
        progress: @escaping @Sendable (String, PullProgress) -> Void
    ) async throws(PodError) -> PodUID {
        try check(pod)
        var fetched: [String: Image] = [:]
        for container in pod.spec.initContainers + pod.spec.containers where fetched[container.image] == nil {
            do {
                let policy = container.imagePullPolicy
                fetched[container.image] = try await node.images.obtain(
                    container.image, policy: policy, registriesFile: node.configuration.registriesFile
                ) { event in
                    progress(container.image, event)
                }
            } catch {
                let reason = error.description(of: container.image)
                throw PodError(.image, "pod \(pod.metadata.name): container \(container.name): \(reason)")
            }
        }
        let uid = try take(pod, tree: tree, uid: nil, source: source, fetched: fetched)
        for await _ in node.changes.streamBeginningNow() {
            guard let snapshot = snapshot(uid) else {
                throw PodError(.notFound, "pod \(pod.metadata.name) was removed")
            }
            if let failure = snapshot.failure {
                throw PodError(.notRunning, "pod \(pod.metadata.name): \(failure)")
            }
            if snapshot.hasBegun { break }
        }
        return uid
    }

    /// Refuses what could never run here, before anything is made.
    private func check(_ pod: Pod) throws(PodError) {
        let others = snapshots()
        if others.contains(where: { $0.namespace == pod.metadata.namespace && $0.name == pod.metadata.name }) {
            throw PodError(
                .alreadyExists, "pod \(pod.metadata.namespace)/\(pod.metadata.name) exists already; remove it first")
        }
        _ = try PodConnectionRequest(pod, uid: PodUID())
        try SysctlPolicy.check(pod.spec, allowedUnsafe: node.configuration.allowedUnsafeSysctls)
        for port in pod.spec.hostPorts {
            for other in others where !other.isEnded {
                if let taken = other.pod.spec.hostPorts.first(where: { $0.conflicts(with: port) }) {
                    throw PodError(
                        .conflict,
                        "pod \(pod.metadata.name): host port \(port) is taken by pod \(other.namespace)/\(other.name)"
                            + (taken == port ? "" : " (\(taken))"))
                }
            }
        }
    }

    private func add(_ worker: PodWorker) {
        let uid = worker.stored.uid
        workers.withLock { $0[uid] = worker }
        ends[uid] = Task {
            await worker.run()
            await self.forget(worker)
        }
        worker.wake()
    }

    private func forget(_ worker: PodWorker) async {
        ends[worker.stored.uid] = nil
        guard await !worker.isLetGo else { return }
        workers.withLock { _ = $0.removeValue(forKey: worker.stored.uid) }
        node.changes.notify()
    }

    // MARK: - Letting go

    /// Stops a pod and keeps it listed; returns when nothing of it runs. `grace` in seconds, nil for the pod's own.
    public func stop(_ uid: PodUID, grace: Int64?) async throws(PodError) {
        let worker = try worker(uid)
        await worker.requestStop(.stopped, grace: grace)
        for await _ in node.changes.streamBeginningNow() {
            if await worker.isSettled { return }
        }
    }

    /// Stops a pod where it runs and removes it; returns when nothing is left. `grace` in seconds, nil for the pod's own.
    public func remove(_ uid: PodUID, grace: Int64?) async throws(PodError) {
        let worker = try worker(uid)
        let end = ends[uid]
        await worker.requestStop(.removed, grace: grace)
        await end?.value
    }

    /// The agent quits: pods go on without it.
    public func detach() async {
        for worker in workers.withLock({ Array($0.values) }) { await worker.detach() }
    }

    // MARK: - Looking

    public nonisolated func snapshots() -> [PodSnapshot] {
        workers.withLock { Array($0.values) }.map(\.snapshot).sorted {
            ($0.namespace, $0.name) < ($1.namespace, $1.name)
        }
    }

    public nonisolated func snapshot(_ uid: PodUID) -> PodSnapshot? { workers.withLock { $0[uid] }?.snapshot }

    /// The pod that a person names: `name`, `namespace/name`, a uid or the beginning of one.
    public nonisolated func find(_ text: String) throws(PodError) -> PodUID {
        let all = snapshots()
        if let exact = all.first(where: { $0.uid.text == text || "\($0.namespace)/\($0.name)" == text }) {
            return exact.uid
        }
        let named = all.filter { $0.name == text }
        if named.count == 1 { return named[0].uid }
        if named.count > 1 {
            let names = named.map { "\($0.namespace)/\($0.name)" }.joined(separator: ", ")
            throw PodError(.invalid, "pod \(text) is ambiguous: \(names)")
        }
        let begun = all.filter { text.utf8.count >= 4 && $0.uid.text.hasPrefix(text) }
        if begun.count == 1 { return begun[0].uid }
        throw PodError(.notFound, "there is no pod \(text)\(begun.isEmpty ? "" : " (several uids begin so)")")
    }

    /// Yields when any pod has changed; many changes in a row come as one.
    public nonisolated func changes() -> AsyncStream<Void> { node.changes.stream() }

    /// Waits until the pod has ended or is gone: its last phase.
    public func waitUntilEnded(_ uid: PodUID) async -> String {
        var last = "Succeeded"
        for await _ in node.changes.streamBeginningNow() {
            guard let snapshot = snapshot(uid) else { break }
            last = snapshot.phase
            if snapshot.isEnded { break }
        }
        return last
    }

    // MARK: - Acting in a pod

    /// Starts a command in a running container, by default the first app container. Errors `commandNotFound` and
    /// `commandNotExecutable` stand for a shell's 127 and 126.
    public func exec(
        _ uid: PodUID, container: String?, command: [String], terminal: TerminalSize?, streams: StandardStreams
    ) async throws(PodError) -> ExecProcess {
        try await worker(uid).exec(container: container, command: command, terminal: terminal, streams: streams)
    }

    /// What the pod's containers use now.
    public func statistics(_ uid: PodUID) async throws(PodError) -> PodStatistics { try await worker(uid).statistics() }

    private nonisolated func worker(_ uid: PodUID) throws(PodError) -> PodWorker {
        guard let worker = workers.withLock({ $0[uid] }) else { throw PodError(.notFound, "there is no pod \(uid)") }
        return worker
    }
}
