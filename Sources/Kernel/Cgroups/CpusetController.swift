import Linux

/// cpuset: which processors and memory nodes (cgroup-v1/cpusets.rst).
enum CpusetController {
    /// A new cgroup of version 1 has no processors and no memory nodes, and nobody can enter it. Gives it its parent's.
    static func inherit(
        from parent: borrowing CgroupDirectory, to child: borrowing CgroupDirectory
    ) throws(CgroupError) {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if try child.read(file).allSatisfy(\.isWhitespace) {
                let inherited = try parent.read(file).filter { !$0.isWhitespace }
                if !inherited.isEmpty { try child.write(file, inherited) }
            }
        }
    }

    static func apply(_ resources: CgroupResources, to directory: borrowing CgroupDirectory) throws(CgroupError) {
        if let cpus = resources.cpus { try directory.write("cpuset.cpus", cpus) }
        if let nodes = resources.memoryNodes { try directory.write("cpuset.mems", nodes) }
    }
}
