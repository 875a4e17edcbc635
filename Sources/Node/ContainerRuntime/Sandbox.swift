import CLinux
import CPodinit
import Glibc
import Linux
import Synchronization

/// A pod's running podinit, and through it the pod's containers.
///
/// It lives until ``terminate()``, not until this value goes away: dropping a `Sandbox` only closes the connection, and
/// ``adopt(socketDirectory:)`` finds the same containers again.
public final class Sandbox: Sendable {
    /// podinit's process in the PID namespace of this process.
    public let pid: pid_t
    /// What could not be applied and was not fatal.
    public let notes: LaunchNotes
    /// What happens to the containers. One consumer. Ends after ``SandboxEvent/gone``.
    public let events: AsyncStream<SandboxEvent>
    let connection: PodinitConnection

    init(pid: pid_t, notes: LaunchNotes, connection: PodinitConnection) {
        self.pid = pid
        self.notes = notes
        self.connection = connection
        self.events = connection.events
    }

    /// Starts a podinit for `plan`, listening at `<socketDirectory>/podinit.sock` (replaced if it is there).
    public static func launch(
        _ plan: SandboxPlan, socketDirectory: String, program: PodinitProgram
    ) async throws(LaunchError) -> Sandbox { fatalError() }

    /// Connects to the podinit that listens at `<socketDirectory>/podinit.sock`.
    /// Throws an error with ``LaunchError/isSandboxGone`` if there is none.
    public static func adopt(socketDirectory: String) async throws(LaunchError) -> Sandbox { fatalError() }

    /// The sandbox's network namespace, and an rtnetlink socket (AF_NETLINK, NETLINK_ROUTE) opened inside it: whoever
    /// configures the network needs no setns(2). A new socket at each call.
    public func network() async throws(LaunchError) -> SandboxNetwork { fatalError() }

    /// Every container attempt that was started and not forgotten.
    public func status() async throws(LaunchError) -> [ContainerStatus] { fatalError() }

    /// Starts a container; returns when its command was executed (execve(2) succeeded).
    @discardableResult
    public func start(_ plan: ContainerPlan) async throws(LaunchError) -> StartedContainer { fatalError() }

    /// Starts another process in the running container `name`, as a child of podinit.
    public func exec(in name: String, _ plan: ExecPlan) async throws(LaunchError) -> ExecProcess { fatalError() }

    /// Sends `signal` to the main process of the running container `name`.
    public func signal(_ name: String, _ signal: Int32) async throws(LaunchError) { fatalError() }

    /// Sets the size of the container's terminal.
    public func resize(_ name: String, _ size: TerminalSize) async throws(LaunchError) { fatalError() }

    /// Drops the record of a stopped attempt, in podinit and in the exits directory.
    public func forget(_ name: String, attempt: UInt32) async throws(LaunchError) { fatalError() }

    /// Kills every process of the sandbox (SIGKILL), waits for their end and for podinit's own. A sandbox that is gone
    /// already is success.
    public func terminate() async throws(LaunchError) { fatalError() }
}

/// Descriptors of the pod's network.
public struct SandboxNetwork: ~Copyable, Sendable {
    /// The network namespace, for setns(2) or `IFLA_NET_NS_FD`.
    public let namespace: OwnedDescriptor
    /// An rtnetlink socket inside it.
    public let routeSocket: OwnedDescriptor
}

/// What could not be applied and was not fatal.
public struct LaunchNotes: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// `oom_score_adj` could not be lowered: CAP_SYS_RESOURCE is missing.
    public static let oomScoreRefused = LaunchNotes(rawValue: PI_NOTE_OOM_SCORE.rawValue)
}

/// A container that was started.
public struct StartedContainer: Sendable, Hashable {
    /// In the PID namespace podinit was launched in.
    public let pid: pid_t
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    public let notes: LaunchNotes
}

/// How a process ended.
public struct ExitStatus: Sendable, Hashable {
    /// What it gave to exit(2), or 128 + the signal.
    public let code: Int32
    /// The signal that ended it, or 0.
    public let signal: Int32

    public init(code: Int32, signal: Int32) {
        self.code = code
        self.signal = signal
    }
}

/// One attempt of a container as podinit knows it.
public struct ContainerStatus: Sendable, Hashable {
    public let name: String
    public let attempt: UInt32
    public let state: State
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    /// Log lines that could not be written (disk full).
    public let droppedLogLines: UInt32

    public enum State: Sendable, Hashable {
        case starting
        case running(pid: pid_t)
        /// `finishedAt` in nanoseconds since the epoch.
        case exited(ExitStatus, finishedAt: Int64)
    }

