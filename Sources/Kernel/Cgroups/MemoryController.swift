import Linux

/// memory: a limit, what is used, and how often the kernel had to kill (cgroup-v2.rst "Memory", cgroup-v1/memory.rst).
enum MemoryController {
    static func apply(
        _ resources: CgroupResources, to directory: borrowing CgroupDirectory, _ version: Hierarchy.Version,
        cgroup: String
    ) throws(CgroupError) {
        for limit in [resources.memoryLimit, resources.swapLimit] {
            if let limit, limit < -1 { throw .outOfRange(setting: "memory limit", value: limit) }
        }
        switch version {
        case .v1:
            if resources.killTogetherWhenOutOfMemory == true {
                throw .unsupported(setting: "memory.oom.group", cgroup: cgroup)
            }
            try applyLegacy(resources.memoryLimit, swap: resources.swapLimit, to: directory, cgroup: cgroup)
        case .v2:
            func text(_ limit: Int64) -> String { limit == -1 ? "max" : "\(limit)" }
            if let swap = resources.swapLimit {
                guard directory.has("memory.swap.max") else {
                    throw .unsupported(setting: "memory.swap.max", cgroup: cgroup)
                }
                try directory.write("memory.swap.max", text(swap))
            }
            if let limit = resources.memoryLimit { try directory.write("memory.max", text(limit)) }
            if let together = resources.killTogetherWhenOutOfMemory {
                try directory.write("memory.oom.group", together ? "1" : "0")
            }
        }
    }

    /// Version 1 limits memory, and memory and swap together; the second may never be below the first.
    private static func applyLegacy(
        _ limit: Int64?, swap: Int64?, to directory: borrowing CgroupDirectory, cgroup: String
    ) throws(CgroupError) {
        let file = "memory.limit_in_bytes"
        let both = "memory.memsw.limit_in_bytes"
        guard let swap else {
            guard let limit else { return }
            return try directory.write(file, "\(limit)")
        }
        guard directory.has(both) else { throw .unsupported(setting: both, cgroup: cgroup) }
        guard let limit else {
            throw .unsupported(setting: "swap limit without a memory limit (v1)", cgroup: cgroup)
        }
        let (sum, overflow) = limit.addingReportingOverflow(swap)
        let total = limit == -1 || swap == -1 || overflow ? -1 : sum
        do {
            try directory.write(file, "\(limit)")
        } catch .system(let error) where error.errno == EINVAL {
            // Raised above the old sum: that one has to go first.
            try directory.write(both, "\(total)")
            return try directory.write(file, "\(limit)")
        }
        try directory.write(both, "\(total)")
    }

    /// Bytes in use, and those without inactive file pages, which Kubernetes calls the working set.
    static func usage(
        _ directory: borrowing CgroupDirectory, _ version: Hierarchy.Version
    ) throws(CgroupError) -> (current: UInt64, workingSet: UInt64) {
        let current = UInt64(
            clamping: try directory.readNumber(version == .v1 ? "memory.usage_in_bytes" : "memory.current"))
        let key = version == .v1 ? "total_inactive_file" : "inactive_file"
        guard let inactive = CgroupDirectory.value(of: key, in: try directory.read("memory.stat")) else {
            throw .malformed(file: "\(directory.name)/memory.stat")
        }
        return (current, current > inactive ? current - inactive : 0)
    }

    /// How many processes the kernel killed for want of memory. Version 2 counts the cgroups below too, version 1 does not.
    static func oomKills(
        _ directory: borrowing CgroupDirectory, _ version: Hierarchy.Version
    ) throws(CgroupError) -> UInt64 {
        let file = version == .v1 ? "memory.oom_control" : "memory.events"
        guard let kills = CgroupDirectory.value(of: "oom_kill", in: try directory.read(file)) else {
            throw .malformed(file: "\(directory.name)/\(file)")
        }
        return kills
    }
}
