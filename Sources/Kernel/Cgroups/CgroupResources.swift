/// Limits for a cgroup. What is nil stays as it is.
public struct CgroupResources: Sendable, Hashable {
    /// Share of processor time under contention, 2…262144 as in version 1's cpu.shares (default 1024); converted to
    /// cpu.weight on version 2, see ``CPUShares/weight(shares:)``.
    public var cpuShares: UInt64?
    /// Processor time in microseconds per ``cpuPeriod``, at least 1000; -1 lifts the limit.
    public var cpuQuota: Int64?
    /// The period of ``cpuQuota`` in microseconds, 1000…1000000 (kernel default 100000).
    public var cpuPeriod: UInt64?
    /// Processors that may be used, such as `0-3,7`.
    public var cpus: String?
    /// Memory nodes that may be used, such as `0`.
    public var memoryNodes: String?
    /// Memory in bytes, caches included; -1 lifts the limit.
    public var memoryLimit: Int64?
    /// Swap in bytes on top of ``memoryLimit``; -1 lifts the limit. With version 1 it needs ``memoryLimit`` beside it.
    public var swapLimit: Int64?
    /// The kernel's out-of-memory killer ends all processes of the cgroup together. Version 2 only.
    public var killTogetherWhenOutOfMemory: Bool?
    /// The most processes and threads, 0…; -1 lifts the limit.
    public var pidsMax: Int64?
    /// What devices may be made and opened; everything else is refused. Nil leaves devices alone.
    public var devices: [DeviceRule]?

    public init(
        cpuShares: UInt64? = nil, cpuQuota: Int64? = nil, cpuPeriod: UInt64? = nil, cpus: String? = nil,
        memoryNodes: String? = nil, memoryLimit: Int64? = nil, swapLimit: Int64? = nil,
        killTogetherWhenOutOfMemory: Bool? = nil, pidsMax: Int64? = nil, devices: [DeviceRule]? = nil
    ) {
        self.cpuShares = cpuShares
        self.cpuQuota = cpuQuota
        self.cpuPeriod = cpuPeriod
        self.cpus = cpus
        self.memoryNodes = memoryNodes
        self.memoryLimit = memoryLimit
        self.swapLimit = swapLimit
        self.killTogetherWhenOutOfMemory = killTogetherWhenOutOfMemory
        self.pidsMax = pidsMax
        self.devices = devices
    }
}

/// What a cgroup and all cgroups below it have used.
public struct CgroupStatistics: Sendable, Hashable {
    /// Processor time since the cgroup was made, in nanoseconds.
    public var cpuNanoseconds: UInt64?
    /// Memory in bytes, caches included.
    public var memoryBytes: UInt64?
    /// ``memoryBytes`` without file pages that the kernel would drop first, as Kubernetes' working set.
    public var memoryWorkingSetBytes: UInt64?
    /// Processes and threads.
    public var pids: UInt64?

    public init(
        cpuNanoseconds: UInt64? = nil, memoryBytes: UInt64? = nil, memoryWorkingSetBytes: UInt64? = nil,
        pids: UInt64? = nil
    ) {
        self.cpuNanoseconds = cpuNanoseconds
        self.memoryBytes = memoryBytes
        self.memoryWorkingSetBytes = memoryWorkingSetBytes
        self.pids = pids
    }
}
