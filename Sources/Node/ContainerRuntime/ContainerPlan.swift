import Linux

/// What a container is. Descriptors are borrowed: the caller keeps them open until ``Sandbox/start(_:)`` returns; a
/// detached mount is used up by it, whether the start succeeds or not.
public struct ContainerPlan: Sendable {
    /// The name inside the pod, a DNS label of at most 63 bytes.
    public var name: String
    /// 0 for the first start, then 1, 2 … Names the log (`<attempt>.log`) and the exit record.
    public var attempt: UInt32
    public var process: ProcessPlan
    /// A detached mount (``RootFilesystem``), never attached in the host's mount namespace.
    public var root: Int32
    public var readOnlyRoot = false
    /// Attached after the standard mounts, in this order; targets are made where they are missing.
    public var mounts: [Mount] = []
    public var pidNamespace = PIDNamespace.own
    public var newCgroupNamespace = true
    /// How `/sys/fs/cgroup` looks inside.
    public var cgroupView = CgroupView.unified
    /// Whether `/sys` and `/sys/fs/cgroup` are writable (privileged containers).
    public var writableSystem = false
    /// Covered by `/dev/null` or an empty read-only directory; missing ones are skipped.
    public var maskedPaths = DefaultPaths.masked
    /// Made read-only; missing ones are skipped.
    public var readOnlyPaths = DefaultPaths.readOnly
    /// Beyond null, zero, full, random, urandom and tty.
    public var devices: [Device] = []
    /// A detached mount for `/dev/shm`, shared by the pod; nil makes a tmpfs of `sharedMemorySize` bytes.
    public var sharedMemory: Int32?
    public var sharedMemorySize: UInt64 = 64 << 20
    /// Where output goes; nil discards it.
    public var log: Log?
    /// What the process reads on 0; nil is `/dev/null`. Not with a terminal.
    public var standardInput: Int32?

    public init(name: String, attempt: UInt32, process: ProcessPlan, root: Int32) {
        self.name = name
        self.attempt = attempt
        self.process = process
        self.root = root
    }

    /// Which PID namespace the container lives in.
    public enum PIDNamespace: Sendable {
        /// A new one, in which the command is process 1.
        case own
        /// podinit's: the pod's shared one if ``SandboxPlan/sharedPID``, else the host's (`hostPID`).
        case sandbox
    }

    /// A detached mount and where it goes.
    public struct Mount: Sendable {
        public enum Kind: Sendable { case directory, file }
        /// A detached mount: open_tree(2) with OPEN_TREE_CLONE, or fsmount(2). A copy is the peer of a shared original
        /// until its propagation is set: what is mounted inside would appear on the host.
        public var descriptor: Int32
        /// Absolute path inside the container.
        public var target: String
        /// What the mount's root is, so that a missing target is made alike.
        public var kind: Kind

        public init(descriptor: Int32, target: String, kind: Kind) {
            self.descriptor = descriptor
            self.target = target
            self.kind = kind
        }
    }

    /// What the container sees at `/sys/fs/cgroup`.
    public enum CgroupView: Sendable {
        /// One cgroup2 mount.
        case unified
        /// One mount for each hierarchy as `/proc/self/cgroup` names them: `memory`, `cpu,cpuacct`, `name=systemd`,
        /// and the empty name for the cgroup2 hierarchy of a hybrid host, which is mounted as `unified`.
        case hierarchies([String])
    }

    /// A device node below `/dev`.
    public struct Device: Sendable, Hashable {
        /// Relative to `/dev`: `fuse`, `net/tun`.
        public var path: String
        public var isBlock: Bool
        public var major: UInt32
        public var minor: UInt32
        /// Permission bits.
        public var mode: UInt32
        public var uid: UInt32
        public var gid: UInt32

        public init(
            path: String, isBlock: Bool, major: UInt32, minor: UInt32, mode: UInt32 = 0o666, uid: UInt32 = 0,
            gid: UInt32 = 0
        ) {
            self.path = path
            self.isBlock = isBlock
            self.major = major
            self.minor = minor
            self.mode = mode
            self.uid = uid
            self.gid = gid
        }
    }

    /// A directory with `<attempt>.log` and its rotated predecessors, in the CRI log format.
    public struct Log: Sendable {
        /// An open directory; O_PATH is not enough.
        public var directory: Int32
        /// Bytes at which the file is renamed to `<attempt>.log.<YYYYMMDD-HHMMSS>` and a new one begun.
        public var maximumSize: UInt64
        /// Most files kept for the attempt, the current one included; at least 1.
        public var maximumFiles: UInt32

        public init(directory: Int32, maximumSize: UInt64 = 10 << 20, maximumFiles: UInt32 = 5) {
            self.directory = directory
            self.maximumSize = maximumSize
            self.maximumFiles = maximumFiles
        }
    }
}

/// What the OCI runtime world hides from unprivileged containers (containerd's and Docker's defaults).
public enum DefaultPaths {
    public static let masked = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
        "/sys/devices/virtual/powercap", "/sys/firmware",
    ]
    public static let readOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
}
