import Glibc
import JSONTree
import Linux
import NFTables
import Netlink
import PodNetwork
import TestSupport
import Testing

@testable import CNI

/// `swiftlet-cni` as a program, with other people's plugins after it and other people's runtimes before it.
@Suite struct ThirdPartyTests {
    /// The program under test: `$SWIFTLET_CNI`, or the debug build.
    private static let program =
        getenv("SWIFTLET_CNI").map { String(cString: $0) } ?? "\(TestImages.repository)/.build/debug/swiftlet-cni"

    /// A directory with the plugin under the name that configurations have for it.
    private static func pluginDirectory(in directory: String) throws -> String {
        guard access(program, X_OK) == 0 else { throw TestFailure("no \(program): run scripts/build first") }
        let path = "\(directory)/bin"
        try makeDirectories(path)
        try check(symlink(program, "\(path)/swiftlet-cni"), "symlink", path)
        return path
    }

    @Test("Debian's portmap, bandwidth, tuning and firewall work after swiftlet-cni, and leave nothing")
    func chained() async throws {
        try await PluginHost.with { host in
            let network = try host.network(
                """
                {"cniVersion":"1.0.0","name":"mixed","plugins":[
                  {"type":"swiftlet-cni","subnets":["10.88.0.0/24"],"dataDir":"\(host.directory)/mixed",
                   "capabilities":{"ips":true}},
                  {"type":"portmap","capabilities":{"portMappings":true}},
                  {"type":"bandwidth","capabilities":{"bandwidth":true}},
                  {"type":"tuning","sysctl":{"net.core.somaxconn":"500"}},
                  {"type":"firewall","backend":"iptables"}]}
                """, pluginDirectories: [try Self.pluginDirectory(in: host.directory), "/usr/lib/cni"])
            let (web, client) = (try TestNamespace(), try TestNamespace())
            var pod = CNINetwork.Pod(uid: "uid-web", namespace: "default", name: "web")
            pod.runtime.hostPorts = [HostPort(port: 8080, containerPort: 80)]
            pod.runtime.ingressBandwidth = 100_000_000
            pod.runtime.egressBandwidth = 50_000_000
            pod.runtime.addresses = IPAddress("10.88.0.9").map { [.init($0)] } ?? []
            try requireEqual(try network.attachNow(pod, web.descriptor).addresses.map(\.description), ["10.88.0.9"])
            var other = CNINetwork.Pod(uid: "uid-client", namespace: "default", name: "client")
            other.runtime.ingressBandwidth = 100_000_000
            _ = try network.attachNow(other, client.descriptor)
            try requireEqual(try web.output(of: ["sysctl", "-n", "net.core.somaxconn"]), "500\n")
            let shaping = try host.shell("tc qdisc show")
            try require(shaping.contains("rate 100Mbit") && shaping.contains("rate 50Mbit"), shaping)
            try requireEqual(try peerSeen(from: client, to: "10.88.0.9", 82, at: web, 82), "10.88.0.2")
            try requireEqual(
                try peerSeen(from: host.outside, to: PluginHost.address, 8080, at: web, 80),
                PluginHost.outsideAddress, "portmap")
            try requireEqual(
                try peerSeen(from: client, to: PluginHost.outsideAddress, 80, at: host.outside, 80), PluginHost.address)
            try network.chain().check(containerID: "uid-client", interface: "eth0")
            // Its name is on the interface, for people.
            try require(try host.shell("ip link").contains("default/web"))

            for uid in ["uid-web", "uid-client"] { try network.detachNow(uid: uid) }
            let rest = try host.shell(
                """
                ip -o link | grep -vE ': (lo|up0@)' || true
                tc qdisc show | grep -E 'tbf|ingress' || true
                nft list ruleset 2>/dev/null | grep -E '10\\.88\\.0\\.[29]( |$)|dport 8080' || true
                find \(host.directory)/mixed/leases \(host.directory)/cni/results -type f
                """)
            try requireEqual(rest, "")
        }
    }

