// Makes the pods of the manifest directory what its files say, again and again: at each change of the directory, and at
// each change of the pods.
import Linux
import Logging
import Resources

/// Follows one directory of manifests.
actor ManifestRunner {
    /// What it does to pods; the engine's work, or a test's.
    struct Pods: Sendable {
        var present: @Sendable () async -> [PresentPod]
        /// Takes a pod in; what becomes of its containers is not waited for.
        var create: @Sendable (DesiredPod) async throws -> Void
        /// Stops a pod with its time of grace and removes it; returns when it is gone.
        var remove: @Sendable (_ uid: String) async throws -> Void
    }

    /// Told after each reading: the Services of the files, and which files could not be read, so that theirs are unknown.
    typealias ServicesHandler = @Sendable (_ services: [SourcedService], _ unread: Set<String>) async -> Void

    /// A pod that could not be taken in, and when that is tried again.
    private struct Failure {
        var message: String
        var delay: Int64
        var isWaiting: Bool
    }

    private var directory: ManifestDirectory
    private let pods: Pods
    private let onServices: ServicesHandler
    private let logger: Logger
    private var removing: Set<String> = []
    private var failures: [String: Failure] = [:]
    private var conflicts: Set<String> = []
    private var unreadable = ""
    private var isPlanning = false
    private var planAgain = false

    init(directory: ManifestDirectory, pods: Pods, logger: Logger, onServices: @escaping ServicesHandler) {
        self.directory = directory
        self.pods = pods
        self.logger = logger
        self.onServices = onServices
    }

    /// Reads the directory and does what follows from it.
    func rescan() async {
        do throws(SystemError) {
            for problem in try directory.scan() { logger.error("\(problem)") }
            unreadable = ""
        } catch {
            // Nothing is removed because the directory is not there for a moment.
            if error.description != unreadable { logger.error("\(error); pods and Services stay as they are") }
            unreadable = error.description
            return
        }
        await onServices(directory.services, directory.unread)
        await replan()
    }

    /// Compares what the files said with the pods, and does what follows. Calls while one works become one more.
    func replan() async {
        planAgain = true
        guard !isPlanning else { return }
        isPlanning = true
        defer { isPlanning = false }
        while planAgain {
            planAgain = false
            let plan = ManifestPlan(
                desired: directory.pods, present: await pods.present(), unread: directory.unread)
            report(plan.conflicts)
            let wanted = Set(directory.pods.map(\.uid))
            failures = failures.filter { wanted.contains($0.key) }
            for uid in plan.remove where removing.insert(uid).inserted { Task { await self.remove(uid) } }
            for pod in plan.run where failures[pod.uid]?.isWaiting != true { await create(pod) }
        }
    }

    private func report(_ found: [String]) {
        for line in found where !conflicts.contains(line) { logger.error("\(line)") }
        conflicts = Set(found)
    }

    private func remove(_ uid: String) async {
        do {
            try await pods.remove(uid)
        } catch {
            logger.error("cannot remove pod \(uid): \(error)")
            try? await Task.sleep(for: .seconds(1))
        }
        removing.remove(uid)
        await replan()
    }

    private func create(_ pod: DesiredPod) async {
        do {
            try await pods.create(pod)
            failures[pod.uid] = nil
            logger.info("\(pod.source): pod \(pod.name) taken in")
        } catch {
            let before = failures[pod.uid]
            if before?.message != "\(error)" { logger.error("\(pod.source): \(error)") }
            // As the kubelet retries a static pod: 10 s, doubled up to 5 min.
            let delay = min((before?.delay ?? 5) * 2, 300)
            failures[pod.uid] = Failure(message: "\(error)", delay: delay, isWaiting: true)
            Task {
                try? await Task.sleep(for: .seconds(delay))
                await self.retry(pod.uid)
            }
        }
    }

    private func retry(_ uid: String) async {
        guard failures[uid] != nil else { return }
        failures[uid]?.isWaiting = false
        await replan()
    }
}

/// A Service and the file that asks for it.
struct SourcedService: Sendable, Hashable {
    let service: Service
    let source: String
    /// `namespace/name`
    var name: String { "\(service.metadata.namespace)/\(service.metadata.name)" }
}
