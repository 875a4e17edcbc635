import Glibc
import Linux

/// A set of Linux capabilities, capabilities(7). Bit n of ``rawValue`` is capability n.
public struct Capabilities: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// What an unprivileged container has: containerd's and Docker's fourteen.
    public static let containerDefault: Capabilities = {
        let names = [
            "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
            "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
        ]
        return names.reduce(into: []) { set, name in if let one = Capabilities(named: name) { set.insert(one) } }
    }()

    /// Every capability this kernel's header knows by name.
    public static let known = Capabilities(rawValue: (1 << UInt64(names.count)) - 1)

    /// The capability called `name`, with or without `CAP_`, in any case; nil if there is none of that name.
    public init?(named name: String) {
        var upper = name.uppercased()
        if upper.hasPrefix("CAP_") { upper.removeFirst(4) }
        guard let number = Capabilities.names.firstIndex(of: upper) else { return nil }
        self.init(rawValue: 1 << UInt64(number))
    }

    /// Names with `CAP_`, by number.
    public var names: [String] {
        Capabilities.names.enumerated().filter { rawValue >> UInt64($0.offset) & 1 == 1 }.map { "CAP_" + $0.element }
    }

    /// What this process itself may give: its permitted set that is also in its bounding set. A privileged container
    /// gets exactly this; asking for more fails its start.
    public static func current() throws(SystemError) -> Capabilities {
        let text = try readText("/proc/self/status", limit: 64 << 10)
        var permitted: UInt64 = 0
        var bounding: UInt64 = 0
        for line in text.split(separator: "\n") {
            let hexadecimal = line.drop { $0 != "\t" }.dropFirst()
            if line.hasPrefix("CapPrm:") { permitted = UInt64(hexadecimal, radix: 16) ?? 0 }
            if line.hasPrefix("CapBnd:") { bounding = UInt64(hexadecimal, radix: 16) ?? 0 }
        }
        return Capabilities(rawValue: permitted & bounding)
    }

    /// linux/capability.h, by number.
    private static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]
}

/// The five sets of a process. Inheritable and ambient are empty unless asked for (CVE-2022-29162).
public struct CapabilitySets: Sendable, Hashable {
    public var bounding: Capabilities
    public var permitted: Capabilities
    public var effective: Capabilities
    public var inheritable: Capabilities = []
    public var ambient: Capabilities = []

    /// The same set as bounding, permitted and effective.
    public init(_ capabilities: Capabilities = .containerDefault) {
        bounding = capabilities
        permitted = capabilities
        effective = capabilities
    }
}
