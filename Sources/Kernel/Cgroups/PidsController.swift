import Linux

/// pids: how many processes and threads (cgroup-v2.rst "PID", cgroup-v1/pids.rst). Both versions have the same files.
enum PidsController {
    static func apply(_ resources: CgroupResources, to directory: borrowing CgroupDirectory) throws(CgroupError) {
        guard let limit = resources.pidsMax else { return }
        guard limit >= -1 else { throw .outOfRange(setting: "pids.max", value: limit) }
        try directory.write("pids.max", limit == -1 ? "max" : "\(limit)")
    }
}
