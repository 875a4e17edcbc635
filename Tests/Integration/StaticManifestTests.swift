// `swiftlet node --manifests DIR`: what the directory says, runs.
import Glibc
import Linux
import TestSupport
import Testing

extension NodeTests {
    @Suite("Static manifests") struct StaticManifests {
        private func place(_ node: Node, _ name: String, _ text: String) throws {
            try writeFileAtomically("\(node.manifests)/\(name)", Array(text.utf8), mode: 0o644)
        }

        @Test func aFileAddsAndItsRemovalRemoves() async throws {
            try await Node.with { node in
                try place(
                    node, "a.yaml", Node.manifest("one", "sleep 1000") + "\n---\n" + Node.manifest("two", "sleep 1000"))
                try await node.wait(for: "one", phase: "Running")
                try await node.wait(for: "two", phase: "Running")
                // One of two documents goes.
                try place(node, "a.yaml", Node.manifest("one", "sleep 1000"))
                try await eventually("two is gone") { try await node.pod("two") == nil }
                let one = try await node.wait(for: "one", phase: "Running")
                #expect(one.container("main")?.restarts == 0, "what did not change is left alone")
                try check(unlink("\(node.manifests)/a.yaml"), "unlink")
                try await eventually("nothing is left") { try await node.pods().isEmpty }
            }
        }

        @Test func aChangedManifestReplacesItsPod() async throws {
            try await Node.with { node in
                try place(
                    node, "a.json",
                    #"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "\#(Node.busybox)", "command": ["sh", "-c", "echo before; sleep 1000"]}]}}"#
                )
                let first = try await node.wait(for: "one", phase: "Running").uid
                try place(
                    node, "a.json",
                    #"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "\#(Node.busybox)", "command": ["sh", "-c", "echo after; sleep 1000"]}]}}"#
                )
                try await eventually("the changed pod says so", seconds: 30) {
                    try await node.logs("one").trimmed == "after"
                }
                #expect(try await node.wait(for: "one", phase: "Running").uid != first)
                #expect(try await node.pods().count == 1)
            }
        }

        @Test func aBadFileIsNamedAndTheOthersRun() async throws {
            try await Node.with { node in
                try place(
                    node, "bad.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: none}\n")
                try place(node, "good.yaml", Node.manifest("good", "sleep 1000"))
                try await node.wait(for: "good", phase: "Running")
                try await eventually("the agent's log names file, line and field") {
                    let log = try readText(node.log)
                    return log.contains("bad.yaml:4") && log.contains("spec.containers")
                }
                // A file that turns bad keeps its pod running: a slip of the hand takes nothing down.
                try place(node, "good.yaml", "kind: [")
                try await eventually("the log names it") { try readText(node.log).contains("good.yaml") }
                try await node.wait(for: "good", phase: "Running")
            }
        }

        @Test func podsSurviveARestartOfTheNodeAndItsFilesAreTheTruth() async throws {
            try await Node.with(agent: false) { node in
                try place(node, "one.yaml", Node.manifest("one", "sleep 1000"))
                try place(node, "two.yaml", Node.manifest("two", "sleep 1000"))
                let agent = try await node.startAgent()
                let one = try await node.wait(for: "one", phase: "Running").uid
                try await node.wait(for: "two", phase: "Running")
                _ = try await agent.stop(SIGTERM)
                try check(unlink("\(node.manifests)/two.yaml"), "unlink")
                _ = try await node.startAgent()
                try await eventually("the pod whose file went meanwhile is gone") { try await node.pod("two") == nil }
                #expect(try await node.wait(for: "one", phase: "Running").uid == one)
            }
        }
    }
}
