import Linux

/// cpu: shares of processor time and a ceiling (cgroup-v2.rst "CPU", scheduler/sched-bwc.rst).
enum CPUController {
    static func apply(
        _ resources: CgroupResources, to directory: borrowing CgroupDirectory, _ version: Hierarchy.Version
    ) throws(CgroupError) {
        if let shares = resources.cpuShares {
            guard CPUShares.range.contains(shares) else {
                throw .outOfRange(setting: "cpu.shares", value: Int64(clamping: shares))
            }
            switch version {
            case .v1: try directory.write("cpu.shares", "\(shares)")
            case .v2: try directory.write("cpu.weight", "\(CPUShares.weight(shares: shares))")
            }
        }
        if let quota = resources.cpuQuota, quota != -1, quota < CPUShares.minimumQuota {
            throw .outOfRange(setting: "cpu quota", value: quota)
        }
        if let period = resources.cpuPeriod, !(1_000...1_000_000).contains(period) {
            throw .outOfRange(setting: "cpu period", value: Int64(clamping: period))
        }
        switch version {
        case .v1: try applyBandwidth(resources.cpuQuota, resources.cpuPeriod, to: directory)
        case .v2:
            guard resources.cpuQuota != nil || resources.cpuPeriod != nil else { return }
            let old = try directory.read("cpu.max").split(whereSeparator: \.isWhitespace)
            guard old.count == 2 else { throw .malformed(file: "\(directory.name)/cpu.max") }
            let quota = resources.cpuQuota.map { $0 == -1 ? "max" : "\($0)" } ?? String(old[0])
            try directory.write("cpu.max", "\(quota) \(resources.cpuPeriod.map { "\($0)" } ?? String(old[1]))")
        }
    }

    /// Version 1 checks quota/period against the parent and the children at each of the two writes. Whichever order passes
    /// through an allowed ratio is right, so try one and then the other.
    private static func applyBandwidth(
        _ quota: Int64?, _ period: UInt64?, to directory: borrowing CgroupDirectory
    ) throws(CgroupError) {
        if let period {
            do {
                try directory.write("cpu.cfs_period_us", "\(period)")
            } catch .system(let error) where error.errno == EINVAL && quota != nil {
                try directory.write("cpu.cfs_quota_us", "\(quota ?? -1)")
                try directory.write("cpu.cfs_period_us", "\(period)")
                return
            }
        }
        if let quota { try directory.write("cpu.cfs_quota_us", "\(quota)") }
    }

    /// Processor time in nanoseconds. Version 2 counts it in every cgroup, also without the controller.
    static func nanoseconds(_ directory: borrowing CgroupDirectory, _ version: Hierarchy.Version) throws(CgroupError)
        -> UInt64
    {
        switch version {
        case .v1: return UInt64(clamping: try directory.readNumber("cpuacct.usage"))
        case .v2:
            let text = try directory.read("cpu.stat")
            guard let microseconds = CgroupDirectory.value(of: "usage_usec", in: text) else {
                throw .malformed(file: "\(directory.name)/cpu.stat")
            }
            return microseconds * 1000
        }
    }
}
