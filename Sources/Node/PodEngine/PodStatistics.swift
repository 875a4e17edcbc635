import Cgroups
import Linux

/// What a pod uses, by container (cgroups(7)); counters since the container's start.
public struct PodStatistics: Sendable {
    public let containers: [(name: String, statistics: CgroupStatistics)]
    /// All of the pod, its pause process included.
    public let total: CgroupStatistics
    /// When the counters were read.
    public let at: Moment
}

extension PodWorker {
    func statistics() throws(PodError) -> PodStatistics {
        do {
            var containers: [(name: String, statistics: CgroupStatistics)] = []
            for container in record.containers where container.state.isRunning {
                containers.append((container.name, try node.cgroup(stored, container.cgroup).statistics()))
            }
            guard sandbox != nil else { throw PodError(.notRunning, "pod \(stored.pod.metadata.name) is not running") }
            return PodStatistics(
                containers: containers, total: try node.cgroup(stored).statistics(), at: Moment.now())
        } catch let error as PodError {
            throw error
        } catch {
            throw PodError(.internalError, "\(error)")
        }
    }
}
