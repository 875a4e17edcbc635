import Cgroups
import Linux

/// What a process in a container is: the part that a container's main process and an exec have in common.
public struct ProcessPlan: Sendable {
    /// The command and its arguments; a command without `/` is looked up in the container's `$PATH`.
    public var arguments: [String]
    /// `NAME=value` strings.
    public var environment: [String] = []
    /// Absolute path inside the container; made if missing, as runc does.
    public var workingDirectory = "/"
    public var user = ContainerUser()
    public var capabilities = CapabilitySets()
    public var noNewPrivileges = false
    /// A BPF program, an array of `struct sock_filter` as bytes; nil leaves system calls unfiltered.
    public var seccompProgram: [UInt8]?
    /// `oom_score_adj`, -1000 ... 1000; nil leaves podinit's own.
    public var oomScoreAdjustment: Int32?
    public var resourceLimits: [ResourceLimit] = []
    /// The file mode creation mask, 0 ... 0o777.
    public var umask: UInt32 = 0o022
    /// A terminal on 0, 1 and 2, allocated on the container's own devpts; nil: pipes or descriptors.
    public var terminal: TerminalSize?
    /// Descriptors of the `cgroup.procs` files the process joins by writing "0", one for each hierarchy.
    public var cgroupProcesses: [Int32] = []
    /// The open directory of a cgroup of version 2 in which the process is born (CLONE_INTO_CGROUP): cheaper than
    /// joining. For a container's main process only.
    public var cgroupDirectory: Int32?

    public init(arguments: [String]) { self.arguments = arguments }

    /// Puts a container's main process into a cgroup in the quickest way there is. `entrance` must outlive the start.
    public mutating func enter(_ entrance: CgroupEntrance) {
        cgroupDirectory = entrance.directory
        cgroupProcesses = entrance.directory == nil ? entrance.numbers : []
    }
}

/// The numbers a process runs as.
public struct ContainerUser: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups, in any order.
    public var additionalGroups: [UInt32]

    public init(uid: UInt32 = 0, gid: UInt32 = 0, additionalGroups: [UInt32] = []) {
        self.uid = uid
        self.gid = gid
        self.additionalGroups = additionalGroups
    }
}

/// A resource limit, getrlimit(2).
public struct ResourceLimit: Sendable, Hashable {
    /// RLIMIT_NOFILE and so on.
    public var resource: Int32
    public var soft: UInt64
    public var hard: UInt64

    public init(resource: Int32, soft: UInt64, hard: UInt64) {
        self.resource = resource
        self.soft = soft
        self.hard = hard
    }
}

/// The size of a terminal in characters; 0 leaves the kernel's default.
public struct TerminalSize: Sendable, Hashable {
    public var rows: UInt16
    public var columns: UInt16

    public init(rows: UInt16 = 0, columns: UInt16 = 0) {
        self.rows = rows
        self.columns = columns
    }
}

/// A process to start in a running container.
public struct ExecPlan: Sendable {
    public var process: ProcessPlan
    /// Descriptors for 0, 1 and 2 when ``ProcessPlan/terminal`` is nil; nil is `/dev/null`. Borrowed.
    public var standardInput: Int32?
    public var standardOutput: Int32?
    public var standardError: Int32?

    public init(process: ProcessPlan) { self.process = process }
}
