import Cgroups
import Linux

// Where pods are limited and counted.
extension Doctor {
    func cgroups() -> [DoctorCheck] {
        let system: CgroupSystem
        do {
            system = try CgroupSystem.detect()
        } catch {
            return [
                DoctorCheck(
                    "cgroups", "mode", .failed, "\(error)", remedy: "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            ]
        }
        return [DoctorCheck("cgroups", "mode", .ok, "\(system.mode)")] + controllers(system) + [usable(system)]
    }

    private func controllers(_ system: CgroupSystem) -> [DoctorCheck] {
        let needed: [Controller] = [.cpu, .memory, .pids]
        let place = { (controller: Controller) -> String? in
            system.hierarchy(of: controller).map { "\(controller.rawValue) \($0.version == .v1 ? "v1" : "v2")" }
        }
        let missing = needed.filter { system.hierarchy(of: $0) == nil }.map(\.rawValue)
        let found = DoctorCheck(
            "cgroups", "controllers", missing.isEmpty ? .ok : .failed,
            missing.isEmpty
                ? needed.compactMap(place).joined(separator: ", ") : "missing: \(missing.joined(separator: ", "))",
            remedy: missing.isEmpty
                ? nil : "boot without cgroup_disable=, and with cgroup_enable=memory where the kernel wants it")
        // The device controller of version 2 is a BPF program and not a controller by name.
        let devices = system.hierarchy(of: .devices) != nil || system.unified != nil
        let guarded = DoctorCheck(
            "cgroups", "devices", devices ? .ok : .warning,
            system.hierarchy(of: .devices) != nil
                ? "v1 list" : devices ? "v2 program" : "no controller: containers could open any device they make",
            remedy: devices ? nil : "mount the devices controller, or cgroup2")
        return [found, guarded]
    }

    /// Makes a cgroup with limits, and removes it.
    private func usable(_ system: CgroupSystem) -> DoctorCheck {
        do {
            let cgroup = try Cgroup(system: system, path: "/\(ownName)")
            let result = Result { () throws(CgroupError) in
                try cgroup.create()
                try cgroup.apply(
                    CgroupResources(
                        cpuShares: 2, memoryLimit: 64 << 20, pidsMax: 16, devices: DeviceRule.containerDefaults))
            }
            try cgroup.remove()
            try result.get()
            return DoctorCheck("cgroups", "limits", .ok, "cpu, memory, pids and devices can be limited")
        } catch {
            return DoctorCheck(
                "cgroups", "limits", .failed, "\(error)",
                remedy: "check that /sys/fs/cgroup is writable, and that no process is in a cgroup above /kubepods (v2)"
            )
        }
    }
}
