// Bad input: one clear line that says what and where; running pods left alone; nothing half-made left behind.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

/// A manifest that is refused, and what the refusal must name.
private struct Refusal: Sendable, CustomTestStringConvertible {
    let manifest: String
    let named: [String]
    init(_ manifest: String, _ named: String...) { (self.manifest, self.named) = (manifest, named) }
    var testDescription: String { named.joined(separator: ", ") }

    static func pod(_ lines: String) -> String {
        "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers:\n  - name: main\n    image: \(Node.busybox)\n"
            + lines.indented(4) + "\n"
    }
}

private let refusals: [Refusal] = [
    .init(Refusal.pod("command: sleep"), "pod.yaml:8", "spec.containers[0].command"),
    .init(Refusal.pod("comand: [sleep]"), "pod.yaml:8", "comand"),
    .init(Refusal.pod("tty: true\ntty: false"), "pod.yaml:9", "tty"),
    .init(Refusal.pod("resources: {limits: {memory: lots}}"), "pod.yaml:8", "lots"),
    .init(Refusal.pod("ports: [{containerPort: 70000}]"), "pod.yaml:8", "containerPort"),
    .init(Refusal.pod("securityContext: {capabilities: {add: [FLY]}}"), "FLY"),
    .init(Refusal.pod("").replacing("{name: bad}", with: "{name: Bad_Name}"), "pod.yaml:3", "metadata.name"),
    .init(Refusal.pod("").replacing("{name: bad}", with: "{name: bad, labels: {'a b': c}}"), "pod.yaml:3", "a b"),
    .init(Refusal.pod("").replacing("kind: Pod", with: "kind: Pond"), "pod.yaml:2", "Pond"),
    .init(Refusal.pod("livenessProbe: {exec: {command: [ls]}}"), "pod.yaml:8", "livenessProbe"),
    .init(Refusal.pod("volumeMounts: [{name: missing, mountPath: /v}]"), "missing"),
    .init(Refusal.pod("").replacing("name: main", with: "name: main\n    name: again"), "pod.yaml:7", "name"),
    .init("{apiVersion: v1, kind: Pod", "pod.yaml:1"),
    .init("", "pod.yaml"),
]

