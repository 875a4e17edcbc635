import CPodinit
import Glibc
import Linux

/// Why a sandbox, container or exec was not started: the step, what it was done to, and errno.
public struct LaunchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was being done.
    public struct Step: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let plan = Step(rawValue: PI_STEP_PLAN.rawValue)
        public static let container = Step(rawValue: PI_STEP_CONTAINER.rawValue)
        public static let clone = Step(rawValue: PI_STEP_CLONE.rawValue)
        public static let cgroup = Step(rawValue: PI_STEP_CGROUP.rawValue)
        public static let namespace = Step(rawValue: PI_STEP_NAMESPACE.rawValue)
        public static let hostname = Step(rawValue: PI_STEP_HOSTNAME.rawValue)
        public static let sysctl = Step(rawValue: PI_STEP_SYSCTL.rawValue)
        public static let oomScore = Step(rawValue: PI_STEP_OOM_SCORE.rawValue)
        public static let root = Step(rawValue: PI_STEP_ROOT.rawValue)
        public static let mount = Step(rawValue: PI_STEP_MOUNT.rawValue)
        public static let device = Step(rawValue: PI_STEP_DEVICE.rawValue)
        public static let mask = Step(rawValue: PI_STEP_MASK.rawValue)
        public static let readOnly = Step(rawValue: PI_STEP_READ_ONLY.rawValue)
        public static let pivot = Step(rawValue: PI_STEP_PIVOT.rawValue)
        public static let directory = Step(rawValue: PI_STEP_DIRECTORY.rawValue)
        public static let resourceLimit = Step(rawValue: PI_STEP_RLIMIT.rawValue)
        public static let terminal = Step(rawValue: PI_STEP_TERMINAL.rawValue)
        public static let standardStreams = Step(rawValue: PI_STEP_STANDARD.rawValue)
        public static let user = Step(rawValue: PI_STEP_USER.rawValue)
        public static let capability = Step(rawValue: PI_STEP_CAPABILITY.rawValue)
        public static let noNewPrivileges = Step(rawValue: PI_STEP_NO_NEW_PRIVILEGES.rawValue)
        public static let seccomp = Step(rawValue: PI_STEP_SECCOMP.rawValue)
        public static let find = Step(rawValue: PI_STEP_FIND.rawValue)
        public static let execute = Step(rawValue: PI_STEP_EXECUTE.rawValue)
        public static let log = Step(rawValue: PI_STEP_LOG.rawValue)
        public static let session = Step(rawValue: PI_STEP_SESSION.rawValue)
        public static let network = Step(rawValue: PI_STEP_NETWORK.rawValue)
        public static let memory = Step(rawValue: PI_STEP_MEMORY.rawValue)
        public static let died = Step(rawValue: PI_STEP_DIED.rawValue)
        /// Talking to podinit, or starting it, failed; the subject names the call. Not a step of podinit's.
        public static let podinit = Step(rawValue: 1000)
    }

    public let step: Step
    /// What the step was done to: a path, a command, a limit. May be empty.
    public let subject: String
    /// errno(3).
    public let errno: Int32

    public init(step: Step, subject: String, errno: Int32) {
        self.step = step
        self.subject = subject
        self.errno = errno
    }

    init(_ error: SystemError) {
        self.init(
            step: .podinit, subject: error.subject.isEmpty ? error.call : "\(error.call) \(error.subject)",
            errno: error.errno)
    }

    /// The command does not exist in the container: Kubernetes' StartError with exit code 128.
    public var isCommandNotFound: Bool { (step == .find || step == .execute) && (errno == ENOENT || errno == ENOTDIR) }
    /// The command exists but cannot be executed: not executable, a directory, or of a wrong format.
    public var isCommandNotExecutable: Bool { (step == .find || step == .execute) && !isCommandNotFound }
    /// podinit is not there (any more): its socket is closed.
    public var isSandboxGone: Bool {
        step == .podinit && [ECONNREFUSED, ECONNRESET, EPIPE, ENOENT, ENOTCONN].contains(errno)
    }
    /// No container, attempt or exec of that name, or it has ended.
    public var isNotRunning: Bool { step == .container && (errno == ENOENT || errno == ESRCH) }
}
