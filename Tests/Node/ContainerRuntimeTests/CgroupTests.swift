import Cgroups
import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct CgroupTests {
    /// By joining every hierarchy, and in the quickest way that this host has.
    @Test(arguments: [false, true])
    func theProcessIsInItsCgroupsAndSeesThemAsTheRoot(quickly: Bool) async throws {
        try await withCgroup { system, cgroup in
            let entrance = try cgroup.processDescriptors()
            try await TestPod.with { pod in
                let script = """
                    cat /proc/self/cgroup | grep -vc ':/$'
                    ls /sys/fs/cgroup; stat -f -c %t /sys/fs/cgroup/*
                    (mkdir /sys/fs/cgroup/new || mkdir /sys/fs/cgroup/*/new) 2>/dev/null && echo writable
                    sleep 1000
                    """
                let started = try await pod.start(["sh", "-c", script]) {
                    if quickly { $0.process.enter(entrance) } else { $0.process.cgroupProcesses = entrance.numbers }
                    $0.cgroupView = view(system)
                }
                let processes = try cgroup.processes()
                #expect(processes.contains(started.pid))
                let outcome = try await pod.exec("cat /proc/self/cgroup | grep -vc ':/$'; exit 0") {
                    $0.process.cgroupProcesses = entrance.numbers
                }
                #expect(outcome.output == "0\n")
                try cgroup.kill()
                let seen1 = try await pod.exit().signal
                #expect(seen1 == SIGKILL)
                let lines = try pod.logLines().map(\.text)
                #expect(lines.first == "0")
                #expect(!lines.contains("writable"))
                if case .hierarchies(let names) = view(system) {
                    for part in names.flatMap({ $0.isEmpty ? ["unified"] : $0.split(separator: ",") }) {
                        #expect(lines.contains(part.hasPrefix("name=") ? String(part.dropFirst(5)) : String(part)))
                    }
                    // CGROUP_SUPER_MAGIC or CGROUP2_SUPER_MAGIC (statfs(2)), each of them.
                    #expect(lines.filter { $0 == "27e0eb" || $0 == "63677270" }.count >= names.count)
                }
                // podinit itself stays where it was.
                #expect(try !readText("/proc/\(pod.sandbox.pid)/cgroup").contains(cgroup.path))
            }
        }
    }

    @Test func theSandboxJoinsItsOwnCgroups() async throws {
        try await withCgroup { _, cgroup in
            let entrance = try cgroup.processDescriptors()
            try await TestPod.with {
                $0.cgroupProcesses = entrance.numbers
                $0.sharedPID = true
            } _: { pod in
                let processes = try cgroup.processes()
                // podinit, and the first process of the shared PID namespace.
                #expect(processes.contains(pod.sandbox.pid) && processes.count == 2)
            }
        }
    }

    @Test func aProcessIsBornInACgroupOfVersion2() async throws {
        try await withCgroup { _, cgroup in
            guard let directory = try cgroup.directoryDescriptor()?.release() else { return }
            defer { close(directory) }
            try await TestPod.with { pod in
                let started = try await pod.start(["sleep", "1000"]) { $0.process.cgroupDirectory = directory }
                // In no other, where there are others.
                #expect(try readText("/proc/\(started.pid)/cgroup").contains("0::\(cgroup.path)\n"))
                #expect(try !readText("/proc/\(started.pid)/cgroup").contains("memory:\(cgroup.path)\n"))
            }
        }
    }

    @Test(arguments: [false, true])
    func aCgroupThatIsGoneFailsTheStart(byDirectory: Bool) async throws {
        try await withCgroup { _, cgroup in
            let gone = try cgroup.child("gone")
            try gone.create()
            let entrance = try gone.processDescriptors()
            let directory = try gone.directoryDescriptor()?.release()
            defer { if let directory { close(directory) } }
            try gone.remove()
            try await TestPod.with { pod in
                let error = await #expect(throws: LaunchError.self) {
                    try await pod.start(["true"]) {
                        if byDirectory, let directory {
                            $0.process.cgroupDirectory = directory
                        } else {
                            $0.process.cgroupProcesses = entrance.numbers
                        }
                    }
                }
                #expect(error?.step == .cgroup && (error?.errno == ENODEV || error?.errno == ENOENT))
            }
        }
    }

    private func view(_ system: CgroupSystem) -> ContainerPlan.CgroupView {
        if case .unified = system.mode { return .unified }
        return .hierarchies(system.hierarchies.map(\.label))
    }

    /// A cgroup of the test's own in every hierarchy, removed afterwards.
    private func withCgroup(_ body: (CgroupSystem, Cgroup) async throws -> Void) async throws {
        let system = try CgroupSystem.detect()
        let cgroup = try Cgroup(
            system: system, path: "/swiftlet-test-\(getpid())-\(UInt32.random(in: 0 ... .max))/container")
        let parent = try Cgroup(system: system, path: parentDirectory(of: cgroup.path))
        try parent.create()
        do {
            try cgroup.create()
            try await body(system, cgroup)
        } catch {
            try? parent.kill()
            try? cgroup.remove()
            try? parent.remove()
            throw error
        }
        try cgroup.remove()
        try parent.remove()
    }
}
