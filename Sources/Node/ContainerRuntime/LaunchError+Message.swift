import Glibc
import Linux

extension LaunchError {
    /// One line that a person can act on; for a command that cannot be executed, the words that Kubernetes users know
    /// from runc: `exec: "nosuch": executable file not found in $PATH`.
    public var description: String {
        let reason = String(cString: strerror(errno))
        if step == .find && errno == ENOENT { return "exec: \"\(subject)\": executable file not found in $PATH" }
        if step == .execute && errno == ENOENT {
            return "exec: \"\(subject)\": stat \(subject): no such file or directory"
        }
        if step == .find || step == .execute { return "exec: \"\(subject)\": \(reason.lowercased())" }
        guard let what = LaunchError.words[step] else { return "step \(step.rawValue) \(subject): \(reason)" }
        return subject.isEmpty ? "\(what): \(reason)" : "\(what) \(subject): \(reason)"
    }

    private static let words: [Step: String] = [
        .plan: "launch plan refused:", .container: "container", .clone: "clone3", .cgroup: "joining cgroup",
        .namespace: "namespace", .hostname: "setting host name", .sysctl: "sysctl", .oomScore: "oom_score_adj of",
        .root: "root file system:", .mount: "mounting", .device: "making device", .mask: "masking",
        .readOnly: "making read-only", .pivot: "changing root:", .directory: "working directory",
        .resourceLimit: "setrlimit", .terminal: "terminal", .standardStreams: "standard streams:", .user: "user:",
        .capability: "capability", .noNewPrivileges: "no_new_privs:", .seccomp: "seccomp", .log: "log of",
        .session: "session:", .network: "network:", .memory: "out of memory:", .died: "the process died at once:",
        .podinit: "podinit:",
    ]
}
