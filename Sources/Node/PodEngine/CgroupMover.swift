import Cgroups
import Glibc
import Linux

/// Moves processes into cgroups on a thread of its own, since the kernel may take its time over it.
actor CgroupMover {
    private nonisolated let loop: EventLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init() throws(SystemError) { loop = try EventLoop(name: "cgroups") }

    func add(_ process: pid_t, to cgroup: Cgroup) throws(CgroupError) { try cgroup.add(process) }
}
