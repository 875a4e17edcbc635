import Linux

/// devices: a list of what may be opened in version 1 (cgroup-v1/devices.rst), a program in version 2 (cgroup-v2.rst
/// "Device controller").
enum DevicesController {
    /// Refuses everything and then allows `rules`. While processes are inside this would shut them out for an instant, so
    /// it belongs before the first one enters.
    static func apply(_ rules: [DeviceRule], to directory: borrowing CgroupDirectory) throws(CgroupError) {
        if allowsEverything(rules) { return try directory.write("devices.allow", "a") }
        try directory.write("devices.deny", "a")
        try directory.write("devices.allow", lines: rules.map(\.line))
    }

    /// Attaches a program that allows `rules`, and then takes off those that were there before. The programs of the
    /// cgroups above go on to count: a device must pass all of them.
    static func attach(_ rules: [DeviceRule], to directory: borrowing CgroupDirectory) throws(CgroupError) {
        do {
            let old = try DeviceProgram.attached(to: directory.descriptor)
            if !allowsEverything(rules) {
                try DeviceProgram(rules).attach(to: directory.descriptor)
            }
            for id in old { try DeviceProgram.detach(id, from: directory.descriptor) }
        } catch {
            throw .system(SystemError(error.call, directory.name, errno: error.errno))
        }
    }

    private static func allowsEverything(_ rules: [DeviceRule]) -> Bool {
        rules.contains { $0.kind == .all && $0.major == nil && $0.minor == nil && $0.access == .all }
    }
}
