// The agent may die at any instant: pods live on, and the next agent knows all that happened meanwhile.
import Glibc
import Linux
import TestSupport
import Testing

/// Counts aloud, ten lines a second, and ends by itself with exit code 9 when it finds /v/stop.
private let counter = """
    i=0
    while [ ! -e /v/stop ]; do echo line $i; i=$((i + 1)); sleep 0.1; done
    echo end $i; exit 9
    """
private let shared = (
    pod: "volumes: [{name: v, emptyDir: {}}]", container: "volumeMounts: [{name: v, mountPath: /v}]"
)

extension NodeTests {
    @Suite("A killed agent") struct Adoption {
        @Test func losesNoLogLineAndNoExitCodeOfAPodThatEndsWhileNobodyWatches() async throws {
            try await Node.with(agent: false) { node in
                let agent = try await node.startAgent()
                try await node.runPod(Node.manifest("count", counter, pod: shared.pod, container: shared.container))
                    .orFail()
                let pod = try await node.wait(for: "count", phase: "Running")
                try await eventually("some lines") { try await node.logs("count").lines.count > 5 }

                #expect(try await agent.stop(SIGKILL) == 128 + SIGKILL)
                let volume = "\(node.data)/pods/\(pod.uid)/volumes/v"
                let log = "\(node.data)/logs/default_count_\(pod.uid)/main/0.log"
                try await eventually("the log grows without an agent") {
                    try readText(log).split(separator: "\n").count > 20
                }
                try writeFileAtomically("\(volume)/stop", [], mode: 0o644)
                try await eventually("the container ended") { try readText(log).contains(" end ") }

                _ = try await node.startAgent()
                let ended = try await node.wait(for: "count", phase: "Failed")
                #expect(ended.uid == pod.uid)
                #expect(ended.container("main")?.terminated?["exitCode"] == 9)
                let lines = try await node.logs("count").lines
                #expect(lines == (0..<(lines.count - 1)).map { "line \($0)" } + ["end \(lines.count - 1)"])
            }
        }

        @Test func findsItsRunningPodsAndGoesOnWithThem() async throws {
            try await Node.with(agent: false) { node in
                var agent = try await node.startAgent()
                try await node.runPod(
                    Node.manifest("stay", "trap 'exit 4' TERM; while :; do sleep 0.1; done", restartPolicy: "Always")
                ).orFail()
                let pod = try await node.wait(for: "stay", phase: "Running")
                let started = pod.container("main")?["state"]
                for _ in 0..<3 {
                    _ = try await agent.stop(SIGKILL)
                    agent = try await node.startAgent()
                    let adopted = try await node.wait(for: "stay", phase: "Running")
                    #expect(adopted.container("main")?["state"] == started)
                    #expect(adopted.container("main")?.restarts == 0)
                }
                #expect(try await node.exec("stay", "echo still here") == "still here")
                // It restarts what ends, as before.
                _ = try await node.exec("stay", "kill -TERM 1; true")
                try await node.wait(for: "stay", container: "main", "started again") {
                    $0.restarts == 1 && $0.terminated?["exitCode"] == 4
                }
                try await node.swiftlet("pod", "rm", "-f", "stay").orFail()
            }
        }

        /// While pods come and go, the agent is killed at moments spread over all of what it does.
        @Test func atAnyMomentLeavesNothingHalfMade() async throws {
            try await Node.with(agent: false) { node in
                var agent = try await node.startAgent()
                let before = try await node.host.census(of: ["\(node.data)/pods", "\(node.run)/pods"])
                for round in 0..<24 {
                    let path = try node.file("pod.yaml", Node.manifest("round-\(round)", "sleep 1000"))
                    let arguments = ["pod", "run", path]
                    async let command = node.command(arguments, seconds: 30)
                    try await Task.sleep(nanoseconds: UInt64(round) * 8_000_000)
                    _ = try await agent.stop(SIGKILL)
                    _ = try await command
                    agent = try await node.startAgent()
                    // Acknowledged or not, what is listed comes to run or is told why not; nothing is stuck.
                    for pod in try await node.pods() {
                        try await node.wait(for: pod["metadata"]?["name"]?.stringValue ?? "", phase: "Running")
                    }
                }
                #expect(try await node.pods().count > 0)
                for pod in try await node.pods() {
                    try await node.swiftlet("pod", "rm", "-f", pod["metadata"]?["name"]?.stringValue ?? "").orFail()
                }
                let left = try await node.host.census(of: ["\(node.data)/pods", "\(node.run)/pods"]).left(since: before)
                #expect(left.filter { !$0.hasPrefix("cgroup") || $0.contains("/pod") } == [])
            }
        }

        @Test func anAcknowledgedPodIsNeverForgotten() async throws {
            try await Node.with(agent: false) { node in
                for round in 0..<5 {
                    let agent = try await node.startAgent()
                    try await node.runPod(Node.manifest("kept-\(round)", "sleep 1000")).orFail()
                    _ = try await agent.stop(SIGKILL)
                }
                _ = try await node.startAgent()
                for round in 0..<5 { try await node.wait(for: "kept-\(round)", phase: "Running") }
            }
        }

        @Test func leavesAPodAloneWhoseFileCannotBeRead() async throws {
            try await Node.with(agent: false) { node in
                var agent = try await node.startAgent()
                try await node.runPod(
                    Node.manifest("kept", "echo x >/v/x; sleep 1000", pod: shared.pod, container: shared.container)
                ).orFail()
                let pod = try await node.wait(for: "kept", phase: "Running")
                _ = try await agent.stop(SIGKILL)
                let file = "\(node.data)/pods/\(pod.uid)/pod.json"
                let content = try readFile(file)
                try writeFileAtomically(file, Array("{".utf8))
                // What an interrupted removal leaves, with what a container wrote into its volume.
                let forged = "\(node.data)/pods/.removed-1-2-3"
                try makeDirectories(forged)
                try writeFileAtomically("\(forged)/pod.json", content)

                agent = try await node.startAgent()
                try await eventually("the agent has looked at all pods") { !fileExists(forged) }
                try await eventually("no pod is listed") { try await node.pods().isEmpty }
                #expect(fileExists("\(node.data)/pods/\(pod.uid)/volumes/v/x"))
                _ = try await agent.stop(SIGKILL)

                try writeFileAtomically(file, content)
                _ = try await node.startAgent()
                let again = try await node.wait(for: "kept", phase: "Running")
                #expect(again.container("main")?["state"] == pod.container("main")?["state"])
                try await node.swiftlet("pod", "rm", "-f", "kept").orFail()
                #expect(!fileExists("\(node.data)/pods/\(pod.uid)"))
            }
        }

        @Test func twoAgentsDoNotShareARunDirectory() async throws {
            try await Node.with { node in
                let second = try await node.swiftlet("node", "--manifests", node.manifests, seconds: 10)
                #expect(second.exitCode != 0 && !second.timedOut)
                #expect(second.errors.contains(node.run))
            }
        }
    }
}
