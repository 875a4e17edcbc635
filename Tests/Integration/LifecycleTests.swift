// How containers end, and what happens then.
import Glibc
import Linux
import TestSupport
import Testing

extension NodeTests {
    @Suite("Lifecycle") struct Lifecycle {
        @Test func aContainerThatFailsIsStartedAgainWithABackOff() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("again", "date +%s; exit 3", restartPolicy: "OnFailure")).orFail()
                let status = try await node.wait(for: "again", container: "main", "waits to be started again") {
                    $0.restarts >= 1 && $0["state"]?["waiting"]?["reason"] == "CrashLoopBackOff"
                }
                #expect(status["lastState"]?["terminated"]?["exitCode"] == 3)
                #expect(status["state"]?["waiting"]?["message"]?.stringValue?.contains("back-off") == true)
                // 10 s after the first failure, and not before.
                let second = try await node.wait(for: "again", container: "main", "the second start", seconds: 40) {
                    $0.restarts >= 2
                }
                #expect(second["lastState"]?["terminated"]?["exitCode"] == 3)
            }
        }

        @Test(arguments: [("Always", 0, true), ("Always", 1, true), ("OnFailure", 0, false), ("Never", 1, false)])
        func theRestartPolicyDecides(_ policy: String, _ exitCode: Int, _ again: Bool) async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("policy", "exit \(exitCode)", restartPolicy: policy)).orFail()
                if again {
                    try await node.wait(for: "policy", container: "main", "started again") { $0.restarts >= 1 }
                } else {
                    let phase = exitCode == 0 ? "Succeeded" : "Failed"
                    #expect(try await node.wait(for: "policy", phase: phase).container("main")?.restarts == 0)
                }
            }
        }

        @Test func tooMuchMemoryIsOOMKilled() async throws {
            try await Node.with { node in
                let limits = "resources: {limits: {memory: 16Mi}}"
                let script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo survived"
                try await node.runPod(Node.manifest("greedy", script, container: limits)).orFail()
                let ended = try await node.wait(for: "greedy", phase: "Failed", "Succeeded").container("main")?
                    .terminated
                #expect(ended?["reason"] == "OOMKilled")
                #expect(ended?["exitCode"] == 137)
            }
        }

        @Test func aCommandThatDoesNotExistIsAStartErrorThatNamesIt() async throws {
            try await Node.with { node in
                let manifest = """
                    {apiVersion: v1, kind: Pod, metadata: {name: typo}, spec: {restartPolicy: Never, containers: [
                      {name: main, image: '\(Node.busybox)', command: [/bin/no-such-command]}]}}
                    """
                _ = try await node.submitPod(manifest)
                let ended = try await node.wait(for: "typo", phase: "Failed").container("main")?.terminated
                #expect(ended?["exitCode"] == 128)
                #expect(ended?["reason"] == "StartError")
                #expect(ended?["message"]?.stringValue?.contains("no-such-command") == true)
            }
        }

        @Test func stopGivesTheGraceItWasAskedForAndNoMore() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("deaf", "trap '' TERM; while :; do sleep 0.1; done")).orFail()
                try await node.wait(for: "deaf", phase: "Running")
                let clock = ContinuousClock()
                let time = try await clock.measure {
                    try await node.swiftlet("pod", "stop", "--grace", "1", "deaf").orFail()
                }
                #expect(time > .milliseconds(900) && time < .seconds(8))
                #expect(
                    try await node.wait(for: "deaf", phase: "Failed").container("main")?.terminated?["exitCode"] == 137)
            }
        }

        /// Main and sidecar ignore TERM: the second has what the first has left of the grace, but at least two seconds.
        @Test func thePodsGraceIsOneForAllItsContainers() async throws {
            try await Node.with { node in
                let deaf = "[sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"]"
                let manifest = """
                    {apiVersion: v1, kind: Pod, metadata: {name: deaf}, spec: {
                      initContainers: [{name: side, image: '\(Node.busybox)', restartPolicy: Always, command: \(deaf)}],
                      containers: [{name: main, image: '\(Node.busybox)', command: \(deaf)}]}}
                    """
                try await node.runPod(manifest).orFail()
                try await node.wait(for: "deaf", phase: "Running")
                let time = try await ContinuousClock().measure {
                    try await node.swiftlet("pod", "stop", "--grace", "5", "deaf").orFail()
                }
                #expect(time > .seconds(6.9) && time < .seconds(9.5), "\(time)")
            }
        }

        @Test func hooksAreUnderTheContainersLimits() async throws {
            try await Node.with { node in
                let container = """
                    lifecycle: {postStart: {exec: {command: [sh, -c, cat /proc/self/cgroup >/v/hook]}}}
                    volumeMounts: [{name: v, mountPath: /v}]
                    """
                let pod = "volumes: [{name: v, emptyDir: {}}]"
                let script = "cat /proc/self/cgroup >/v/main; sleep 1000"
                try await node.runPod(Node.manifest("hooked", script, pod: pod, container: container)).orFail()
                try await node.wait(for: "hooked", phase: "Running")
                let same = try await node.exec("hooked", "test -s /v/hook && cmp /v/hook /v/main && echo same")
                #expect(same == "same")
            }
        }

        @Test func orphansAreReaped() async throws {
            try await Node.with { node in
                let script = "for i in $(seq 20); do (sleep 0.01 &) ; done; sleep 1000"
                try await node.runPod(Node.manifest("orphans", script, pod: "shareProcessNamespace: true")).orFail()
                try await node.wait(for: "orphans", phase: "Running")
                try await eventually("no zombie is left") {
                    try await node.exec("orphans", "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l") == "0"
                }
            }
        }

        @Test func limitsAreWrittenWhereTheKernelEnforcesThem() async throws {
            try await Node.with { node in
                let limits = "resources: {requests: {cpu: 250m, memory: 8Mi}, limits: {cpu: 500m, memory: 32Mi}}"
                try await node.runPod(Node.manifest("limited", "sleep 1000", container: limits)).orFail()
                let uid = try await node.wait(for: "limited", phase: "Running").uid
                let found = try await node.host.shell(
                    """
                    cd /sys/fs/cgroup
                    for file in memory.limit_in_bytes cpu.shares cpu.cfs_quota_us memory.max cpu.weight cpu.max; do
                        find . -path '*kubepods*' -path '*\(uid)*' -name $file -exec sh -c 'echo $(basename {}) $(cat {})' ';'
                    done | sort -u
                    """
                ).orFail().lines
                let legacy = ["memory.limit_in_bytes 33554432", "cpu.shares 256", "cpu.cfs_quota_us 50000"]
                let unified = ["memory.max 33554432", "cpu.weight 35", "cpu.max 50000 100000"]
                #expect(legacy.allSatisfy(found.contains) || unified.allSatisfy(found.contains), "\(found)")
                let path = try await node.host.shell("find /sys/fs/cgroup -path '*\(uid)*' -type d").orFail().output
                #expect(path.contains("/kubepods/burstable/"))
            }
        }

        @Test(arguments: [
            ("besteffort", "", "1000"), ("guaranteed", "resources: {limits: {cpu: 100m, memory: 16Mi}}", "-997"),
        ])
        func theQualityClassSetsTheOutOfMemoryScore(_ name: String, _ resources: String, _ score: String) async throws {
            try await Node.with { node in
                // Without CAP_SYS_RESOURCE nobody can go below what he has: then that is what a container gets.
                let possible = "echo \(score) >/proc/self/oom_score_adj 2>/dev/null; cat /proc/self/oom_score_adj"
                let expected = try await node.host.shell(possible).orFail().trimmed
                try await ContainerCase(name, "cat /proc/self/oom_score_adj", expected, container: resources)
                    .check(on: node)
            }
        }

        @Test func logsRotateAndLoseNoLine() async throws {
            try await Node.with { node in
                // 24 MB of log in the usual files of 10 MiB: rotated twice.
                let script =
                    "i=0; while [ $i -lt 240 ]; do head -c 100000 /dev/zero | tr '\\0' $((i % 10)) | fold -w 999; echo; i=$((i + 1)); done"
                try await node.runPod(Node.manifest("chatty", script)).orFail()
                let pod = try await node.wait(for: "chatty", phase: "Succeeded", seconds: 120)
                let directory = "\(node.data)/logs/default_chatty_\(pod.uid)/main"
                let files = try listDirectory(directory)
                #expect(files.contains("0.log"))
                #expect(files.count >= 3, "\(files)")
                for file in files {
                    let bytes = try readFile("\(directory)/\(file)").count
                    #expect(bytes <= 11 << 20, "\(file): \(bytes)")
                }
                // A line of the log: time, stream, P or F, text (Kubernetes' CRI log format).
                let output = try await node.host.shell("cat \(directory)/* | cut -d' ' -f4- | tr -d '\\n' | wc -c")
                #expect(output.trimmed == "24000000")
            }
        }
    }
}
