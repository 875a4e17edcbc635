import JSONTree
import TestSupport
import Testing

/// A promise about what a container finds: a pod whose one container prints what it sees, and what that must be.
struct ContainerCase: Sendable, CustomTestStringConvertible {
    let promise: String
    let script: String
    let expected: [String]
    var pod = ""
    var container = ""
    var exitCode: Int64 = 0

    init(
        _ promise: String, _ script: String, _ expected: String..., pod: String = "", container: String = "",
        exitCode: Int64 = 0
    ) {
        (self.promise, self.script, self.expected) = (promise, script, expected)
        (self.pod, self.container, self.exitCode) = (pod, container, exitCode)
    }

    var testDescription: String { promise }

    /// Runs the pod to its end on `node` and compares.
    func check(on node: Node, name: String = "case") async throws {
        try await node.runPod(Node.manifest(name, script, pod: pod, container: container)).orFail()
        let ended = try await node.wait(for: name, phase: "Succeeded", "Failed")
        let output = try await node.logs(name).orFail()
        #expect(output.lines == expected, "\(promise); stderr: \(output.errors)")
        #expect(ended.container("main")?.terminated?["exitCode"]?.integerValue == exitCode, "\(promise)")
    }
}