    /// The exit, if it has ended.
    public var exit: ExitStatus? { if case .exited(let status, _) = state { status } else { nil } }
}

/// What happens in a sandbox.
public enum SandboxEvent: Sendable, Hashable {
    /// A container's main process ended; its log is complete and its exit is recorded on disk.
    case containerExited(ContainerStatus)
    /// podinit closed the connection. After a podinit that was killed, ``ExitRecord`` tells what it had recorded.
    case gone
}

/// A process started by ``Sandbox/exec(in:_:)``.
public final class ExecProcess: Sendable {
    /// podinit's number for it.
    public let id: UInt64
    public let pid: pid_t
    public let notes: LaunchNotes

    init(id: UInt64, pid: pid_t, notes: LaunchNotes) {
        self.id = id
        self.pid = pid
        self.notes = notes
    }

    /// The terminal's master side if one was asked for; the first call gets it, later ones nil.
    public func takeTerminal() -> OwnedDescriptor? { nil }
    /// Waits for its end; nil if the connection to podinit was lost before.
    public func exitStatus() async -> ExitStatus? { nil }
    public func signal(_ signal: Int32) async throws(LaunchError) { fatalError() }
    public func resize(_ size: TerminalSize) async throws(LaunchError) { fatalError() }
}
final class PodinitConnection: Sendable { let events = AsyncStream<SandboxEvent> { _ in } }
func readBounded(_ fd: Int32, limit: Int) throws(SystemError) -> [UInt8] { [] }
/// The podinit program: found once, copied to a sealed memfd, and started from there for every pod, so that nothing in
/// a container can write to it through `/proc/<pid>/exe` (CVE-2019-5736) and all pods share its pages.
public final class PodinitProgram: Sendable {
    /// `$SWIFTLET_PODINIT`, else `podinit` next to the executable, else `../libexec/swiftlet/podinit` seen from there.
    public static func locate() throws(LaunchError) -> String { fatalError() }
    /// Loads the program at `path`.
    public init(path: String) throws(LaunchError) { fatalError() }
}
/// An exit that podinit wrote into the exits directory.
public struct ExitRecord: Sendable, Hashable {
    public let name: String
    public let attempt: UInt32
    public let status: ExitStatus
    /// Nanoseconds since the epoch.
    public let startedAt: Int64
    public let finishedAt: Int64
    /// Every complete record in `directory`.
    public static func read(directory: String) throws(SystemError) -> [ExitRecord] { [] }
    /// Removes one; success if it is not there.
    public static func remove(directory: String, name: String, attempt: UInt32) throws(SystemError) {}
}
/// Who a container runs as.
public enum UserLookup {
    /// Resolves an image's or command's user string against `/etc/passwd` and `/etc/group` of the root file system.
    /// `root` is the detached mount or any directory descriptor. Grammar: "", "user", "uid", "user:group", "uid:gid".
    public static func resolve(_ user: String, root: Int32) throws(UserLookupError) -> ResolvedUser { fatalError() }
    /// The groups `/etc/group` lists for the user called `name` (for runAsUser with supplementalGroupsPolicy Merge).
    public static func groups(of name: String, root: Int32) throws(UserLookupError) -> [UInt32] { [] }
}
/// The outcome of ``UserLookup``.
public struct ResolvedUser: Sendable, Hashable {
    public var user: ContainerUser
    /// The name in /etc/passwd, if there is one.
    public var name: String?
    /// The home directory in /etc/passwd, else "/".
    public var home: String
}
public enum UserLookupError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not one of the forms.
    case malformed(String)
    case unknownUser(String)
    case unknownGroup(String)
    case system(SystemError)
    public var description: String { "" }
}
/// A container's root file system: image layers under a writable one.
public struct RootFilesystem: ~Copyable, Sendable {
    /// The detached mount, for ``ContainerPlan/root``.
    public let mount: OwnedDescriptor
    /// An overlay (overlayfs, kernel Documentation/filesystems/overlayfs.rst) of `layers`, bottom to top, with the
    /// writable directories `upper` and `work` on one file system. Mounted nowhere until a container attaches it.
    public static func overlay(layers: [String], upper: String, work: String) throws(SystemError) -> RootFilesystem { fatalError() }
    /// A detached copy of the mount at `path`.
    public static func bind(_ path: String) throws(SystemError) -> RootFilesystem { fatalError() }
}
extension Sysctl {
    /// Throws unless `name` is a parameter of a namespace that `plan` makes new.
    static func check(_ plan: SandboxPlan) throws(LaunchError) {}
}
