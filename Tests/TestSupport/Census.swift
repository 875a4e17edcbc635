import Linux

/// What is there on a host, to compare before and after: a test's way to say that nothing was left.
public struct Census: Sendable, Equatable, CustomStringConvertible {
    /// Kind (`mount`, `cgroup`, `link`, `route`, `rule`, `namespace`, `process`, `file`) and name; several of one name count.
    public let entries: [String: Int]

    /// What `self` has more than `before`, one line each; empty when nothing was left.
    public func left(since before: Census) -> [String] {
        entries.compactMap { entry, count in
            let more = count - (before.entries[entry] ?? 0)
            return more > 0 ? "\(entry)\(more > 1 ? " (\(more) times)" : "")" : nil
        }.sorted()
    }

    /// How many entries are of `kind`.
    public func count(_ kind: String) -> Int {
        entries.reduce(0) { $0 + ($1.key.hasPrefix(kind + " ") ? $1.value : 0) }
    }

    public var description: String {
        entries.keys.sorted().map { "\($0) × \(entries[$0] ?? 0)" }.joined(separator: "\n")
    }
}

extension TestHost {
    /// Counts mounts, the host's cgroups, links, routes, nftables rules, namespaces, processes and the
    /// entries of `directories` (not below them).
    public func census(of directories: [String] = []) async throws -> Census {
        let script = """
            awk '{ print "mount " $5 " " $(NF - 2) }' /proc/self/mountinfo
            find /sys/fs/cgroup -mindepth 1 -type d -printf 'cgroup %p\\n'
            ip -o link | awk -F': ' '{ print "link " $2 }'
            ip route show table all | sed 's/^/route /'
            nft --stateless list ruleset | sed 's/^[ \\t]*/rule /'
            for process in /proc/[0-9]*; do
                [ "$process" != "/proc/$$" ] || continue
                read -r parent < <(sed -n 's/^PPid:\\t//p' $process/status 2>/dev/null) || continue
                [ "$parent" != $$ ] || continue
                echo "process $(tr '\\0' ' ' <$process/cmdline 2>/dev/null | cut -c1-80)"
                for kind in net mnt ipc uts pid cgroup; do
                    readlink $process/ns/$kind
                done
            done | awk '/^process/ { print; next } !seen[$0]++ { print "namespace " $0 }'
            for directory in \(directories.joined(separator: " ")); do
                [ ! -d "$directory" ] || find "$directory" -mindepth 1 -maxdepth 1 -printf 'file %p\\n'
            done
            """
        let outcome = try await shell(script).orFail()
        var entries: [String: Int] = [:]
        for line in outcome.lines { entries[line, default: 0] += 1 }
        return Census(entries: entries)
    }
}
