import Linux

/// One mounted hierarchy: a tree of cgroups with its controllers.
public struct Hierarchy: Sendable {
    /// Which generation of the interface the hierarchy has.
    public enum Version: Sendable, Hashable { case v1, v2 }
    public let version: Version
    /// Where it is mounted, such as `/sys/fs/cgroup/cpu,cpuacct`.
    public let mountPoint: String
    /// The controllers of this room that are bound to it. For version 2, those that its root offers.
    public let controllers: Set<Controller>
    /// The mount options that name a version 1 hierarchy, such as `cpu,cpuacct` or `name=systemd`; empty for version 2.
    public let label: String

    let root: HierarchyRoot

    /// All controllers of version 1 (linux/cgroup_subsys.h). Other mount options, such as `rw`, `xattr` or `seclabel`, say
    /// nothing about which hierarchy it is.
    private static let legacyNames: Set<String> = [
        "blkio", "cpu", "cpuacct", "cpuset", "debug", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls",
        "net_prio", "perf_event", "pids", "rdma",
    ]

    /// Opens the mount point and makes sure that it is what `mount` says: without the look at the super block a
    /// controller's directory whose mount is gone would silently be taken for a hierarchy.
    init(_ mount: CgroupMount, verify: Bool = true) throws(CgroupError) {
        let number = open(mount.mountPoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let directory = CgroupDirectory(
            OwnedDescriptor(owning: try system(number, "open", mount.mountPoint)), name: mount.mountPoint)
        if verify {
            // CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC (linux/magic.h)
            let magic = mount.version == .v1 ? 0x27_e0eb : 0x6367_7270
            var status = statfs()
            try system(fstatfs(directory.descriptor.number, &status), "fstatfs", mount.mountPoint)
            guard Int(status.f_type) == magic else { throw .notACgroupFileSystem(mount.mountPoint) }
        }
        switch mount.version {
        case .v1:
            version = .v1
            controllers = Set(mount.options.compactMap(Controller.init))
            let names = mount.options.filter { Self.legacyNames.contains($0) || $0.hasPrefix("name=") }
            label = names.joined(separator: ",")
        case .v2:
            version = .v2
            let offered = try directory.read("cgroup.controllers")
            controllers = Set(
                offered.split(whereSeparator: \.isWhitespace).compactMap { Controller(rawValue: String($0)) })
            label = ""
        }
        mountPoint = mount.mountPoint
        root = HierarchyRoot(directory)
    }
}

/// Keeps the root directory of a hierarchy open for as long as somebody knows the system.
final class HierarchyRoot: Sendable {
    let directory: CgroupDirectory
    init(_ directory: consuming CgroupDirectory) { self.directory = directory }
}

/// The cgroup hierarchies of this host.
public struct CgroupSystem: Sendable {
    /// How the host lays its hierarchies out.
    public enum Mode: Sendable, Hashable, CustomStringConvertible {
        /// Version 2 alone.
        case unified
        /// Version 1 with these controllers, and version 2 beside it.
        case hybrid(Set<Controller>)
        /// Version 1 alone.
        case legacy

        public var description: String {
            switch self {
            case .unified: "unified (v2)"
            case .hybrid: "hybrid (v1 with v2 beside it)"
            case .legacy: "legacy (v1)"
            }
        }
    }

    public let mode: Mode
    /// Every hierarchy that cgroups are made in: those with a ``Controller``, version 2, and `name=systemd`.
    public let hierarchies: [Hierarchy]

    /// Finds the hierarchies mounted at `root` or below (/proc/self/mountinfo) and opens them.
    ///
    /// - Throws: ``CgroupError/notMounted(_:)`` if there are none.
    public static func detect(root: String = "/sys/fs/cgroup") throws(CgroupError) -> CgroupSystem {
        let proc = CgroupDirectory(
            OwnedDescriptor(
                owning: try system(open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", "/proc/self")),
            name: "/proc/self")
        return try CgroupSystem(
            mounts: CgroupMount.parse(mountinfo: try proc.read("mountinfo"), under: root), root: root)
    }

    init(mounts: [CgroupMount], root: String, verify: Bool = true) throws(CgroupError) {
        var found: [Hierarchy] = []
        var seen: Set<String> = []
        for mount in mounts {
            let hierarchy = try Hierarchy(mount, verify: verify)
            // systemd tracks units in its own hierarchy: a container that stayed there would be stopped with the agent.
            let used = hierarchy.version == .v2 || !hierarchy.controllers.isEmpty || hierarchy.label == "name=systemd"
            // The same hierarchy may be mounted twice; the first is as good as the second.
            if used, seen.insert(hierarchy.label).inserted { found.append(hierarchy) }
        }
        let legacy = found.filter { $0.version == .v1 }.reduce(into: Set<Controller>()) { $0.formUnion($1.controllers) }
        if found.isEmpty { throw .notMounted(root) }
        if legacy.isEmpty {
            mode = .unified
        } else if found.contains(where: { $0.version == .v2 }) {
            mode = .hybrid(legacy)
        } else {
            mode = .legacy
        }
        hierarchies = found
    }

    /// The hierarchy that has `controller`, if any.
    public func hierarchy(of controller: Controller) -> Hierarchy? {
        hierarchies.first { $0.controllers.contains(controller) }
    }

    /// The version 2 hierarchy, if one is mounted.
    public var unified: Hierarchy? { hierarchies.first { $0.version == .v2 } }
}
