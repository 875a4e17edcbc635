// Cgroups: control groups of version 2 and version 1 behind one interface (man 7 cgroups,
// Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/). One file per controller; everything below a hierarchy's mount
// point is reached by descriptor, never through `..`, a symbolic link or another mount.
import Linux

/// A part of the kernel that limits or counts, under the name that the kernel gives it.
public enum Controller: String, Sendable, Hashable, CaseIterable {
    case cpu
    /// Version 1 only; version 2 counts time in every cgroup.
    case cpuacct
    case cpuset
    case memory
    case pids
    /// Version 1 only; version 2 freezes every cgroup by `cgroup.freeze`.
    case freezer
    /// Version 1 only; version 2 attaches a BPF program instead.
    case devices
}

/// Why something with cgroups did not work.
public enum CgroupError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No cgroup file system is mounted at or below this path.
    case notMounted(String)
    /// A directory where a hierarchy was expected is on another file system.
    case notACgroupFileSystem(String)
    /// A path with empty, `.` or `..` components, a NUL, or a component over 255 bytes.
    case invalidPath(String)
    /// A limit needs a controller that no hierarchy offers to this cgroup.
    case controllerMissing(Controller, cgroup: String)
    /// The version of the controller that this host mounts has no such setting.
    case unsupported(setting: String, cgroup: String)
    /// A value outside of the range that the documentation of the setting gives.
    case outOfRange(setting: String, value: Int64)
    /// Processes that do not go away: those found at the end of the wait.
    case notEmpty(cgroup: String, processes: [pid_t])
    /// A control file did not contain what its documentation says.
    case malformed(file: String)
    /// A system call failed.
    case system(SystemError)

    public var description: String {
        switch self {
        case .notMounted(let path): "no cgroup file system is mounted at \(path) or below"
        case .notACgroupFileSystem(let path): "\(path) is not on a cgroup file system"
        case .invalidPath(let path): "\"\(path)\" is not a path of a cgroup"
        case .controllerMissing(let controller, let cgroup):
            "cgroup \(cgroup): the \(controller.rawValue) controller is not available"
        case .unsupported(let setting, let cgroup): "cgroup \(cgroup): this host's cgroups have no \(setting)"
        case .outOfRange(let setting, let value): "\(setting) \(value) is out of range"
        case .notEmpty(let cgroup, let processes):
            "cgroup \(cgroup) still has processes: \(processes.map(String.init).joined(separator: " "))"
        case .malformed(let file): "\(file) has an unexpected form"
        case .system(let error): error.description
        }
    }

    /// The error number, where a system call failed.
    public var errno: Int32? {
        if case .system(let error) = self { error.errno } else { nil }
    }
}
