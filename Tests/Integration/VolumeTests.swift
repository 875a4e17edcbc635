// Volumes: what containers share, and what of the host they see.
import Glibc
import Linux
import TestSupport
import Testing

private func volume(_ source: String, _ mount: String = "") -> (pod: String, container: String) {
    (
        "volumes: [{name: v, \(source)}]",
        "volumeMounts: [{name: v, mountPath: /v\(mount.isEmpty ? "" : ", " + mount)}]"
    )
}

/// `DIR` in a source stands for the test host's directory.
private struct VolumeCase: Sendable, CustomTestStringConvertible {
    let promise: String
    let source: String
    var mount = ""
    let script: String
    let expected: String
    var testDescription: String { promise }
}

private let served: [VolumeCase] = [
    .init(
        promise: "emptyDir is empty and writable", source: "emptyDir: {}", script: "ls -A /v | wc -l; touch /v/x",
        expected: "0"),
    .init(
        promise: "emptyDir in memory is a tmpfs of its size", source: "emptyDir: {medium: Memory, sizeLimit: 4Mi}",
        script: "stat -f -c %T /v; df -k /v | awk 'NR == 2 { print $2 }'", expected: "tmpfs\n4096"),
    .init(
        promise: "a read-only mount refuses writes", source: "emptyDir: {}", mount: "readOnly: true",
        script: "touch /v/x 2>/dev/null || echo refused", expected: "refused"),
    .init(
        promise: "hostPath Directory", source: "hostPath: {path: DIR/there, type: Directory}",
        script: "cat /v/file", expected: "from the host"),
    .init(
        promise: "hostPath File", source: "hostPath: {path: DIR/there/file, type: File}", script: "cat /v",
        expected: "from the host"),
    .init(
        promise: "hostPath without a type", source: "hostPath: {path: DIR/there}", script: "cat /v/file",
        expected: "from the host"),
    .init(
        promise: "hostPath DirectoryOrCreate makes it with mode 0755",
        source: "hostPath: {path: DIR/made/deep, type: DirectoryOrCreate}", script: "stat -c '%F %a' /v",
        expected: "directory 755"),
    .init(
        promise: "hostPath FileOrCreate makes it with mode 0644",
        source: "hostPath: {path: DIR/made-file, type: FileOrCreate}", script: "stat -c '%F %a' /v",
        expected: "regular empty file 644"),
    .init(
        promise: "hostPath Socket", source: "hostPath: {path: DIR/socket, type: Socket}", script: "stat -c %F /v",
        expected: "socket"),
    .init(
        promise: "hostPath CharDevice", source: "hostPath: {path: /dev/zero, type: CharDevice}",
        script: "head -c 3 /v | wc -c", expected: "3"),
    .init(
        promise: "subPath shows a part", source: "hostPath: {path: DIR/there}", mount: "subPath: part",
        script: "ls /v", expected: "inner"),
    .init(
        promise: "subPath of a file", source: "hostPath: {path: DIR/there}", mount: "subPath: file",
        script: "cat /v", expected: "from the host"),
    .init(
        promise: "subPath is made where it is missing", source: "emptyDir: {}", mount: "subPath: a/b",
        script: "stat -c %F /v", expected: "directory"),
]

private let refused: [VolumeCase] = [
    .init(
        promise: "hostPath Directory that is missing", source: "hostPath: {path: DIR/missing, type: Directory}",
        script: "true", expected: "DIR/missing"),
    .init(
        promise: "hostPath Directory that is a file", source: "hostPath: {path: DIR/there/file, type: Directory}",
        script: "true", expected: "DIR/there/file"),
    .init(
        promise: "hostPath Socket that is none", source: "hostPath: {path: DIR/there/file, type: Socket}",
        script: "true", expected: "DIR/there/file"),
    .init(
        promise: "hostPath BlockDevice that is none", source: "hostPath: {path: /dev/zero, type: BlockDevice}",
        script: "true", expected: "/dev/zero"),
    .init(
        promise: "subPath that leaves its volume by a symbolic link", source: "hostPath: {path: DIR/there}",
        mount: "subPath: escape", script: "true", expected: "escape"),
]

extension NodeTests {
    @Suite("Volumes") struct Volumes {
        private func prepare(_ node: Node) async throws {
            try await node.host.shell(
                """
                cd \(node.host.directory); mkdir -p there/part; echo from the host >there/file; touch there/part/inner
                ln -s /etc there/escape
                """
            ).orFail()
            // The path stays when nobody listens any more.
            _ = try UnixSocket.listen(at: "\(node.host.directory)/socket", .stream)
        }

        private func manifest(_ promise: VolumeCase, _ node: Node) -> String {
            let source = promise.source.replacing("DIR", with: node.host.directory)
            let (pod, container) = volume(source, promise.mount)
            return Node.manifest("case", promise.script, pod: pod, container: container)
        }

