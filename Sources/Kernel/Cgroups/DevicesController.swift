import Linux

/// devices: a list of what may be opened in version 1 (cgroup-v1/devices.rst), a program in version 2 (bpf(2),
/// BPF_PROG_TYPE_CGROUP_DEVICE).
enum DevicesController {
    /// Refuses everything and then allows `rules`. While processes are inside this would shut them out for an instant, so
    /// it belongs before the first one enters.
    static func apply(_ rules: [DeviceRule], to directory: borrowing CgroupDirectory) throws(CgroupError) {
        // `a` alone would drop the list's behaviour of the parent too; the kernel takes the first letter as the command.
        if rules.contains(where: { $0.kind == .all && $0.major == nil && $0.minor == nil && $0.access == .all }) {
            return try directory.write("devices.allow", "a")
        }
        try directory.write("devices.deny", "a")
        for rule in rules { try directory.write("devices.allow", rule.line) }
    }

    static func attach(_ rules: [DeviceRule], to directory: borrowing CgroupDirectory) throws(CgroupError) {
        throw .controllerMissing(.devices, cgroup: directory.name)
    }
}
