// What is left: nothing of pods that are gone, nothing of Swiftlet after a reset, and all that is not Swiftlet's.
import Glibc
import Linux
import TestSupport
import Testing

extension NodeTests {
    @Suite("Leftovers") struct Leftovers {
        @Test func fiftyPodsComeAndGoAndLeaveNothing() async throws {
            try await Node.with { node in
                let directories = ["\(node.data)/pods", "\(node.data)/logs", "\(node.run)/pods"]
                // The first pod makes what is the node's own: the quality classes' cgroups, the tables.
                try await node.runPod(Node.manifest("zero", "true")).orFail()
                try await node.wait(for: "zero", phase: "Succeeded")
                try await node.swiftlet("pod", "rm", "-f", "zero").orFail()
                let before = try await node.host.census(of: directories)
                let names = (0..<50).map { "pod-\($0)" }
                let volumes = (
                    pod: "volumes: [{name: v, emptyDir: {medium: Memory}}]",
                    container: "volumeMounts: [{name: v, mountPath: /v}]"
                )
                for name in names {
                    try await node.runPod(
                        Node.manifest(name, "sleep 1000", pod: volumes.pod, container: volumes.container)
                    ).orFail()
                }
                for name in names { try await node.wait(for: name, phase: "Running", seconds: 60) }
                let addresses = try await node.pods().map(\.podIP)
                #expect(Set(addresses).count == names.count, "an address of its own for each")
                for name in names { try await node.swiftlet("pod", "rm", "-f", name).orFail() }
                let left = try await node.host.census(of: directories).left(since: before)
                #expect(left == [])
            }
        }

        @Test func resetRemovesAllOfSwiftletAndNothingElse() async throws {
            try await Node.with(agent: false) { node in
                let foreign = """
                    nft add table ip kept
                    nft add chain ip kept input '{ type filter hook input priority 0; }'
                    nft add rule ip kept input tcp dport 9 drop comment '"not ours"'
                    ip link add kept0 type veth peer name kept1
                    ip route add 198.51.100.0/24 via 192.0.2.1
                    mkdir -p \(node.host.directory)/mine && touch \(node.host.directory)/mine/file
                    mkdir -p /run/other && mkdir -p /run/kept-mount && mount -t tmpfs tmpfs /run/kept-mount
                    for hierarchy in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup; do
                        [ ! -e $hierarchy/cgroup.procs ] || mkdir $hierarchy/kept-by-others
                    done
                    """
                try await node.host.shell("set -e; \(foreign)").orFail()
                let before = try await node.host.census(of: [node.host.directory, "/run"])

                let agent = try await node.startAgent()
                let service = """
                    {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: one}, ports: [{port: 80}]}}
                    """
                try writeFileAtomically("\(node.manifests)/service.yaml", Array(service.utf8), mode: 0o644)
                let volumes = "volumes: [{name: v, emptyDir: {medium: Memory}}]"
                try await node.runPod(Node.manifest("one", "sleep 1000", pod: volumes)).orFail()
                try await node.wait(for: "one", phase: "Running")
                #expect(try await node.host.census().left(since: before).count > 5)

                // Without --yes it asks, and nobody answers.
                #expect(try await !node.swiftlet("reset").succeeded)
                try await node.wait(for: "one", phase: "Running")
                _ = try await agent.stop(SIGKILL)
                try await node.swiftlet("reset", "--yes").orFail()

                let after = try await node.host.census(of: [node.host.directory, "/run"])
                // The log and manifest that this test wrote are its own.
                let own = ["agent.log", "pod.yaml", "manifests"].map { "file \(node.host.directory)/\($0)" }
                #expect(after.left(since: before).filter { !own.contains($0) } == [])
                let gone = before.left(since: after).filter {
                    !$0.hasPrefix("file \(node.data)") && !$0.hasPrefix("file \(node.run)")
                }
                #expect(gone == [], "nothing of others may go")
                #expect(!fileExists(node.data) && !fileExists(node.run))
                try await node.swiftlet("reset", "--yes").orFail()
            }
        }

        @Test func resetEndsARunningAgentAndPodsFirst() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("one", "sleep 1000")).orFail()
                try await node.wait(for: "one", phase: "Running")
                try await node.swiftlet("reset", "--yes").orFail()
                let left = try await node.host.census()
                #expect(left.entries.keys.filter { $0.hasPrefix("process ") && $0.contains("swiftlet node") } == [])
                #expect(left.entries.keys.filter { $0.hasPrefix("process sleep") || $0.contains("podinit") } == [])
                #expect(left.count("rule") == 0)
            }
        }

        @Test func doctorTellsTheStateOfTheHost() async throws {
            try await Node.with(agent: false, images: []) { node in
                let outcome = try await node.swiftlet("doctor")
                #expect(outcome.exitCode == 0, "\(outcome)")
                for subject in ["cgroup", "overlay", "nf_tables"] {
                    #expect(outcome.output.lowercased().contains(subject), "\(outcome.output)")
                }
            }
        }
    }
}
