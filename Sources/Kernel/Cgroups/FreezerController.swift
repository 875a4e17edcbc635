import Linux

/// Stopping all processes of a cgroup where they are (cgroup-v1/freezer-subsystem.rst; cgroup.freeze in cgroup-v2.rst).
enum FreezerController {
    static func set(
        frozen: Bool, _ directory: borrowing CgroupDirectory, _ version: Hierarchy.Version
    ) throws(CgroupError) {
        switch version {
        case .v1: try directory.write("freezer.state", frozen ? "FROZEN" : "THAWED")
        case .v2: try directory.write("cgroup.freeze", frozen ? "1" : "0")
        }
    }

    /// Thaws the cgroup and every one below: a frozen task of version 1 does not even die of SIGKILL, and blocks the
    /// end of its PID namespace.
    static func thawTree(
        _ directory: borrowing CgroupDirectory, _ version: Hierarchy.Version
    ) throws(CgroupError) {
        // cgroup.freeze came with kernel 5.2; without it nothing is frozen.
        if directory.has(version == .v1 ? "freezer.state" : "cgroup.freeze") {
            try set(frozen: false, directory, version)
        }
        for name in try directory.children() {
            if let child = try directory.child(name) { try thawTree(child, version) }
        }
    }
}
