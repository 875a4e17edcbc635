// What is written to and read from version 2's files, over a tree of ordinary files.
import Linux
import Testing

@testable import Cgroups

struct UnifiedTreeTests {
    @Test func aHostWithOnlyVersion2IsUnified() throws {
        let fake = try FakeUnified()
        #expect(fake.system.mode == .unified)
        #expect(fake.system.hierarchy(of: .memory)?.version == .v2)
        #expect(fake.system.hierarchy(of: .freezer) == nil)
    }

    @Test(arguments: ["cpu", "memory", "pids", "cpuset"])
    func controllersAreHandedDownFromTheRoot(controller: String) throws {
        let fake = try FakeUnified(controllers: "\(controller) io\n")
        // Somebody made /a before, and nothing was handed down to it.
        try fake.tree.write("a/cgroup.controllers", "\n")
        try fake.tree.write("a/cgroup.subtree_control", "\n")
        let cgroup = try Cgroup(system: fake.system, path: "/a/b")
        try cgroup.create()
        #expect(try fake.tree.read("cgroup.subtree_control") == "+\(controller)")
        #expect(try cgroup.exists())
    }

    @Test(arguments: ["cpu", "memory", "pids", "cpuset"])
    func controllersAreHandedDownFromTheParent(controller: String) throws {
        let fake = try FakeUnified(controllers: "\(controller) io\n")
        try fake.tree.write("a/cgroup.controllers", "\(controller)\n")
        try fake.tree.write("a/cgroup.subtree_control", "\n")
        try Cgroup(system: fake.system, path: "/a/b").create()
        #expect(try fake.tree.read("a/cgroup.subtree_control") == "+\(controller)")
    }

    @Test func whatIsEnabledIsNotWrittenAgain() throws {
        let fake = try FakeUnified(controllers: "memory\n")
        try fake.tree.write("cgroup.subtree_control", "memory\n")
        try Cgroup(system: fake.system, path: "/a").create()
        #expect(try fake.tree.read("cgroup.subtree_control") == "memory\n")
    }

    @Test func aFailedCreationTakesBackWhatItMade() throws {
        let fake = try FakeUnified(controllers: "memory\n")
        // The new directory has no cgroup.controllers (it is no cgroup), so the second level fails.
        let cgroup = try Cgroup(system: fake.system, path: "/a/b")
        #expect(throws: CgroupError.self) { try cgroup.create() }
        #expect(!fileExists("\(fake.tree.path)/a"))
    }

    @Test func limitsGoToVersion2sFiles() throws {
        let fake = try FakeUnified()
        let cgroup = try fake.cgroup(
            "a",
            files: [
                "cpu.weight": "100\n", "cpu.max": "max 100000\n", "memory.max": "max\n", "memory.swap.max": "max\n",
                "memory.oom.group": "0\n", "pids.max": "max\n", "cpuset.cpus": "\n", "cpuset.mems": "\n",
            ])
        try cgroup.apply(
            CgroupResources(
                cpuShares: 262_144, cpuQuota: 50_000, cpus: "0", memoryNodes: "0", memoryLimit: 12_345_678,
                swapLimit: 0, killTogetherWhenOutOfMemory: true, pidsMax: 77))
        #expect(try fake.tree.read("a/cpu.weight").hasPrefix("10000"))
        #expect(try fake.tree.read("a/cpu.max").hasPrefix("50000 100000"))
        #expect(try fake.tree.read("a/memory.max").hasPrefix("12345678"))
        #expect(try fake.tree.read("a/memory.swap.max").hasPrefix("0"))
        #expect(try fake.tree.read("a/memory.oom.group").hasPrefix("1"))
        #expect(try fake.tree.read("a/pids.max").hasPrefix("77"))
        #expect(try fake.tree.read("a/cpuset.cpus").hasPrefix("0"))
    }

    @Test func liftedLimitsAreWrittenAsMax() throws {
        let fake = try FakeUnified()
        let cgroup = try fake.cgroup(
            "a", files: ["cpu.max": "1 5", "cpu.weight": "1", "memory.max": "1", "pids.max": "1"])
        try cgroup.apply(CgroupResources(cpuQuota: -1, cpuPeriod: 2000, memoryLimit: -1, pidsMax: -1))
        #expect(try fake.tree.read("a/cpu.max") == "max 2000")
        #expect(try fake.tree.read("a/memory.max") == "max")
        #expect(try fake.tree.read("a/pids.max") == "max")
    }

    @Test func aLimitWithoutItsControllerIsAnErrorThatNamesIt() throws {
        let fake = try FakeUnified(controllers: "cpu\n")
        let cgroup = try fake.cgroup("a", files: [:])
        try makeDirectories("\(fake.tree.path)/a")
        #expect(throws: CgroupError.controllerMissing(.memory, cgroup: "/a")) {
            try cgroup.apply(CgroupResources(memoryLimit: 1 << 20))
        }
        // The root offers it, but nobody handed it down to this cgroup.
        #expect(throws: CgroupError.controllerMissing(.cpu, cgroup: "/a")) {
            try cgroup.apply(CgroupResources(cpuShares: 2))
        }
    }

    @Test func valuesOutOfRangeAreRefusedBeforeTheKernelSeesThem() throws {
        let fake = try FakeUnified()
        let cgroup = try fake.cgroup(
            "a", files: ["cpu.max": "max 100000", "cpu.weight": "100", "memory.max": "max", "pids.max": "max"])
        let refused: [CgroupResources] = [
            CgroupResources(cpuShares: 1), CgroupResources(cpuShares: 262_145), CgroupResources(cpuQuota: 999),
            CgroupResources(cpuPeriod: 999), CgroupResources(cpuPeriod: 1_000_001), CgroupResources(memoryLimit: -2),
            CgroupResources(pidsMax: -2),
        ]
        for resources in refused { #expect(throws: CgroupError.self) { try cgroup.apply(resources) } }
        #expect(try fake.tree.read("a/cpu.max") == "max 100000")
        #expect(try fake.tree.read("a/memory.max") == "max")
    }

    @Test func statisticsComeFromVersion2sFiles() throws {
        let fake = try FakeUnified()
        let cgroup = try fake.cgroup(
            "a",
            files: [
                "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n", "memory.current": "1000\n",
                "memory.stat": "anon 300\nfile 600\ninactive_file 400\n", "pids.current": "3\n",
                "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n",
            ])
        #expect(
            try cgroup.statistics()
                == CgroupStatistics(
                    cpuNanoseconds: 1_500_000, memoryBytes: 1000, memoryWorkingSetBytes: 600, pids: 3))
        #expect(try cgroup.oomKills() == 1)
    }

    @Test func aControlFileOfAnotherFormIsAnError() throws {
        let fake = try FakeUnified()
        let cgroup = try fake.cgroup("a", files: ["memory.events": "nothing\n"])
        #expect(throws: CgroupError.malformed(file: "\(fake.tree.path)/a/memory.events")) { try cgroup.oomKills() }
    }
}
