// The real kernel: cgroups under a parent of this process's own.
import Linux
import Testing

@testable import Cgroups

struct RealCgroupTests {
    @Test func aProcessThatEntersIsInEveryHierarchy() throws {
        let real = try RealCgroup("enter")
        let child = try Child(in: real.cgroup, "echo in; sleep 1000 & wait")
        _ = try child.read()
        let membership = try readText("/proc/\(child.pid)/cgroup")
        for hierarchy in real.cgroup.system.hierarchies {
            let label = hierarchy.label.isEmpty ? "0::" : ":\(hierarchy.label):"
            #expect(membership.contains("\(label)\(real.cgroup.path)\n"), "\(hierarchy.mountPoint)")
        }
        #expect(try real.cgroup.processes().contains(child.pid))
    }

    @Test func creatingTwiceAndRemovingTwiceIsFine() throws {
        let system = try CgroupSystem.detect()
        let cgroup = try Cgroup(system: system, path: "/swiftlet-test-\(getpid())-twice")
        try cgroup.create()
        try cgroup.create()
        #expect(try cgroup.exists())
        try cgroup.remove()
        try cgroup.remove()
        try cgroup.kill()
        for hierarchy in system.hierarchies { #expect(!fileExists(hierarchy.mountPoint + cgroup.path)) }
    }

    @Test func limitsReadBackAsTheyWereSet() throws {
        let real = try RealCgroup("limits")
        let path = real.cgroup.path
        try real.cgroup.apply(
            CgroupResources(
                cpuShares: 512, cpuQuota: 20_000, cpuPeriod: 50_000, memoryLimit: 64 << 20, swapLimit: 0, pidsMax: 50))
        // Raised and lowered again: the order of version 1's pairs must be right both ways.
        try real.cgroup.apply(
            CgroupResources(cpuQuota: 200_000, cpuPeriod: 100_000, memoryLimit: 128 << 20, swapLimit: 0))
        try real.cgroup.apply(CgroupResources(memoryLimit: 32 << 20, swapLimit: 1 << 20))
        func value(_ controller: Controller, _ v1: String, _ v2: String) throws -> String {
            let hierarchy = try #require(real.cgroup.system.hierarchy(of: controller))
            let text = try readText("\(hierarchy.mountPoint)\(path)/\(hierarchy.version == .v1 ? v1 : v2)")
            return String(text.dropLast())
        }
        let legacy = real.cgroup.system.hierarchy(of: .cpu)?.version == .v1
        #expect(try value(.cpu, "cpu.shares", "cpu.weight") == (legacy ? "512" : "59"))
        #expect(try value(.cpu, "cpu.cfs_quota_us", "cpu.max") == (legacy ? "200000" : "200000 100000"))
        #expect(try value(.memory, "memory.limit_in_bytes", "memory.max") == "\(32 << 20)")
        #expect(try value(.memory, "memory.memsw.limit_in_bytes", "memory.swap.max") == "\((legacy ? 33 : 1) << 20)")
        #expect(try value(.pids, "pids.max", "pids.max") == "50")
    }

    @Test func theKernelsKillForWantOfMemoryIsCounted() throws {
        let real = try RealCgroup("oom")
        try real.cgroup.apply(CgroupResources(memoryLimit: 16 << 20, swapLimit: 0))
        #expect(try real.cgroup.oomKills() == 0)
        let child = try Child(in: real.cgroup, "exec tail /dev/zero")
        let status = try child.wait()
        #expect(cl_wtermsig(status) == SIGKILL)
        #expect(try real.cgroup.oomKills() == 1)
    }

    @Test func noMoreProcessesThanAllowed() throws {
        let real = try RealCgroup("pids")
        try real.cgroup.apply(CgroupResources(pidsMax: 1))
        // dash gives up at once where bash tries again for half a minute.
        let child = try Child(in: real.cgroup, "exec sh -c '/bin/true; echo forked'")
        #expect(try child.read() == "")
        #expect(try child.exitCode == 2)
    }

    @Test func aQuotaSlowsAProcessDown() throws {
        let real = try RealCgroup("quota")
        try real.cgroup.apply(CgroupResources(cpuQuota: 2_000, cpuPeriod: 100_000))
        let start = ContinuousClock.now
        // Some 40 ms of work take 20 periods of 100 ms, at 2 ms each.
        let child = try Child(in: real.cgroup, "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done")
        try child.wait()
        let elapsed = ContinuousClock.now - start
        let used = try #require(try real.cgroup.statistics().cpuNanoseconds)
        #expect(used > 0)
        #expect(elapsed > .nanoseconds(Int64(used)) * 4)
    }

    @Test func statisticsTellWhatWasUsed() throws {
        let real = try RealCgroup("statistics")
        let child = try Child(
            in: real.cgroup, "x=$(head -c 5000000 /dev/zero | tr '\\0' x); echo $$; sleep 1000 & wait")
        _ = try child.read()
        let statistics = try real.cgroup.statistics()
        #expect(try #require(statistics.cpuNanoseconds) > 100_000)
        #expect(try #require(statistics.memoryBytes) > 4_000_000)
        #expect(try #require(statistics.memoryWorkingSetBytes) <= #require(statistics.memoryBytes))
        #expect(try #require(statistics.pids) >= 1)
    }

    @Test func devicesOutsideOfTheListCannotBeOpened() throws {
        for (name, system) in [("v1", try CgroupSystem.legacyOnly()), ("v2", try CgroupSystem.unifiedOnly())] {
            guard let system, name == "v2" || system.hierarchy(of: .devices) != nil else { continue }
            let real = try RealCgroup("devices-\(name)", system: system)
            try real.cgroup.apply(CgroupResources(devices: DeviceRule.containerDefaults))
            let script = """
                head -c 1 /dev/zero >/dev/null && echo zero; head -c 1 /dev/kmsg >/dev/null || echo no kmsg
                mknod $0.$$ b 7 99 && echo made && { head -c 1 $0.$$ || echo no loop; }; rm -f $0.$$
                """
            let child = try Child(in: real.cgroup, "set -- ; BASH_ARGV0=/tmp/swiftlet-node\n" + script)
            #expect(try child.read(100) == "zero\nno kmsg\nmade\nno loop\n", "\(name)")
            // Everything again, in place of the list.
            try real.cgroup.apply(CgroupResources(devices: DeviceRule.everything))
            let free = try Child(in: real.cgroup, "exec 3</dev/kmsg && echo kmsg")
            #expect(try free.read(100) == "kmsg\n", "\(name)")
        }
    }

    @Test func aSecondListReplacesTheFirst() throws {
        guard let system = try CgroupSystem.unifiedOnly() else { return }
        let real = try RealCgroup("replace", system: system)
        try real.cgroup.apply(CgroupResources(devices: [DeviceRule(.character, 1, 3, .all)]))
        try real.cgroup.apply(CgroupResources(devices: [DeviceRule(.character, 1, 5, .read)]))
        guard let directory = try real.cgroup.directoryDescriptor() else {
            Issue.record("no version 2 directory")
            return
        }
        #expect(try DeviceProgram.attached(to: directory).count == 1)
        // Null is not on the list any more, so no redirection to it here.
        let child = try Child(in: real.cgroup, "head -c 1 /dev/zero | wc -c; (: >/dev/zero) 2>&1 || echo read-only")
        let output = try child.read(200)
        #expect(output.contains("1\n") && output.contains("read-only"))
    }
}

struct EndTests {
    /// Version 1 alone, version 2 alone, and what the host has.
    private static func systems() throws -> [(String, CgroupSystem)] {
        [("host", try CgroupSystem.detect())]
            + [("v1", try CgroupSystem.legacyOnly()), ("v2", try CgroupSystem.unifiedOnly())]
            .compactMap { name, system in system.map { (name, $0) } }
    }

