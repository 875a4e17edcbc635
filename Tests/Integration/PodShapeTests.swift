// What a manifest says a pod is made of: containers in order, names, files, namespaces, environment.
import Glibc
import Linux
import TestSupport
import Testing

private let dnsConfig = """
    dnsPolicy: None
    dnsConfig: {nameservers: [192.0.2.53], searches: [svc.test, test], options: [{name: ndots, value: "5"}, {name: edns0}]}
    """

private let shapes: [ContainerCase] = [
    .init(
        "env expands $(VAR) from what stands before it, and $$ escapes", "echo \"$A|$B|$C|$D\"",
        "one|one two|$(A)|$(MISSING)",
        container: """
            env:
              - {name: A, value: one}
              - {name: B, value: $(A) two}
              - {name: C, value: $$(A)}
              - {name: D, value: $(MISSING)}
            """),
    .init(
        "env from the pod's own fields", "echo $NAME $NAMESPACE; [ $IP = $(hostname -i) ] && echo same", "case default",
        "same",
        container: """
            env:
              - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
              - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
              - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
            """),
    .init("workingDir", "pwd", "/usr", container: "workingDir: /usr"),
    .init("workingDir is made where it is missing", "pwd", "/no/such/place", container: "workingDir: /no/such/place"),
    .init(
        "hostname and subdomain", "hostname; hostname -f", "other", "other.sub.default.svc.cluster.local",
        pod: "hostname: other\nsubdomain: sub"),
    .init(
        "hostAliases", "grep '^192.0.2.7' /etc/hosts | tr '\\t' ' '", "192.0.2.7 one two",
        pod: "hostAliases: [{ip: 192.0.2.7, hostnames: [one, two]}]"),
    .init(
        "dnsPolicy None with dnsConfig", "cat /etc/resolv.conf", "search svc.test test", "nameserver 192.0.2.53",
        "options ndots:5 edns0", pod: dnsConfig),
    .init("loopback is up", "ip -o -4 address show lo | grep -o 127.0.0.1/8", "127.0.0.1/8"),
    .init("hostNetwork shares the host's", "ip -o link show uplink0 | wc -l", "1", pod: "hostNetwork: true"),
    .init(
        "hostPID shows the host's processes", "[ $(ls /proc | grep -c '^[0-9]') -gt 3 ] && echo many", "many",
        pod: "hostPID: true"),
    .init("an exit code is kept", "echo gone; exit 42", "gone", exitCode: 42),
    .init(
        "a signal's end is 128 + its number", "sh -c 'kill -SEGV $$$$'; exit $?", "Segmentation fault", exitCode: 139),
    .init(
        "a last line without its end is a line", "printf 'no end'", "no end"),
    .init(
        "a line longer than the log's own piece stays whole", "head -c 50000 /dev/zero | tr '\\0' x; echo",
        String(repeating: "x", count: 50000)),
]

extension NodeTests {
    @Suite("A pod's shape") struct PodShape {
        @Test(arguments: shapes) func isAsTheManifestSays(_ promise: ContainerCase) async throws {
            try await Node.with { try await promise.check(on: $0) }
        }

        @Test func argsReplaceTheImagesCommand() async throws {
            try await Node.with { node in
                let manifest = """
                    {apiVersion: v1, kind: Pod, metadata: {name: args}, spec: {restartPolicy: Never, containers: [
                      {name: main, image: '\(Node.busybox)', args: [echo, "$(WHO)", "$$(WHO)"], env: [{name: WHO, value: me}]}]}}
                    """
                try await node.runPod(manifest).orFail()
                try await node.wait(for: "args", phase: "Succeeded")
                #expect(try await node.logs("args").trimmed == "me $(WHO)")
            }
        }

        @Test func resolvConfIsTheHostsByDefaultPolicy() async throws {
            try await Node.with { node in
                try await ContainerCase(
                    "same", "cat /etc/resolv.conf", pod: "dnsPolicy: Default"
                ).runComparing(to: "/etc/resolv.conf", on: node)
            }
        }

