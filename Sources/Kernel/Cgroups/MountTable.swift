import Linux

/// A mounted cgroup hierarchy as /proc/self/mountinfo describes it (man 5 proc_pid_mountinfo).
struct CgroupMount: Hashable, Sendable {
    enum Version: Hashable, Sendable { case v1, v2 }
    var version: Version
    var mountPoint: String
    /// The super block's options, such as `rw`, `cpu`, `cpuacct`, `name=systemd`.
    var options: [String]

    /// The cgroup mounts of a mountinfo file at `root` or below. What is hidden by a later mount on the same point is
    /// left out.
    static func parse(mountinfo: String, under root: String) -> [CgroupMount] {
        var mounts: [CgroupMount] = []
        for line in mountinfo.split(separator: "\n") {
            // 36 35 98:0 /root /mount/point options [optional fields] - type source super-options
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count >= separator + 4 else {
                continue
            }
            let point = unescape(fields[4])
            guard point == root || point.hasPrefix(root == "/" ? "/" : root + "/") else { continue }
            mounts.removeAll { $0.mountPoint == point }
            let options = fields[separator + 3].split(separator: ",").map(String.init)
            switch fields[separator + 1] {
            case "cgroup": mounts.append(CgroupMount(version: .v1, mountPoint: point, options: options))
            case "cgroup2": mounts.append(CgroupMount(version: .v2, mountPoint: point, options: options))
            default: continue
            }
        }
        return mounts
    }

    /// Space, tab, newline and backslash are written as three octal digits after a backslash.
    private static func unescape(_ field: Substring) -> String {
        guard field.utf8.contains(UInt8(ascii: "\\")) else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
