import Linux

// What this process may do.
extension Doctor {
    func superuser() -> DoctorCheck {
        geteuid() == 0
            ? DoctorCheck("rights", "user", .ok, "root")
            : DoctorCheck("rights", "user", .failed, "user id \(geteuid())", remedy: "run swiftlet as root")
    }

    func capabilities() -> DoctorCheck {
        // linux/capability.h
        let needed: [(name: String, bit: UInt64)] = [
            ("CAP_CHOWN", 0), ("CAP_DAC_OVERRIDE", 1), ("CAP_FOWNER", 3), ("CAP_KILL", 5), ("CAP_SETGID", 6),
            ("CAP_SETUID", 7), ("CAP_SETPCAP", 8), ("CAP_NET_BIND_SERVICE", 10), ("CAP_NET_ADMIN", 12),
            ("CAP_SYS_CHROOT", 18), ("CAP_SYS_PTRACE", 19), ("CAP_SYS_ADMIN", 21), ("CAP_MKNOD", 27),
        ]
        let status = (try? readText("/proc/self/status")) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        guard let digits = line?.split(whereSeparator: \.isWhitespace).last, let mask = UInt64(digits, radix: 16) else {
            return DoctorCheck("rights", "capabilities", .failed, "/proc/self/status cannot be read")
        }
        let missing = needed.filter { mask >> $0.bit & 1 == 0 }.map(\.name)
        if !missing.isEmpty {
            return DoctorCheck(
                "rights", "capabilities", .failed, "missing: \(missing.joined(separator: ", "))",
                remedy: "run swiftlet as root of the host, not in a container without privileges")
        }
        if mask >> 24 & 1 == 0 {
            return DoctorCheck(
                "rights", "capabilities", .warning,
                "CAP_SYS_RESOURCE is missing: oom_score_adj cannot be lowered (guaranteed pods are not spared when memory "
                    + "runs out), and resource limits cannot be raised",
                remedy: "start swiftlet from a service or shell that has the capability")
        }
        return DoctorCheck("rights", "capabilities", .ok, "all that is needed")
    }

    func limits() -> [DoctorCheck] {
        var files = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        let enough = files.rlim_max >= 65_536
        return [
            DoctorCheck(
                "rights", "open files", enough ? .ok : .warning, "at most \(files.rlim_max) per process",
                remedy: enough ? nil : "raise the hard limit: LimitNOFILE=1048576 in the unit, or ulimit -Hn 1048576")
        ]
    }
}
