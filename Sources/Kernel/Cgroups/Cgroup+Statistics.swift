import Linux

extension Cgroup {
    /// What the cgroup and those below have used. A number whose controller this host lacks is nil.
    public func statistics() throws(CgroupError) -> CgroupStatistics {
        var statistics = CgroupStatistics()
        if let hierarchy = system.hierarchy(of: .cpuacct) ?? system.unified {
            statistics.cpuNanoseconds = try CPUController.nanoseconds(try existing(in: hierarchy), hierarchy.version)
        }
        if let hierarchy = system.hierarchy(of: .memory) {
            let (current, workingSet) = try MemoryController.usage(try existing(in: hierarchy), hierarchy.version)
            statistics.memoryBytes = current
            statistics.memoryWorkingSetBytes = workingSet
        }
        if let hierarchy = system.hierarchy(of: .pids) {
            statistics.pids = UInt64(clamping: try existing(in: hierarchy).readNumber("pids.current"))
        }
        return statistics
    }

    /// How many processes of the cgroup the kernel has killed for want of memory since it was made. Version 2 counts those
    /// of the cgroups below as well.
    ///
    /// - Throws: ``CgroupError/controllerMissing(_:cgroup:)`` without the memory controller.
    public func oomKills() throws(CgroupError) -> UInt64 {
        guard let hierarchy = system.hierarchy(of: .memory) else {
            throw .controllerMissing(.memory, cgroup: path)
        }
        return try MemoryController.oomKills(try existing(in: hierarchy), hierarchy.version)
    }

    /// The processes of the cgroup and those below, in every hierarchy, sorted. 0 stands for a process that this PID
    /// namespace cannot name.
    public func processes() throws(CgroupError) -> [pid_t] {
        var pids: Set<pid_t> = []
        for hierarchy in system.hierarchies {
            if let directory = try directory(in: hierarchy) { try collectProcesses(directory, into: &pids) }
        }
        return pids.sorted()
    }

    func collectProcesses(
        _ directory: borrowing CgroupDirectory, into pids: inout Set<pid_t>
    ) throws(CgroupError) {
        // ENOENT and ENODEV: it was removed just now, and was empty then.
        for line in (try directory.readIfPresent("cgroup.procs") ?? "").split(separator: "\n") {
            guard let pid = pid_t(line) else { throw .malformed(file: "\(directory.name)/cgroup.procs") }
            pids.insert(pid)
        }
        for name in try directory.children() {
            if let child = try directory.child(name) { try collectProcesses(child, into: &pids) }
        }
    }
}
