import Linux

/// What a pod's sandbox is: the namespaces that `podinit` holds for all containers of the pod.
///
/// Descriptors are borrowed: the caller keeps them open until ``Sandbox/launch(_:socketDirectory:program:)`` returns.
public struct SandboxPlan: Sendable {
    /// The host name inside the UTS namespace, at most 64 bytes; nil leaves it as it is.
    public var hostname: String?
    /// The NIS domain name inside the UTS namespace, at most 64 bytes; nil leaves it as it is.
    public var domainname: String?
    /// Whether the pod has its own network namespace (false with `hostNetwork`).
    public var newNetwork = true
    /// Whether the pod has its own IPC namespace (false with `hostIPC`).
    public var newIPC = true
    /// Whether the pod has its own UTS namespace (false with `hostNetwork`).
    public var newUTS = true
    /// Whether all containers share one PID namespace (`shareProcessNamespace`). Its process 1 is a child of podinit that
    /// has no rights: containers may see it, and with CAP_SYS_PTRACE take it over.
    public var sharedPID = false
    /// Namespaced kernel parameters to set. A parameter of the host is refused.
    public var sysctls: [Sysctl] = []
    /// podinit's `oom_score_adj`, -1000 ... 1000; nil leaves it as it is.
    public var oomScoreAdjustment: Int32?
    /// Descriptors of the `cgroup.procs` files that podinit joins by writing "0", one for each hierarchy.
    public var cgroupProcesses: [Int32] = []
    /// The open directory where exits are recorded (`<container>.<attempt>`); O_PATH is not enough.
    public var exitsDirectory: Int32

    public init(exitsDirectory: Int32) { self.exitsDirectory = exitsDirectory }
}
