// What the room makes of a host's mounts, without the host.
import Linux
import Testing

@testable import Cgroups

struct MountTableTests {
    private func parse(_ text: String, under root: String = "/sys/fs/cgroup") -> [CgroupMount] {
        CgroupMount.parse(mountinfo: text, under: root)
    }

    @Test func unifiedHostHasOneHierarchyAtTheRoot() {
        let mounts = parse(
            """
            24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
            31 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
            """)
        #expect(mounts == [CgroupMount(version: .v2, mountPoint: "/sys/fs/cgroup", options: ["rw", "nsdelegate"])])
    }

    @Test func coMountedControllersAreOneHierarchy() {
        let mounts = parse(
            """
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
            33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 master:3 - cgroup cgroup rw,cpu,cpuacct
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
            """)
        #expect(mounts.map(\.mountPoint) == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified"])
        #expect(mounts.first?.options == ["rw", "cpu", "cpuacct"])
        #expect(mounts.map(\.version) == [.v1, .v2])
    }

    @Test func aHierarchyHiddenByALaterMountIsNotTaken() {
        let mounts = parse(
            """
            33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            99 33 0:50 / /sys/fs/cgroup/memory rw - tmpfs none rw
            """)
        #expect(mounts.isEmpty)
    }

    @Test func mountsElsewhereAreLeftAlone() {
        let mounts = parse(
            """
            33 31 0:30 / /sys/fs/cgroup2 rw - cgroup2 cgroup2 rw
            34 31 0:31 / /mnt/cg rw - cgroup cgroup rw,memory
            """)
        #expect(mounts.isEmpty)
    }

    @Test func octalEscapesInMountPointsAreUndone() {
        let mounts = parse(#"33 31 0:30 / /a\040b/c\134d rw - cgroup2 cgroup2 rw"#, under: "/a b")
        #expect(mounts.map(\.mountPoint) == [#"/a b/c\d"#])
    }

    @Test func brokenLinesAreSkipped() {
        #expect(parse("").isEmpty)
        #expect(parse("33 31 0:30 /\n- - - -\n33 31 0:30 / /sys/fs/cgroup rw - cgroup2").isEmpty)
    }

    @Test func aHierarchyIsNamedByItsControllersAlone() throws {
        let directory = try TemporaryTree()
        func label(_ options: [String]) throws -> String {
            try Hierarchy(CgroupMount(version: .v1, mountPoint: directory.path, options: options), verify: false).label
        }
        #expect(try label(["rw", "seclabel", "cpu", "cpuacct"]) == "cpu,cpuacct")
        #expect(try label(["rw", "xattr", "release_agent=/x", "name=systemd"]) == "name=systemd")
    }

    @Test func aDirectoryWhoseHierarchyIsNotMountedIsRefused() throws {
        let directory = try TemporaryTree()
        let mount = CgroupMount(version: .v1, mountPoint: directory.path, options: ["rw", "memory"])
        #expect(throws: CgroupError.notACgroupFileSystem(directory.path)) {
            try CgroupSystem(mounts: [mount], root: directory.path)
        }
    }

    @Test func aHostWithoutCgroupsIsAnErrorThatNamesThePlace() throws {
        let directory = try TemporaryTree()
        #expect(throws: CgroupError.notMounted(directory.path)) { try CgroupSystem.detect(root: directory.path) }
    }

    @Test(arguments: [
        "", "/", "a", "/a/", "//a", "/a/../b", "/..", "/a/./b", "/a\0b", "/a\nb", "/cgroup.procs",
        "/" + String(repeating: "x", count: 256),
    ])
    func pathsThatAreNoCgroupsAreRefused(path: String) throws {
        let system = try FakeUnified().system
        #expect(throws: CgroupError.invalidPath(path)) { try Cgroup(system: system, path: path) }
    }
}