        @Test(arguments: served) fileprivate func isServed(_ promise: VolumeCase) async throws {
            try await Node.with { node in
                try await prepare(node)
                try await node.runPod(manifest(promise, node)).orFail()
                try await node.wait(for: "case", phase: "Succeeded", "Failed")
                #expect(try await node.logs("case").trimmed == promise.expected)
            }
        }

        /// Either refused at once or told in the pod's status; in both ways the path is named and nothing runs.
        @Test(arguments: refused) fileprivate func isRefusedByName(_ promise: VolumeCase) async throws {
            try await Node.with { node in
                try await prepare(node)
                let subject = promise.expected.replacing("DIR", with: node.host.directory)
                let said = try await node.submitPod(manifest(promise, node))
                try await eventually("the status or the command names \(subject)") {
                    let status = try await node.pod("case")?["status"]?.text() ?? ""
                    return (said + status).replacing("\\/", with: "/").contains(subject)
                }
                let main = try await node.pod("case")?.container("main")
                #expect(main?.isRunning != true && main?.terminated == nil, "nothing of it may have run")
            }
        }

        @Test func containersOfAPodShareAVolumeThatOutlivesARestart() async throws {
            try await Node.with { node in
                let manifest = """
                    apiVersion: v1
                    kind: Pod
                    metadata: {name: shared}
                    spec:
                      terminationGracePeriodSeconds: 1
                      volumes: [{name: v, emptyDir: {}}]
                      containers:
                        - name: writer
                          image: \(Node.busybox)
                          command: [sh, -c, "echo run >>/v/runs; [ $(wc -l </v/runs) -gt 1 ] || exit 0; exec sleep 1000"]
                          volumeMounts: [{name: v, mountPath: /v}]
                        - name: reader
                          image: \(Node.busybox)
                          command: [sleep, "1000"]
                          volumeMounts: [{name: v, mountPath: /other/place, readOnly: true}]
                    """
                try await node.runPod(manifest).orFail()
                try await node.wait(for: "shared", container: "writer", "ran twice") {
                    $0.restarts == 1 && $0.isRunning
                }
                #expect(try await node.exec("shared", container: "reader", "cat /other/place/runs") == "run\nrun")
            }
        }

        @Test func mountsOnTheHostReachAContainerThatAskedForThem() async throws {
            try await Node.with { node in
                // A shared mount, as / is on most hosts; the test's own is private.
                let shared = "\(node.host.directory)/shared"
                try await node.host.shell(
                    "mkdir \(shared) && mount -t tmpfs t \(shared) && mount --make-shared \(shared)"
                )
                .orFail()
                let source = "hostPath: {path: \(shared)}"
                for (name, mode) in [("follows", "HostToContainer"), ("apart", "None")] {
                    let (pod, container) = volume(source, "mountPropagation: \(mode)")
                    try await node.runPod(Node.manifest(name, "sleep 1000", pod: pod, container: container)).orFail()
                    try await node.wait(for: name, phase: "Running")
                }
                try await node.host.shell("mkdir \(shared)/in && mount -t tmpfs t \(shared)/in && touch \(shared)/in/x")
                    .orFail()
                #expect(try await node.exec("follows", "ls /v/in") == "x")
                #expect(try await node.exec("apart", "ls /v/in") == "")
            }
        }

        @Test(arguments: ["", "hostIPC: true"])
        func whatIsMountedInAContainerIsNotMountedOnTheHost(pod: String) async throws {
            try await Node.with { node in
                // Shared, as systemd makes them; the test's own host has private ones.
                try await node.host.shell("mount --make-rshared /").orFail()
                func mounts() async throws -> [String] {
                    try await node.host.shell("awk '{ print $5 }' /proc/self/mountinfo | sort").orFail().lines
                }
                let before = try await mounts()
                let volumes = "volumes: [{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]"
                let places = ["/v", "/v/in", "/v/in/memory", "/dev/shm", "/etc/hosts.d"].map {
                    "{name: \($0.hasSuffix("memory") || $0 == "/dev/shm" ? "memory" : "disk"), mountPath: \($0)}"
                }
                let container = "volumeMounts: [\(places.joined(separator: ", "))]"
                let manifest = Node.manifest("deep", "sleep 1000", pod: "\(pod)\n\(volumes)", container: container)
                try await node.runPod(manifest).orFail()
                let pod = try await node.wait(for: "deep", phase: "Running")
                // What the agent itself keeps of a pod in memory, and each once.
                var added = try await mounts()
                for mount in before { added.firstIndex(of: mount).map { _ = added.remove(at: $0) } }
                #expect(added.allSatisfy { $0.hasPrefix("\(node.run)/pods/\(pod.uid)/") }, "\(added)")
                #expect(Set(added).count == added.count, "\(added)")
                try await node.swiftlet("pod", "rm", "-f", "deep").orFail()
                #expect(try await mounts() == before)
            }
        }
    }
}