extension NodeTests {
    @Suite("Bad input") struct BadInput {
        @Test(arguments: refusals) fileprivate func aManifestIsRefusedWithItsPlace(_ refusal: Refusal) async throws {
            try await Node.with(images: []) { node in
                let outcome = try await node.runPod(refusal.manifest)
                #expect(!outcome.succeeded)
                for name in refusal.named { #expect(outcome.errors.contains(name), "\(outcome)") }
                #expect(outcome.errors.split(separator: "\n").count == 1, "one line: \(outcome.errors)")
                #expect(try await node.pods().isEmpty)
            }
        }

        /// Nobody listens on this port of loopback.
        private static let missing = "127.0.0.1:5999/no/such:tag"

        @Test func anImageNobodyHasIsNamedAndNothingIsMade() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("bystander", "sleep 1000")).orFail()
                let manifest = Node.manifest("missing", "true").replacing(Node.busybox, with: Self.missing)
                let never = manifest.replacing("command:", with: "imagePullPolicy: Never\n      command:")
                for outcome in [
                    try await node.runPod(manifest), try await node.runPod(never),
                    try await node.swiftlet("image", "pull", Self.missing),
                ] {
                    #expect(!outcome.succeeded && outcome.errors.contains(Self.missing), "\(outcome)")
                }
                #expect(try await node.pod("missing") == nil)
                try await node.wait(for: "bystander", phase: "Running")
            }
        }

        @Test func anImageThatAStaticPodLacksIsToldInItsStatus() async throws {
            try await Node.with { node in
                let manifest = Node.manifest("missing", "true").replacing(Node.busybox, with: Self.missing)
                let never = manifest.replacing("command:", with: "imagePullPolicy: Never\n      command:")
                    .replacing("name: missing", with: "name: never")
                try writeFileAtomically(
                    "\(node.manifests)/pods.yaml", Array((manifest + "\n---\n" + never).utf8), mode: 0o644)
                let status = try await node.wait(for: "missing", container: "main", "the pull failed") {
                    ["ErrImagePull", "ImagePullBackOff"].contains($0["state"]?["waiting"]?["reason"])
                }
                #expect(status["state"]?["waiting"]?["message"]?.stringValue?.contains("127.0.0.1:5999") == true)
                try await node.wait(for: "never", container: "main", "is told") {
                    $0["state"]?["waiting"]?["reason"] == "ErrImageNeverPull"
                }
            }
        }

        @Test func aStaticPodRunsOnceItsRegistryIsBack() async throws {
            try await Node.with { node in
                let manifest = Node.manifest("patient", "echo pulled").replacing(
                    Node.busybox, with: "127.0.0.1:5001/busybox:1")
                try writeFileAtomically("\(node.manifests)/pod.yaml", Array(manifest.utf8), mode: 0o644)
                try await node.wait(for: "patient", container: "main", "the first pull failed") {
                    ["ErrImagePull", "ImagePullBackOff"].contains($0["state"]?["waiting"]?["reason"])
                }
                let images = "\(TestImages.repository)/scripts/lib/images"
                let registry = try node.host.start(
                    [images, "registry", "\(node.host.directory)/registry", "5001"],
                    log: "\(node.host.directory)/registry.log")
                try await eventually("the registry answers") {
                    try await node.host.run(["curl", "-fs", "http://127.0.0.1:5001/v2/"]).succeeded
                }
                try await node.host.run([
                    images, "push", TestImages.layout("busybox"), "busybox", "127.0.0.1:5001/busybox:1",
                ])
                .orFail()
                try await node.wait(for: "patient", phase: "Succeeded", seconds: 60)
                #expect(try await node.logs("patient").trimmed == "pulled")
                _ = try await registry.stop()
            }
        }

        @Test func aDirectoryOfANewerVersionIsLeftAlone() async throws {
            try await Node.with(agent: false, images: []) { node in
                try await node.host.shell("mkdir -p \(node.data) && echo 999 >\(node.data)/version").orFail()
                let before = try await node.host.shell("find \(node.data) | sort").orFail().output
                for command in [["node", "--manifests", node.manifests], ["pod", "ps"], ["image", "ls"]] {
                    let outcome = try await node.command(command, seconds: 20)
                    if command == ["pod", "ps"] && outcome.succeeded { continue }
                    #expect(outcome.exitCode != 0 && !outcome.timedOut, "\(outcome)")
                    #expect(outcome.errors.contains("999") && outcome.errors.contains(node.data), "\(outcome)")
                }
                #expect(try await node.host.shell("find \(node.data) | sort").orFail().output == before)
            }
        }

        @Test func aFullDiskIsNamedAndLeavesNoHalfImage() async throws {
            try await Node.with(agent: false, images: []) { node in
                try await node.host.shell("mkdir -p \(node.data) && mount -t tmpfs -o size=2M tmpfs \(node.data)")
                    .orFail()
                let layout = try TestImages.layout("nginx")
                let full = try await node.swiftlet("image", "import", "--name", Node.nginx, layout)
                #expect(!full.succeeded && full.errors.contains("No space left on device"), "\(full)")
                #expect(try await !node.swiftlet("image", "ls").orFail().output.contains("images.test"))
                // Given room, the same import does it.
                try await node.host.shell("mount -o remount,size=64M \(node.data)").orFail()
                try await node.swiftlet("image", "import", "--name", Node.nginx, layout).orFail()
            }
        }

        @Test func aPodOnAFullDiskIsRefusedAndOthersRunOn() async throws {
            try await Node.with(agent: false, images: []) { node in
                try await node.host.shell("mkdir -p \(node.data) && mount -t tmpfs -o size=32M tmpfs \(node.data)")
                    .orFail()
                try await node.swiftlet("image", "import", "--name", Node.busybox, TestImages.layout("busybox"))
                    .orFail()
                _ = try await node.startAgent()
                try await node.runPod(Node.manifest("first", "while :; do echo tick; sleep 0.1; done")).orFail()
                try await node.wait(for: "first", phase: "Running")
                _ = try await node.host.shell("head -c 100000000 /dev/zero >\(node.data)/ballast")
                let said = try await node.submitPod(Node.manifest("second", "sleep 1000"))
                let status = try await node.pod("second")?["status"]?.text() ?? ""
                #expect((said + status).contains("No space left on device"), "\(said), \(status)")
                #expect(try await node.exec("first", "echo alive") == "alive")
                try await node.host.shell("rm \(node.data)/ballast").orFail()
                _ = try await node.swiftlet("pod", "rm", "-f", "second")
                try await node.runPod(Node.manifest("third", "sleep 1000")).orFail()
                try await node.wait(for: "third", phase: "Running")
            }
        }

        @Test func aNameThatIsTakenIsRefusedAndItsPodLeftAlone() async throws {
            try await Node.with { node in
                try await node.runPod(Node.manifest("one", "sleep 1000")).orFail()
                let uid = try await node.wait(for: "one", phase: "Running").uid
                let second = try await node.runPod(Node.manifest("one", "sleep 2000"), seconds: 10)
                #expect(!second.succeeded && second.errors.contains("one"), "\(second)")
                #expect(try await node.wait(for: "one", phase: "Running").uid == uid)
            }
        }

        @Test func commandsOnAPodThatIsNotThereSaySo() async throws {
            try await Node.with(images: []) { node in
                for command in [
                    ["logs", "ghost"], ["stop", "ghost"], ["rm", "ghost"], ["inspect", "ghost"],
                    ["exec", "ghost", "--", "ls"],
                ] {
                    let outcome = try await node.command(["pod"] + command)
                    #expect(!outcome.succeeded && outcome.errors.contains("ghost"), "\(outcome)")
                    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
                }
            }
        }
    }
}
