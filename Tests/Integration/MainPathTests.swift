// The way of a pod from its manifest to nothing, by the commands a person types.
import Linux
import TestSupport
import Testing

extension NodeTests {
    @Suite("The main path") struct MainPath {
        @Test func podRunsIsSeenIsEnteredAndGoesLeavingNothing() async throws {
            try await Node.with { node in
                let before = try await node.host.census(of: [
                    "\(node.data)/pods", "\(node.data)/logs", "\(node.run)/pods",
                ])
                let script = "echo one; echo two >&2; echo three; sleep 1000"
                try await node.runPod(Node.manifest("walk", script, restartPolicy: "Always")).orFail()
                let pod = try await node.wait(for: "walk", phase: "Running")
                #expect(pod.container("main")?.isRunning == true)
                #expect(!pod.podIP.isEmpty)

                let table = try await node.swiftlet("pod", "ps").orFail()
                #expect(table.lines.contains { $0.contains("walk") && $0.contains("Running") })
                #expect(try await node.swiftlet("pod", "inspect", "walk").orFail().output.contains(pod.uid))

                try await eventually("all lines logged") { try await node.logs("walk").lines.count == 3 }
                #expect(try await node.logs("walk").lines.sorted() == ["one", "three", "two"])
                // Standard output and error are two pipes: only the order within each is certain.
                #expect(try await node.logs("walk", container: "main", "--tail", "1").lines.count == 1)

                #expect(try await node.exec("walk", "hostname") == "walk")
                #expect(try await node.swiftlet("pod", "exec", "walk", "--", "sh", "-c", "exit 7").exitCode == 7)
                #expect(try await node.swiftlet("pod", "exec", "walk", "--", "no-such-command").exitCode == 127)
                let echo = try await node.swiftlet("pod", "exec", "-i", "walk", "--", "cat", input: "through").orFail()
                #expect(echo.output == "through")
                #expect(try await node.swiftlet("pod", "stats").orFail().output.contains("walk"))

                try await node.swiftlet("pod", "stop", "--grace", "1", "walk").orFail()
                try await node.swiftlet("pod", "rm", "-f", "walk").orFail()
                #expect(try await node.pods().isEmpty)
                let left = try await node.host.census(of: [
                    "\(node.data)/pods", "\(node.data)/logs", "\(node.run)/pods",
                ])
                .left(since: before)
                // The tree of quality classes stays; it is the node's, not the pod's.
                #expect(left.filter { !$0.hasPrefix("cgroup") || $0.contains("/pod") } == [])
            }
        }

        @Test func commandsWorkWhereNothingOfSwiftletRuns() async throws {
            try await Node.with(agent: false) { node in
                let run = try await node.runPod(
                    Node.manifest("alone", "echo here; sleep 1000", restartPolicy: "Always"))
                try run.orFail()
                #expect(!run.outputHeldOpen, "a shell's $(swiftlet pod run …) must not wait for the agent")
                try await node.wait(for: "alone", phase: "Running")
                #expect(try await node.logs("alone").lines == ["here"])
                // The container ends; the agent that outlived the command starts it again.
                _ = try await node.swiftlet("pod", "exec", "alone", "--", "kill", "-KILL", "-1")
                try await node.wait(for: "alone", container: "main", "started again") {
                    $0.restarts == 1 && $0.isRunning
                }
                try await node.swiftlet("pod", "rm", "-f", "alone").orFail()
            }
        }

        @Test func logsFollowUntilThePodIsGone() async throws {
            try await Node.with { node in
                let script = "for i in $(seq 5); do echo line $i; sleep 0.1; done"
                try await node.runPod(Node.manifest("talk", script)).orFail()
                let followed = try await node.logs("talk", container: nil, "-f")
                #expect(followed.lines == (1...5).map { "line \($0)" })
                #expect(
                    try await node.wait(for: "talk", phase: "Succeeded").container("main")?.terminated?["exitCode"] == 0
                )
            }
        }

        @Test func execGivesATerminalWhenAskedForOne() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("term", "sleep 1000")).orFail()
                try await node.wait(for: "term", phase: "Running")
                let options = node.directories.joined(separator: " ")
                // script(1) is the terminal: it has no Debian package of its own.
                let outcome = try await node.host.shell(
                    "script -qec '\(Node.binary) pod exec -it \(options) term -- sh -c \"tty; stty size; exit 3\"' /dev/null"
                        + " </dev/null",
                    seconds: 20)
                #expect(outcome.exitCode == 3)
                #expect(outcome.output.contains("/dev/pts/"))
            }
        }

        @Test func imagesAreListedRemovedAndPrunedButNeverFromUnderAPod() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("user", "sleep 1000")).orFail()
                try await node.wait(for: "user", phase: "Running")
                #expect(try await node.swiftlet("image", "ls").orFail().output.contains("images.test/busybox"))
                try await node.swiftlet("image", "inspect", Node.busybox).orFail()
                // The name may go; what the pod stands on may not.
                try await node.swiftlet("image", "rm", Node.busybox).orFail()
                try await node.swiftlet("image", "prune").orFail()
                #expect(try await !node.swiftlet("image", "ls").orFail().output.contains("images.test/busybox"))
                #expect(try await node.exec("user", "md5sum </bin/busybox | wc -c") == "36")
                try await node.swiftlet("pod", "rm", "-f", "user").orFail()
                try await node.swiftlet("image", "prune").orFail()
                let rest = try await node.host.shell("find \(node.data)/images -type f -size +64k").orFail().output
                #expect(rest.isEmpty, "nothing uses it any more: \(rest)")
            }
        }

        @Test func theImagesEntryPointRunsWhereTheManifestNamesNone() async throws {
            try await Node.with(images: ["busybox", "nginx"]) { node in
                let manifest = """
                    {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [
                      {name: server, image: '\(Node.nginx)', ports: [{containerPort: 80}]}]}}
                    """
                try await node.runPod(manifest).orFail()
                let address = try await node.wait(for: "web", phase: "Running").podIP
                try await eventually("nginx answers") {
                    try await node.host.run(["curl", "-fsS", "http://\(address)/"]).output.contains("Served by nginx")
                }
            }
        }
    }
}
