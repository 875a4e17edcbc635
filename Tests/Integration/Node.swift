// End-to-end tests: the built `swiftlet` on a host made for the test, driven as a person drives it.
import Glibc
import JSONTree
import Linux
import TestSupport
import Testing

/// All end-to-end tests, one after the other: they measure waiting times and share this machine's two cores.
@Suite("A node", .serialized)
enum NodeTests {}

/// A host with directories for one node, and `swiftlet` to command it.
struct Node: Sendable {
    let host: TestHost
    let data: String
    let run: String
    let manifests: String
    /// The image that ``manifest(_:_:pod:container:)`` uses; imported by ``with(agent:body:)``.
    static let busybox = "images.test/busybox:1"
    static let nginx = "images.test/nginx:1"

    /// The program under test: `SWIFTLET_BINARY`, or the debug build.
    static let binary = environment("SWIFTLET_BINARY") ?? "\(TestImages.repository)/.build/debug/swiftlet"

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static var podinit: [String] {
        environment("SWIFTLET_PODINIT").map { ["SWIFTLET_PODINIT=\($0)"] } ?? []
    }

    /// Runs `body` on a node with the images `images` and, where `agent` is set, a running agent. When `body` fails, what
    /// the agent said last goes into the test's report.
    static func with(
        agent: Bool = true, images: [String] = ["busybox"], isolation: isolated (any Actor)? = #isolation,
        _ body: (Node) async throws -> Void
    ) async throws {
        guard access(binary, X_OK) == 0 else { throw TestFailure("no \(binary): run scripts/build first") }
        try await TestHost.with { host in
            let node = Node(
                host: host, data: "\(host.directory)/data", run: "\(host.directory)/run",
                manifests: "\(host.directory)/manifests")
            try makeDirectories(node.manifests)
            do {
                for image in images {
                    try await node.swiftlet(
                        "image", "import", "--name", "images.test/\(image):1", TestImages.layout(image)
                    ).orFail()
                }
                if agent { _ = try await node.startAgent() }
                try await body(node)
            } catch {
                let log = (try? readText(node.log)) ?? (try? readText("\(node.run)/agent.log")) ?? "none"
                Issue.record("the agent's log, its end: \(log.suffix(4000))")
                throw error
            }
        }
    }

    var log: String { "\(host.directory)/agent.log" }
    var directories: [String] { ["--data-dir", data, "--run-dir", run] }

    /// `swiftlet ARGUMENTS…` with this node's directories, put before a `--`.
    func swiftlet(_ arguments: String..., input: String = "", seconds: Double = 60) async throws -> Outcome {
        try await command(arguments, input: input, seconds: seconds)
    }

    func command(_ arguments: [String], input: String = "", seconds: Double = 60) async throws -> Outcome {
        let split = arguments.firstIndex(of: "--") ?? arguments.endIndex
        let full = [Self.binary] + arguments[..<split] + directories + arguments[split...]
        return try await host.run(full, environment: Self.podinit, input: input, seconds: seconds)
    }

    /// Starts the agent and waits until it answers.
    @discardableResult
    func startAgent(_ options: String...) async throws -> RunningProgram { try await startAgent(options: options) }

    @discardableResult
    func startAgent(options: [String]) async throws -> RunningProgram {
        // `pod ps` alone would not tell: where no agent runs and no pod is on disk it answers by itself.
        func readyCount() -> Int {
            ((try? readText(log)) ?? "").split(separator: "\n").filter { $0.contains(" is ready: ") }.count
        }
        let before = readyCount()
        let agent = try host.start(
            [Self.binary, "node", "--manifests", manifests, "--log-level", "debug"] + options + directories,
            environment: Self.podinit, log: log)
        try await eventually("the agent is ready") { readyCount() > before }
        try await eventually("the agent answers") { try await swiftlet("pod", "ps", "-o", "json").succeeded }
        return agent
    }

    /// Writes `text` to a file of the host's directory and returns its path.
    func file(_ name: String, _ text: String) throws -> String {
        let path = "\(host.directory)/\(name)"
        try writeFileAtomically(path, Array(text.utf8), mode: 0o644)
        return path
    }

    /// `swiftlet pod run` of a manifest, which waits until the containers have started.
    func runPod(_ manifest: String, seconds: Double = 60) async throws -> Outcome {
        try await swiftlet("pod", "run", file("pod.yaml", manifest), seconds: seconds)
    }

