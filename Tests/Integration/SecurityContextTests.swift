// Who a container runs as and what it may do.
import TestSupport
import Testing

private let identity = "id -u; id -g; id -G"
private let capabilities =
    "for set in CapInh CapPrm CapEff CapBnd CapAmb; do grep $set /proc/self/status | cut -f2; done"
private let isReadOnly = "touch /probe 2>/dev/null && echo writable || echo read-only"

private let identities: [ContainerCase] = [
    .init("root, as the image says", identity, "0", "0", "0"),
    .init(
        "runAsUser and runAsGroup of the container beat the pod's", identity, "1234", "4321", "4321",
        pod: "securityContext: {runAsUser: 1, runAsGroup: 1}",
        container: "securityContext: {runAsUser: 1234, runAsGroup: 4321}"),
    .init(
        "supplementalGroups and fsGroup join the user's groups",
        "id -u; id -g; id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '; echo",
        "1000", "0", "0 77 88 99 ", pod: "securityContext: {runAsUser: 1000, supplementalGroups: [88, 77], fsGroup: 99}"
    ),
    .init(
        "a user the image knows brings its groups", identity, "33", "33", "33 100",
        pod: "securityContext: {runAsUser: 33, runAsGroup: 33}"),
    .init(
        "fsGroup owns an emptyDir and its new files", "stat -c '%g %a' /data; touch /data/x; stat -c %g /data/x",
        "2000 2777", "2000",
        pod: "securityContext: {runAsUser: 1000, fsGroup: 2000}\nvolumes: [{name: data, emptyDir: {}}]",
        container: "volumeMounts: [{name: data, mountPath: /data}]"),
]

private let privileges: [ContainerCase] = [
    .init(
        "the usual fourteen capabilities, none inheritable or ambient", capabilities, "0000000000000000",
        "00000000a80425fb", "00000000a80425fb", "00000000a80425fb", "0000000000000000"),
    .init(
        "capabilities dropped and added", capabilities, "0000000000000000", "0000000000001000", "0000000000001000",
        "0000000000001000", "0000000000000000",
        container: "securityContext: {capabilities: {drop: [ALL], add: [NET_ADMIN]}}"),
    .init(
        "a user other than root has no effective capability", "grep CapEff /proc/self/status | cut -f2",
        "0000000000000000",
        container: "securityContext: {runAsUser: 1000}"),
    .init(
        "allowPrivilegeEscalation false is no_new_privs", "grep NoNewPrivs /proc/self/status | cut -f2", "1",
        container: "securityContext: {allowPrivilegeEscalation: false}"),
    .init("no_new_privs is off otherwise", "grep NoNewPrivs /proc/self/status | cut -f2", "0"),
    .init("the root file system is writable", isReadOnly, "writable"),
    .init(
        "readOnlyRootFilesystem", isReadOnly, "read-only", container: "securityContext: {readOnlyRootFilesystem: true}"),
    .init("the runtime's system-call filter unless told otherwise", "grep Seccomp: /proc/self/status | cut -f2", "2"),
    .init(
        "seccompProfile Unconfined filters nothing", "grep Seccomp: /proc/self/status | cut -f2", "0",
        container: "securityContext: {seccompProfile: {type: Unconfined}}"),
    .init(
        "seccompProfile RuntimeDefault filters",
        "grep Seccomp: /proc/self/status | cut -f2; unshare -U true 2>/dev/null || echo refused", "2", "refused",
        container: "securityContext: {seccompProfile: {type: RuntimeDefault}, runAsUser: 1000}"),
    .init(
        "masked and read-only paths of /proc",
        "cat /proc/kcore 2>/dev/null | wc -c; ls /proc/scsi 2>/dev/null | wc -l; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused",
        "0", "0", "refused"),
    .init(
        "privileged: every device, writable /proc/sys, all capabilities",
        "[ -e /dev/kmsg ] && echo kmsg; [ -w /proc/sys/net/ipv4/ip_forward ] && echo sys; [ $(grep CapEff /proc/self/status | cut -f2) != 00000000a80425fb ] && echo all",
        "kmsg", "sys", "all", container: "securityContext: {privileged: true}"),
    .init(
        "a device that was not given cannot be made to work",
        "mknod /dev/sda b 8 0 && head -c 1 /dev/sda 2>/dev/null || echo refused", "refused"),
    .init(
        "safe sysctls are set in the pod's namespaces", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "80",
        pod: "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '80'}]}"),
]

private let surroundings: [ContainerCase] = [
    .init("its first process is 1", "echo $$$$", "1"),
    .init("nothing of the host's processes is seen", "set -- /proc/[0-9]*; echo $#", "1"),
    .init("no descriptor but 0, 1, 2 and the listing's own", "ls /proc/self/fd | wc -l", "4"),
    .init(
        "the standard devices and no other",
        "ls /dev | grep -vx -e core -e mqueue -e termination-log | tr '\\n' ' '; echo",
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero "),
    .init(
        "cgroups are read-only", "touch /sys/fs/cgroup/x 2>/dev/null && echo writable || echo read-only", "read-only"),
    .init("a hostname of its own", "hostname; cat /etc/hostname", "case", "case"),
]

extension NodeTests {
    @Suite("Security contexts") struct SecurityContexts {
        @Test(arguments: identities) func identity(_ promise: ContainerCase) async throws {
            try await Node.with { try await promise.check(on: $0) }
        }

        @Test(arguments: privileges) func privilege(_ promise: ContainerCase) async throws {
            try await Node.with { try await promise.check(on: $0) }
        }

        @Test(arguments: surroundings) func confinement(_ promise: ContainerCase) async throws {
            try await Node.with { try await promise.check(on: $0) }
        }

        @Test func runAsNonRootRefusesRootAndSaysSo() async throws {
            try await Node.with { node in
                let context = "securityContext: {runAsNonRoot: true}"
                _ = try await node.submitPod(Node.manifest("root", "true", container: context))
                let status = try await node.wait(for: "root", container: "main", "refused") {
                    $0["state"]?["waiting"]?["reason"] == "CreateContainerConfigError"
                }
                #expect(status["state"]?["waiting"]?["message"]?.stringValue?.contains("root") == true)
            }
        }

        @Test func aLocalhostSeccompProfileDeniesWhatItNames() async throws {
            try await Node.with(agent: false) { node in
                let profile = """
                    {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                      {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}
                    """
                try await node.host.shell("mkdir -p \(node.data)/seccomp").orFail()
                try await node.host.run(["tee", "\(node.data)/seccomp/no-mkdir.json"], input: profile).orFail()
                _ = try await node.startAgent()
                let context = "securityContext: {seccompProfile: {type: Localhost, localhostProfile: no-mkdir.json}}"
                try await ContainerCase(
                    "errno 28", "mkdir /tmp/x 2>&1 | grep -o 'No space.*'", "No space left on device",
                    container: context
                ).check(on: node)
            }
        }
    }
}
