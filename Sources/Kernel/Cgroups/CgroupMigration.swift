import Linux

/// Moving processes between cgroups, as far as it is the same for all of them.
public enum CgroupMigration {
    /// Says that a process will be moved in some milliseconds; returns at once.
    ///
    /// The kernel's first move after a pause waits for an RCU grace period, 10 to 30 ms as measured, until it holds
    /// cgroup_threadgroup_rwsem (kernel/cgroup/cgroup.c, kernel/locking/percpu-rwsem.c); those that follow closely do not.
    /// A move of this very process to where it is, which changes nothing, begins that wait early, on a thread of its own.
    /// Whether it succeeds does not matter.
    public static func expectSoon() {
        guard let own = try? readText("/proc/self/cgroup", limit: 65536), let system = try? CgroupSystem.detect() else {
            return
        }
        for line in own.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, !fields[2].contains("..") else { continue }
            if let hierarchy = system.hierarchies.first(where: { $0.label == fields[1] }) {
                _ = cl_write_detached("\(hierarchy.mountPoint)\(fields[2])/cgroup.procs", "0")
                return
            }
        }
    }
}