    /// `swiftlet pod run` of a manifest whose containers cannot start, so that it may wait; a command that still does
    /// after two seconds is left to itself, which ends with the host.
    func submitPod(_ manifest: String) async throws -> String {
        let said = "\(host.directory)/pod-run.log"
        let command = [Self.binary, "pod", "run", try file("pod.yaml", manifest)] + directories
        let program = try host.start(command, environment: Self.podinit, log: said)
        _ = try? await program.waitForEnd(seconds: 2)
        return try readText(said)
    }

    /// The pods as `pod ps -o json` lists them.
    func pods() async throws -> [JSONValue] {
        let outcome = try await swiftlet("pod", "ps", "-o", "json").orFail()
        let document = try JSONValue.parse(outcome.output)
        guard let pods = document["items"]?.arrayValue ?? document.arrayValue else {
            throw TestFailure("pod ps -o json is no list: \(outcome.output)")
        }
        return pods
    }

    func pod(_ name: String) async throws -> JSONValue? {
        try await pods().first { $0["metadata"]?["name"]?.stringValue == name }
    }

    /// Waits until the pod's phase is one of `phases` and returns the pod.
    @discardableResult
    func wait(for name: String, phase phases: String..., seconds: Double = 30) async throws -> JSONValue {
        var last: JSONValue?
        do {
            try await eventually("pod \(name) is \(phases)", seconds: seconds) {
                last = try await pod(name)
                return phases.contains(last?["status"]?["phase"]?.stringValue ?? "")
            }
        } catch {
            throw TestFailure("\(error); the pod: \(last?["status"]?.text(pretty: true) ?? "not listed")")
        }
        return last ?? .null
    }

    /// Waits until `condition` holds for the status of `container`, an init container too.
    @discardableResult
    func wait(
        for name: String, container: String, _ what: String, seconds: Double = 30,
        _ condition: (JSONValue) -> Bool
    ) async throws -> JSONValue {
        var last: JSONValue?
        do {
            try await eventually("\(name)/\(container): \(what)", seconds: seconds) {
                last = try await pod(name)?.container(container)
                return last.map(condition) ?? false
            }
        } catch {
            throw TestFailure("\(error); the container: \(last?.text(pretty: true) ?? "no status")")
        }
        return last ?? .null
    }

    /// What a container said, without the log's own columns.
    func logs(_ name: String, container: String? = nil, _ options: String...) async throws -> Outcome {
        try await command(["pod", "logs"] + (container.map { ["-c", $0] } ?? []) + options + [name])
    }

    /// Runs a command in a container and returns what it said, without the last line break.
    func exec(_ name: String, container: String? = nil, _ script: String) async throws -> String {
        let arguments = ["pod", "exec"] + (container.map { ["-c", $0] } ?? []) + [name, "--", "sh", "-c", script]
        return try await command(arguments).orFail().trimmed
    }

    /// A Pod of one container `main` that runs `script` in busybox; `pod` and `container` add lines to their specs.
    static func manifest(
        _ name: String, _ script: String, restartPolicy: String = "Never", pod: String = "", container: String = ""
    ) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: \(name)
          labels: {app: \(name)}
        spec:
          restartPolicy: \(restartPolicy)
          terminationGracePeriodSeconds: 2
        \(pod.indented(2))
          containers:
            - name: main
              image: \(busybox)
              command:
                - /bin/sh
                - -c
                - |
        \(script.indented(10))
        \(container.indented(6))
        """
    }
}

extension JSONValue {
    /// The status of a container of this pod.
    func container(_ name: String) -> JSONValue? {
        for list in ["containerStatuses", "initContainerStatuses"] {
            for status in self["status"]?[list]?.arrayValue ?? [] where status["name"]?.stringValue == name {
                return status
            }
        }
        return nil
    }

    var phase: String { self["status"]?["phase"]?.stringValue ?? "" }
    var podIP: String { self["status"]?["podIP"]?.stringValue ?? "" }
    var uid: String { self["metadata"]?["uid"]?.stringValue ?? "" }
    /// Of a container's status: its end, this time or the time before.
    var terminated: JSONValue? { self["state"]?["terminated"] ?? self["lastState"]?["terminated"] }
    var isRunning: Bool { self["state"]?["running"] != nil }
    var restarts: Int64 { self["restartCount"]?.integerValue ?? -1 }
}

extension String {
    /// Each line moved `spaces` to the right.
    func indented(_ spaces: Int) -> String {
        split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.isEmpty ? "" : String(repeating: " ", count: spaces) + $0 }.joined(separator: "\n")
    }
}