    @Test func killEndsATreeThatKeepsForking() throws {
        for (name, system) in try Self.systems() {
            let real = try RealCgroup("kill-\(name)", system: system)
            // Version 2 takes processes only where no controllers are handed on: in the leaves.
            let leaf = try real.cgroup.child("leaf")
            let deeper = try real.cgroup.child("below").child("leaf")
            for cgroup in [leaf, deeper] { try cgroup.create() }
            let forking = "trap '' TERM INT; echo on; while :; do (sleep 1000; sleep 1000) & sleep 0.01; done"
            let first = try Child(in: leaf, forking)
            let second = try Child(in: deeper, forking)
            #expect(try (first.read(), second.read()) == ("on\n", "on\n"))
            try real.cgroup.kill()
            #expect(try real.cgroup.processes().isEmpty, "\(name)")
            #expect(cl_wtermsig(try first.wait()) == SIGKILL)
            #expect(cl_wtermsig(try second.wait()) == SIGKILL)
            try real.cgroup.remove()
            for hierarchy in system.hierarchies { #expect(!fileExists(hierarchy.mountPoint + real.cgroup.path)) }
        }
    }

    @Test func aFrozenTreeDiesAllTheSame() throws {
        for (name, system) in try Self.systems() {
            guard system.hierarchy(of: .freezer) != nil || system.unified != nil else { continue }
            let real = try RealCgroup("frozen-\(name)", system: system)
            let below = try real.cgroup.child("below")
            try below.create()
            let child = try Child(in: below, "echo on; while :; do :; done")
            _ = try child.read()
            try below.freeze()
            try real.cgroup.freeze()
            try real.cgroup.kill()
            #expect(cl_wtermsig(try child.wait()) == SIGKILL)
        }
    }

    @Test func afterAKillTheCgroupCanBeUsedAgain() throws {
        for (name, system) in try Self.systems() {
            let real = try RealCgroup("again-\(name)", system: system)
            _ = try Child(in: real.cgroup, "echo on; sleep 1000 & wait").read()
            try real.cgroup.kill()
            #expect(try Child(in: real.cgroup, "(echo fork) | cat").read() == "fork\n", "\(name)")
        }
    }

    @Test func removingACgroupInUseNamesItsProcessesAndLeavesThemAlone() throws {
        for (name, system) in try Self.systems() {
            let real = try RealCgroup("busy-\(name)", system: system)
            let child = try Child(in: real.cgroup, "echo on; exec sleep 1000")
            _ = try child.read()
            #expect(throws: CgroupError.notEmpty(cgroup: real.cgroup.path, processes: [child.pid])) {
                try real.cgroup.remove(timeout: .milliseconds(50))
            }
            #expect(kill(child.pid, 0) == 0)
        }
    }

    @Test func removalWaitsForProcessesThatAreGoing() throws {
        for (name, system) in try Self.systems() {
            let real = try RealCgroup("going-\(name)", system: system)
            let child = try Child(in: real.cgroup, "echo on; sleep 0.1")
            _ = try child.read()
            try real.cgroup.remove()
            #expect(try child.exitCode == 0)
            #expect(try !real.cgroup.exists())
        }
    }

    @Test func removalTakesWhatWasMadeBelow() throws {
        let real = try RealCgroup("below")
        let deep = try Cgroup(system: real.cgroup.system, path: real.cgroup.path + "/a/b/c")
        try deep.create()
        try real.cgroup.remove()
        #expect(try !real.cgroup.exists())
    }
}
