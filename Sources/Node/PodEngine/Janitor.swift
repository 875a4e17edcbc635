import Cgroups
import Linux
import Logging

/// Removes what ended containers leave, on a thread of its own: deleting a large tree or waiting for a cgroup to become
/// empty must not hold up the pods.
actor Janitor {
    private nonisolated let loop: EventLoop
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(logger: Logger) throws(SystemError) {
        loop = try EventLoop(name: "janitor")
        self.logger = logger
    }

    /// Removes a directory and all in it; a failure is logged, and the next start tries again.
    func remove(_ path: String) {
        do { try removeTree(path) } catch { logger.warning("cannot remove \(path): \(error)") }
    }

    /// Kills what is left in a cgroup and removes it with all below it.
    func remove(_ cgroup: Cgroup) {
        do {
            guard try cgroup.exists() else { return }
            try cgroup.kill()
            try cgroup.remove()
        } catch {
            logger.warning("cannot remove cgroup \(cgroup): \(error)")
        }
    }

    /// Runs `work` after all that was asked for before it.
    func run<Result: Sendable>(_ work: @Sendable () throws -> Result) rethrows -> Result { try work() }
}
