import Cgroups
import ContainerRuntime
import Glibc
import Images
import Linux
import Logging
import Resources
import Seccomp
import Synchronization

/// What all pods of a node share.
struct NodeContext: Sendable {
    let configuration: PodEngineConfiguration
    let images: ImageStore
    let network: any PodConnector
    let cgroups: CgroupSystem
    let program: PodinitProgram
    let seccomp: SeccompPrograms
    let loop: EventLoop
    let janitor: Janitor
    let mover: CgroupMover
    let changes: ChangeBroadcast
    let logger: Logger
    /// Bytes of memory of the host.
    let memoryCapacity: Int64
    /// The lowest oom_score_adj that this process may set: without CAP_SYS_RESOURCE its own.
    let lowestOOMScore: Int32

    /// A wanted oom_score_adj, raised to what may be set here.
    func permittedOOMScore(_ wanted: Int32) -> Int32 { max(wanted, lowestOOMScore) }

    /// The cgroup of a pod, or of one of its containers.
    func cgroup(_ stored: StoredPod, _ container: String? = nil) throws(CgroupError) -> Cgroup {
        let path = CPUShares.kubernetesPath(
            qualityOfService: stored.pod.spec.cgroupClass, podUID: stored.uid.text, container: container,
            parent: configuration.cgroupParent)
        return try Cgroup(system: cgroups, path: path)
    }

    static func memoryCapacityOfHost() -> Int64 {
        Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The floor that the kernel sets to oom_score_adj (proc_pid_oom_score_adj(5)).
    static func lowestOOMScoreOfProcess() throws(SystemError) -> Int32 {
        if let mine = try? Capabilities.current(), let resource = Capabilities(named: "SYS_RESOURCE"),
            mine.contains(resource)
        {
            return -1000
        }
        let text = try readText("/proc/self/oom_score_adj")
        return Int32(text.split(separator: "\n").first ?? "0") ?? 0
    }
}

/// Tells any number of listeners that something changed; many changes in a row come as one.
public final class ChangeBroadcast: Sendable {
    private let listeners = Mutex<[UInt64: AsyncStream<Void>.Continuation]>([:])
    private let next = Atomic<UInt64>(0)

    func notify() {
        for listener in listeners.withLock({ Array($0.values) }) { listener.yield() }
    }

    func stream() -> AsyncStream<Void> {
        let (stream, source) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = next.add(1, ordering: .relaxed).newValue
        listeners.withLock { $0[id] = source }
        source.onTermination = { [weak self] _ in
            self?.listeners.withLock { _ = $0.removeValue(forKey: id) }
        }
        return stream
    }
}
