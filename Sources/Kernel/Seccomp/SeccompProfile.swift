// Seccomp: which system calls a program may make, as a value, and compiled to the BPF program that the kernel runs
// (seccomp(2), libseccomp). Profiles have the shape that Docker, containers/common and Kubernetes' Localhost profiles use.
import CSeccomp
import Linux

/// Which system calls a container may make: rules whose action depends on the call and its arguments, and what happens to
/// every other call. Rules may depend on the container's capabilities, the processor and the kernel's version.
public struct SeccompProfile: Sendable, Hashable {
    /// What a call that no rule mentions leads to.
    public var defaultAction: SeccompAction
    /// The processors' calling conventions that programs may use, under libseccomp's names (`x86_64`, `x86`, `aarch64`).
    /// The machine's own is always among them; what is not among them is killed. Empty: see ``subarchitectures``.
    public var architectures: [String]
    /// Where ``architectures`` is empty: the further conventions for the machine's own one, such as x86 beside x86_64.
    public var subarchitectures: [String: [String]]
    /// The rules. All that apply are handed to libseccomp; it decides for the most specific one.
    public var rules: [Rule]

    public init(
        defaultAction: SeccompAction, architectures: [String] = [], subarchitectures: [String: [String]] = [:],
        rules: [Rule] = []
    ) {
        self.defaultAction = defaultAction
        self.architectures = architectures
        self.subarchitectures = subarchitectures
        self.rules = rules
    }

    /// An action for some system calls.
    public struct Rule: Sendable, Hashable {
        /// System calls by name. Names that libseccomp does not know are skipped.
        public var names: [String]
        public var action: SeccompAction
        /// All must hold; but several on the same argument are alternatives (as in runc and Docker).
        public var arguments: [Argument]
        /// The rule counts only where all of this holds.
        public var includes: Condition
        /// The rule does not count where any of this holds.
        public var excludes: Condition

        public init(
            _ names: [String], _ action: SeccompAction, arguments: [Argument] = [], includes: Condition = Condition(),
            excludes: Condition = Condition()
        ) {
            self.names = names
            self.action = action
            self.arguments = arguments
            self.includes = includes
            self.excludes = excludes
        }
    }

    /// A comparison of one argument of a system call.
    public struct Argument: Sendable, Hashable {
        public enum Comparison: Sendable, Hashable {
            case notEqual, less, lessOrEqual, equal, greaterOrEqual, greater
            /// `argument & value == valueTwo`
            case maskedEqual
        }
        /// 0…5
        public var index: UInt32
        public var comparison: Comparison
        public var value: UInt64
        /// What is left after the mask, for ``Comparison/maskedEqual``.
        public var valueTwo: UInt64

        public init(_ index: UInt32, _ comparison: Comparison, _ value: UInt64, valueTwo: UInt64 = 0) {
            self.index = index
            self.comparison = comparison
            self.value = value
            self.valueTwo = valueTwo
        }
    }

    /// Something about the container or the host.
    public struct Condition: Sendable, Hashable {
        /// Such as `CAP_SYS_ADMIN`.
        public var capabilities: [String]
        /// Go's names of processors, as these profiles use them: `amd64`, `arm64`.
        public var architectures: [String]
        public var minimumKernel: KernelVersion?

        public init(
            capabilities: [String] = [], architectures: [String] = [], minimumKernel: KernelVersion? = nil
        ) {
            self.capabilities = capabilities
            self.architectures = architectures
            self.minimumKernel = minimumKernel
        }
    }
}

/// What the kernel does with a system call (seccomp(2), SECCOMP_RET_*).
public enum SeccompAction: Sendable, Hashable {
    case allow
    /// The call is made and logged.
    case log
    /// The call is not made and fails with this number, 0…4095 (EPERM where a profile names none).
    case errno(UInt16)
    /// The call is not made; the thread gets SIGSYS.
    case trap
    case killThread
    case killProcess
    /// A tracer decides; without one the call fails with ENOSYS.
    case trace(UInt16)

    /// The value that a BPF program returns.
    var returnValue: UInt32 {
        switch self {
        case .allow: 0x7fff_0000
        case .log: 0x7ffc_0000
        case .errno(let number): 0x0005_0000 | UInt32(number)
        case .trap: 0x0003_0000
        case .killThread: 0x0000_0000
        case .killProcess: 0x8000_0000
        case .trace(let message): 0x7ff0_0000 | UInt32(message)
        }
    }
}

/// Major and minor number of a kernel, such as 6.1.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var major: Int
    public var minor: Int

    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads `6.1`, or the release of uname(2), such as `6.1.0-38-amd64`.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let major = Int(parts[0]),
            let minor = Int(parts[1].prefix { $0.isASCII && $0.isNumber })
        else { return nil }
        self.init(major, minor)
    }

    /// The running kernel's.
    public static func running() -> KernelVersion? {
        var name = utsname()
        guard uname(&name) == 0 else { return nil }
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return KernelVersion(release)
    }

    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
    public var description: String { "\(major).\(minor)" }
}

/// Why a profile could not be compiled.
public enum SeccompError: Error, Hashable, Sendable, CustomStringConvertible {
    /// libseccomp does not know this calling convention.
    case unknownArchitecture(String)
    /// An argument that no system call has (0…5 are there).
    case argumentOutOfRange(UInt32)
    /// An error number over 4095, which the kernel would cut off.
    case errnoOutOfRange(UInt16)
    /// libseccomp refused the rule for this system call.
    case ruleRefused(name: String, errno: Int32)
    /// The program is longer than the kernel takes (4096 instructions).
    case tooLong(instructions: Int)
    /// A function of libseccomp or a system call failed.
    case system(SystemError)

    public var description: String {
        switch self {
        case .unknownArchitecture(let name): "seccomp: unknown architecture \"\(name)\""
        case .argumentOutOfRange(let index): "seccomp: a system call has no argument \(index)"
        case .errnoOutOfRange(let number): "seccomp: error number \(number) is over 4095"
        case .ruleRefused(let name, let number):
            "seccomp: the rule for \(name) was refused: \(String(cString: strerror(number)))"
        case .tooLong(let count): "seccomp: the profile needs \(count) instructions, the kernel takes 4096"
        case .system(let error): error.description
        }
    }
}