    @Test(
        "As a program it answers on standard output alone, tells people what it is, and many at once never share an address"
    )
    func program() async throws {
        try await PluginHost.with { host in
            let program = "\(try Self.pluginDirectory(in: host.directory))/swiftlet-cni"
            try requireEqual(
                try host.shell("exec 2>/dev/null; CNI_COMMAND=VERSION \(program) <<<'{\"cniVersion\":\"1.0.0\"}'"),
                #"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"# + "\n")
            try requireEqual(try host.shell("\(program) 2>/dev/null"), "")
            try require(try host.shell("\(program) 2>&1").hasPrefix("CNI swiftlet-cni plugin v"))
            let refusal = try host.shell("out=$(CNI_COMMAND=ADD \(program) 2>&1 </dev/null) || echo $? \"$out\"")
            try require(refusal.hasPrefix(#"1 {"cniVersion":"1.1.0","code":6,"#), refusal)
            let input = """
                {"cniVersion":"1.1.0","name":"many","subnets":["10.88.0.0/24"],"dataDir":"\(host.directory)/many"}
                """
            let addresses = try host.shell(
                """
                add() {
                    ip netns add "$1"
                    CNI_COMMAND=ADD CNI_CONTAINERID=$1 CNI_IFNAME=eth0 CNI_NETNS=/run/netns/$1 CNI_PATH=/usr/lib/cni \
                        \(program) <<<'\(input)' | jq -r '.ips[0].address'
                }
                for number in $(seq 20); do add "c$number" & done
                wait
                """
            ).split(separator: "\n")
            try requireEqual(Set(addresses).count, 20, "\(addresses)")
            let rest = try host.shell(
                """
                for number in $(seq 20); do
                    CNI_COMMAND=DEL CNI_CONTAINERID=c$number CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni \
                        \(program) <<<'\(input)' &
                done
                wait
                for number in $(seq 20); do ip netns delete "c$number"; done
                find \(host.directory)/many/leases -type f
                ip -o link | grep -vE ': (lo|up0@)' || true
                \(program) --remove \(host.directory)/many
                """)
            try requireEqual(rest, "")
        }
    }

    @Test("podman runs containers on a network of swiftlet-cni, with an address, a MAC and a host port of its choice")
    func podman() async throws {
        try await TestHost.with { host in
            let podman = try Podman(host, plugins: try Self.pluginDirectory(in: host.directory))
            let page = try await podman.run("network", "ls", "--format", "{{.Name}} {{.Driver}}").orFail()
            #expect(page.lines.contains("swift swiftlet-cni"))
            try await podman.run(
                "run", "-d", "--name", "web", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                "--network", "swift:ip=10.90.0.7,mac=0a:00:00:00:00:07", "-p", "8080:80", "--rootfs", podman.rootfs,
                "/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"
            ).orFail()
            let link = try await podman.run("exec", "web", "/bin/busybox", "ip", "address", "show", "eth0").orFail()
            #expect(link.output.contains("inet 10.90.0.7/32") && link.output.contains("0a:00:00:00:00:07"))
            let fetch = ["curl", "--silent", "--show-error", "--max-time", "5", "--retry", "5", "--retry-connrefused"]
            #expect(try await host.run(fetch + ["http://10.90.0.7/"]).orFail().output == "hello\n")
            #expect(try await host.run(fetch + ["http://127.0.0.1:8080/"]).orFail().output == "hello\n")
            let outside = try await host.run(fetch + ["http://\(TestHost.address):8080/"], outside: true).orFail()
            #expect(outside.output == "hello\n")
            try await podman.run("rm", "--force", "--time", "0", "web").orFail()
            let rest = try await host.shell(
                "find /var/lib/cni -type f | grep -E '/(leases|results)/'; ip -o link | grep -v -e ': lo' -e ': uplink0'; true"
            )
            #expect(rest.output == "")
        }
    }
}

/// podman with the CNI backend and all that it keeps in the host's directory.
private struct Podman {
    let host: TestHost
    let rootfs: String

    init(_ host: TestHost, plugins: String) throws {
        self.host = host
        let directory = host.directory
        rootfs = "\(directory)/rootfs"
        for name in ["net.d"] + ["bin", "etc", "proc", "sys", "dev", "tmp", "www"].map({ "rootfs/\($0)" }) {
            try makeDirectories("\(directory)/\(name)")
        }
        try writeFileAtomically("\(rootfs)/www/index.html", Array("hello\n".utf8))
        try writeFileAtomically("\(rootfs)/bin/busybox", try readFile("/bin/busybox"), mode: 0o755)
        try writeFileAtomically(
            "\(directory)/net.d/10-swift.conflist",
            Array(
                """
                {"cniVersion":"1.0.0","name":"swift","plugins":[{"type":"swiftlet-cni","subnets":["10.90.0.0/24"],
                 "capabilities":{"portMappings":true,"ips":true,"mac":true}}]}
                """.utf8))
        try writeFileAtomically(
            "\(directory)/containers.conf",
            Array(
                """
                [network]
                network_backend = "cni"
                cni_plugin_dirs = ["\(plugins)"]
                network_config_dir = "\(directory)/net.d"
                [engine]
                cgroup_manager = "cgroupfs"
                events_logger = "none"
                runtime = "runc"
                [containers]
                log_driver = "k8s-file"
                """.utf8))
        // Where podman keeps results and the plugin its leases: the host's own, and gone with it.
        _ = try host.inside { try check(mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"), "mount", "/var/lib") }
    }

    /// runc looks for its cgroup where /proc/self/cgroup says it is, which must be where the host has it mounted: a cgroup
    /// namespace whose root is the host's cgroups.
    func run(_ arguments: String...) async throws -> Outcome {
        let directory = host.directory
        let join = """
            for hierarchy in $(awk '$5 ~ "^/sys/fs/cgroup" && / - cgroup/ && !seen[$5]++ { print $5 }' /proc/self/mountinfo)
            do echo $$ >$hierarchy/cgroup.procs; done
            exec unshare --cgroup "$@"
            """
        return try await host.run(
            [
                "/bin/bash", "-c", join, "join", "podman", "--root", "\(directory)/podman", "--runroot",
                "\(directory)/podman-run", "--tmpdir", "\(directory)/podman-tmp", "--storage-driver", "vfs",
            ] + arguments, environment: ["CONTAINERS_CONF=\(directory)/containers.conf"], seconds: 120)
    }
}
