// The security contexts of pods and containers from a tree.

import JSONTree

extension PodSecurityContext {
    init(_ reader: FieldReader) {
        self.init()
        runAsUser = reader.integer("runAsUser", check: NameRules.userID)
        runAsGroup = reader.integer("runAsGroup", check: NameRules.userID)
        runAsNonRoot = reader.boolean("runAsNonRoot")
        fsGroup = reader.integer("fsGroup", check: NameRules.userID)
        fsGroupChangePolicy = reader.choice("fsGroupChangePolicy")
        supplementalGroupsPolicy = reader.choice("supplementalGroupsPolicy", .merge)
        supplementalGroups = reader.integers("supplementalGroups")
        for (index, group) in supplementalGroups.enumerated() {
            for message in NameRules.userID(group) {
                reader.add(.invalid(reader.path.field("supplementalGroups").index(index), .integer(group), message))
            }
        }
        seccompProfile = reader.seccompProfile()
        sysctls = reader.readers("sysctls").map { Sysctl($0) }
    }
}

extension PodSecurityContext.Sysctl {
    init(_ reader: FieldReader) {
        let name = reader.required("name")
        let value = reader.string("value") ?? ""
        self.init(name: name, value: value)
        guard !name.isEmpty else { return }
        let faults = NameRules.sysctl(name)
        reader.invalid("name", .string(name), faults)
        if faults.isEmpty, !isNamespaced {
            reader.add(
                .forbidden(reader.path.field("name"), "\(name) is not namespaced: it would change the whole host"))
        }
    }

    /// The name with its parts joined by dots, as `kernel.sem` (`net/ipv4/conf/eth0.1/…` has dots inside of parts).
    var dotted: String {
        guard let separator = name.first(where: { $0 == "." || $0 == "/" }), separator == "/" else { return name }
        return String(name.map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    }

    var isNetwork: Bool { dotted.hasPrefix("net.") }

    /// man 7 ipc_namespaces: what belongs to an IPC namespace.
    var isIPC: Bool {
        let name = dotted
        return name.hasPrefix("kernel.shm") || name.hasPrefix("kernel.msg") || name == "kernel.sem"
            || name.hasPrefix("fs.mqueue.")
    }

    var isNamespaced: Bool { isNetwork || isIPC }
}

extension SecurityContext {
    init(_ reader: FieldReader) {
        self.init()
        runAsUser = reader.integer("runAsUser", check: NameRules.userID)
        runAsGroup = reader.integer("runAsGroup", check: NameRules.userID)
        runAsNonRoot = reader.boolean("runAsNonRoot")
        privileged = reader.boolean("privileged") ?? false
        readOnlyRootFilesystem = reader.boolean("readOnlyRootFilesystem") ?? false
        allowPrivilegeEscalation = reader.boolean("allowPrivilegeEscalation")
        procMount = reader.choice("procMount", .default)
        seccompProfile = reader.seccompProfile()
        if let capabilities = reader.reader("capabilities") {
            capabilitiesAdd = capabilities.capabilities("add")
            capabilitiesDrop = capabilities.capabilities("drop")
        }
        if allowPrivilegeEscalation == false {
            let parent = JSONPath(reader.path.steps.dropLast())
            let inside = FieldReader(object: [:], path: parent, faults: reader.faults)
            let reason = "cannot set `allowPrivilegeEscalation` to false and"
            if privileged { inside.invalid("securityContext", false, ["\(reason) `privileged` to true"]) }
            if capabilitiesAdd.contains("SYS_ADMIN") {
                inside.invalid("securityContext", false, ["\(reason) `capabilities.Add` CAP_SYS_ADMIN"])
            }
        }
    }
}

/// The capabilities of Linux 6.6 (man 7 capabilities), without `CAP_`.
private let capabilityNames: Set<String> = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
]

extension FieldReader {
    /// Names of capabilities, with or without `CAP_`, in whatever case, as container runtimes take them; or `ALL`.
    fileprivate func capabilities(_ name: String) -> [String] {
        strings(name).enumerated().map { index, written in
            let upper = written.uppercased()
            let capability = upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper
            if capability != "ALL", !capabilityNames.contains(capability) {
                add(.invalid(path.field(name).index(index), .string(written), "is not a capability of Linux"))
            }
            return capability
        }
    }

    fileprivate func seccompProfile() -> SeccompProfileReference? {
        guard let reader = reader("seccompProfile") else { return nil }
        let type = reader.required("type")
        let profile = reader.string("localhostProfile")
        if type != "Localhost", let profile {
            let message = "can only be set when seccomp type is Localhost"
            reader.add(.invalid(reader.path.field("localhostProfile"), .string(profile), message))
        }
        switch type {
        case "RuntimeDefault": return .runtimeDefault
        case "Unconfined": return .unconfined
        case "Localhost":
            guard let profile, !profile.isEmpty else {
                reader.add(
                    .required(reader.path.field("localhostProfile"), "must be set when seccomp type is Localhost"))
                return nil
            }
            reader.invalid("localhostProfile", .string(profile), descendingPathFaults(profile))
            return .localhost(profile)
        case "": return nil
        default:
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"]
            reader.add(.unsupported(reader.path.field("type"), .string(type), supported: supported))
            return nil
        }
    }
}