        @Test func initContainersRunOneAfterTheOtherAndSidecarsStay() async throws {
            try await Node.with { node in
                let mount = "volumeMounts: [{name: v, mountPath: /v}]"
                let manifest = """
                    apiVersion: v1
                    kind: Pod
                    metadata: {name: ordered}
                    spec:
                      restartPolicy: Never
                      terminationGracePeriodSeconds: 5
                      volumes: [{name: v, emptyDir: {}}]
                      initContainers:
                        - {name: first, image: '\(Node.busybox)', command: [sh, -c, "sleep 0.3; echo first >>/v/order"], \(mount)}
                        - name: side
                          image: \(Node.busybox)
                          restartPolicy: Always
                          command: [sh, -c, "echo side >>/v/order; trap 'echo side ends >>/v/order; exit 0' TERM; while :; do sleep 0.1; done"]
                          \(mount)
                        - {name: second, image: '\(Node.busybox)', command: [sh, -c, "until grep -q side /v/order; do sleep 0.05; done; echo second >>/v/order"], \(mount)}
                      containers:
                        - {name: main, image: '\(Node.busybox)', command: [sh, -c, "echo main >>/v/order; cat /v/order"], \(mount)}
                    """
                try await node.runPod(manifest).orFail()
                let pod = try await node.wait(for: "ordered", phase: "Succeeded", "Failed")
                #expect(pod.phase == "Succeeded")
                #expect(try await node.logs("ordered", container: "main").lines == ["first", "side", "second", "main"])
                let order = "\(node.data)/pods/\(pod.uid)/volumes/v/order"
                #expect(try readText(order).hasSuffix("main\nside ends\n"), "the sidecar ends after the containers")
            }
        }

        @Test func anInitContainerThatFailsKeepsTheOthersFromStarting() async throws {
            try await Node.with { node in
                let first = "initContainers: [{name: first, image: '\(Node.busybox)', command: [sh, -c, 'exit 3']}]"
                try await node.runPod(Node.manifest("stuck", "echo never", pod: first)).orFail()
                let pod = try await node.wait(for: "stuck", phase: "Failed")
                #expect(pod.container("first")?.terminated?["exitCode"] == 3)
                #expect(try await node.logs("stuck", container: "main").output.isEmpty)
            }
        }

        @Test func aSharedProcessNamespaceShowsTheOtherContainerAndThePauseProcess() async throws {
            try await Node.with { node in
                let manifest = """
                    apiVersion: v1
                    kind: Pod
                    metadata: {name: shared}
                    spec:
                      shareProcessNamespace: true
                      containers:
                        - {name: one, image: '\(Node.busybox)', command: [sleep, "1111"]}
                        - {name: two, image: '\(Node.busybox)', command: [sleep, "2222"]}
                    """
                try await node.runPod(manifest).orFail()
                try await node.wait(for: "shared", phase: "Running")
                let seen = try await node.exec("shared", container: "two", "ps -o pid,args")
                #expect(seen.contains("sleep 1111") && seen.contains("sleep 2222"))
                #expect(!seen.contains("    1 root") && !seen.contains("    1 sleep"), "1 is the pause process")
            }
        }

        @Test func hooksRunAndTheMessageAtTheEndIsKept() async throws {
            try await Node.with { node in
                let script = """
                    trap 'echo stopped at $(cat /v/hooks | tr "\\n" " ") >/dev/termination-log; exit 0' TERM
                    while :; do sleep 0.05; done
                    """
                let hooks = """
                    lifecycle:
                      postStart: {exec: {command: [sh, -c, echo started >>/v/hooks]}}
                      preStop: {exec: {command: [sh, -c, echo stopping >>/v/hooks]}}
                    volumeMounts: [{name: v, mountPath: /v}]
                    """
                let pod = "volumes: [{name: v, emptyDir: {}}]"
                try await node.runPod(Node.manifest("hooks", script, pod: pod, container: hooks)).orFail()
                try await node.wait(for: "hooks", phase: "Running")
                try await eventually("postStart ran") { try await node.exec("hooks", "cat /v/hooks") == "started" }
                try await node.swiftlet("pod", "stop", "--grace", "5", "hooks").orFail()
                let ended = try await node.wait(for: "hooks", phase: "Succeeded")
                #expect(
                    ended.container("main")?.terminated?["message"]?.stringValue?.trimmingWhitespace()
                        == "stopped at started stopping")
            }
        }

        @Test func aTerminationMessageFallsBackToTheLogOnError() async throws {
            try await Node.with { node in
                let policy = "terminationMessagePolicy: FallbackToLogsOnError"
                try await node.runPod(Node.manifest("last", "echo words; echo last words; exit 1", container: policy))
                    .orFail()
                let message = try await node.wait(for: "last", phase: "Failed").container("main")?.terminated?[
                    "message"]
                #expect(message?.stringValue?.hasSuffix("last words\n") == true)
            }
        }
    }
}

extension ContainerCase {
    /// As ``check(on:name:)``, with a file of the host as what is expected.
    fileprivate func runComparing(to path: String, on node: Node) async throws {
        let lines = try readText(path).split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.isEmpty }
        try await node.runPod(Node.manifest("case", script, pod: pod, container: container)).orFail()
        try await node.wait(for: "case", phase: "Succeeded")
        let seen = try await node.logs("case").lines
        for line in lines { #expect(seen.contains(String(line))) }
    }
}
