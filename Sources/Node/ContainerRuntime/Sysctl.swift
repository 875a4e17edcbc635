import Glibc

/// A kernel parameter, `sysctl(8)`.
public struct Sysctl: Sendable, Hashable {
    /// The name with dots, such as `net.ipv4.ip_unprivileged_port_start`. If a `/` comes before any dot, slashes
    /// separate the components instead, so that dots may occur in them (`net/ipv4/conf/eth0.1/forwarding`).
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// The file below /proc/sys: as sysctl(8) says, the first separator decides which character separates.
    var path: String {
        guard let first = name.first(where: { $0 == "." || $0 == "/" }), first == "." else { return name }
        return String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
    }

    /// The namespace the parameter belongs to; nil for a parameter of the host.
    var namespace: Namespace? {
        let path = self.path
        if path.hasPrefix("net/") { return .network }
        let ipc = ["kernel/sem", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/shm_rmid_forced"]
        if ipc.contains(path) || path.hasPrefix("kernel/shm") || path.hasPrefix("fs/mqueue/") { return .ipc }
        return nil
    }

    enum Namespace { case network, ipc }
}

extension SandboxPlan {
    /// Refuses parameters that the sandbox would share with the host.
    func checkSysctls() throws(LaunchError) {
        for sysctl in sysctls {
            let own =
                switch sysctl.namespace {
                case .network: newNetwork
                case .ipc: newIPC
                case nil: false
                }
            let dotted = sysctl.path.split(separator: "/", omittingEmptySubsequences: false)
            if !own || dotted.contains("..") || dotted.contains("") {
                throw LaunchError(step: .sysctl, subject: "\(sysctl.name) is not the pod's own", errno: EPERM)
            }
        }
    }
}
