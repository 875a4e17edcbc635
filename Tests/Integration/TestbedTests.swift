// The ground that tests of several nodes stand on: a network of hosts on this one machine, which leaves nothing on it.
import Glibc
import Linux
import TestSupport
import Testing

@Suite("A testbed", .serialized)
struct TestbedTests {
    private static let program = "\(TestImages.repository)/scripts/testbed"

    private func pings(_ host: TestHost, _ address: String, size: Int = 56) async throws -> Bool {
        try await host.run(["busybox", "ping", "-c", "1", "-W", "1", "-s", "\(size)", address]).succeeded
    }

    @Test(arguments: [Testbed.Topology.bridge, .star, .chain])
    func joinsHostsAndTheOutsideByBothFamilies(_ topology: Testbed.Topology) async throws {
        try await Testbed.with(topology: topology) { testbed in
            let addresses = (1...3).flatMap { number in
                topology == .bridge
                    ? ["192.0.2.\(10 + number)", "2001:db8::\(10 + number)"]
                    : ["198.18.\(number).10", "2001:db8:\(number)::10"]
            }
            for host in testbed.hosts {
                for address in addresses + ["192.0.2.1", "2001:db8::1"] {
                    #expect(try await pings(host, address), "\(host.directory) to \(address)")
                }
            }
            // The machine itself has no way there.
            let routes = try readText("/proc/net/route")
            #expect(!routes.contains("to-h1") && !routes.contains("0A0100C0"))
        }
    }

    @Test func hasHostsThatShareNothingOfWhatANodeWrites() async throws {
        try await Testbed.with(hosts: 2) { testbed in
            for host in testbed.hosts {
                let script = """
                    touch /etc/mine /var/lib/mine /var/lib/swiftlet/mine /run/mine
                    mkdir -p /etc/cni/net.d
                    sysctl -qw net.ipv4.conf.all.rp_filter=2 2>/dev/null
                    cat /proc/sys/net/ipv4/ip_forward; hostname; ls /proc | grep -c '^[0-9]'
                    """
                let lines = try await host.shell("set -e; \(script)").orFail().lines
                #expect(lines.first == "0", "it forwards nothing until an agent says so")
                #expect(lines.contains(host.directory.split(separator: "/").last.map(String.init) ?? "?"))
                #expect(fileExists("\(host.directory)/swiftlet/mine"))
                for path in ["/etc", "/var/lib", "/run"] { #expect(!fileExists("\(path)/mine")) }
            }
            let other = try await testbed.hosts[0].shell("ls /etc/mine /run/mine; touch /etc/only-one")
            #expect(other.succeeded)
            #expect(try await !testbed.hosts[1].run(["ls", "/etc/only-one"]).succeeded)
        }
    }

    @Test func hasRoutersThatTellOfSmallerLinks() async throws {
        try await Testbed.with(topology: .chain, mtu: ["r1-r2": 1300, "h3": 1280]) { testbed in
            let host = testbed.hosts[0]
            for (address, mtu) in [("198.18.2.10", 1300), ("2001:db8:2::10", 1300), ("198.18.3.10", 1280)] {
                let header = address.contains(":") ? 48 : 28
                // Each packet goes as far as the router that refuses it, and a smaller one farther.
                try await eventually("the path MTU to \(address)", seconds: 10) {
                    for size in [1500, 1300] { _ = try await pings(host, address, size: size - header) }
                    return try await host.run(["ip", "route", "get", address]).output.contains("mtu \(mtu)")
                }
                // The answer too has to find out.
                try await eventually("fragments pass", seconds: 10) { try await pings(host, address, size: 4000) }
            }
        }
    }

    @Test func cutsAndHealsLinks() async throws {
        try await Testbed.with(hosts: 2) { testbed in
            let (one, two) = (testbed.hosts[0], testbed.hosts[1])
            #expect(try await pings(one, "192.0.2.12"))
            try await testbed.cut(two)
            #expect(try await two.shell("cat /sys/class/net/uplink0/carrier").trimmed != "1")
            #expect(try await !pings(one, "192.0.2.12"))
            try await testbed.heal(two)
            // The neighbour that did not answer is asked again after a second.
            try await eventually("it answers again", seconds: 5) { try await pings(one, "192.0.2.12") }
            try await testbed.cut(two, silently: true)
            #expect(try await two.run(["ip", "-o", "link", "show", "uplink0"]).output.contains("LOWER_UP"))
            #expect(try await !pings(one, "192.0.2.12"))
            #expect(try await !pings(two, "192.0.2.11"))
            try await testbed.heal(two)
            // The neighbour that did not answer is asked again after a second.
            try await eventually("it answers again", seconds: 5) { try await pings(one, "192.0.2.12") }
        }
    }

    @Test func changesAddressesMTUsAndLeases() async throws {
        try await Testbed.with(hosts: 2) { testbed in
            let (one, two) = (testbed.hosts[0], testbed.hosts[1])
            try await testbed.setAddresses(of: two, "192.0.2.77/24", "2001:db8::77/64")
            for (from, to) in [
                (one, "192.0.2.77"), (one, "2001:db8::77"), (two, "192.0.2.1"), (two, "2001:db8::1"),
            ] {
                #expect(try await pings(from, to), "\(to)")
            }
            #expect(try await !pings(one, "192.0.2.12"))
            var leases = try readText(testbed.leases)
            #expect(leases.contains(#"publicIP: "192.0.2.77""#) && leases.contains(#"publicIPv6: "2001:db8::77""#))
            try await testbed.setAddresses(of: two, "192.0.2.78/24", keepingLease: true)
            try await testbed.setMTU(of: "h2", 1400)
            #expect(try await two.shell("cat /sys/class/net/uplink0/mtu").trimmed == "1400")
            try await testbed.changeLease(of: one, "podCIDRs=[10.42.9.0/24]", "vtepMAC=02:00:00:00:00:09")
            try await testbed.removeLease(of: two)
            leases = try readText(testbed.leases)
            #expect(
                leases == """
                    nodes:
                    - name: h1
                      publicIP: "192.0.2.11"
                      publicIPv6: "2001:db8::11"
                      podCIDRs: [10.42.9.0/24]
                      vtepMAC: "02:00:00:00:00:09"

                    """)
        }
    }

    /// Whatever ends first, its owner or itself, the machine is as before.
    @Test(arguments: ["owner", "supervisor"])
    func leavesNothingWhenAProcessIsKilled(_ victim: String) async throws {
        try await withTemporaryDirectory { directory in
            let name = "killed-\(victim)-\(getpid())"
            let state = "/tmp/swiftlet-testbed-\(name)"
            // The owner is the program at the other end of the pipe.
            let script = """
                mkfifo \(directory)/in
                sleep 1000 >\(directory)/in & echo $! >\(directory)/owner
                exec \(Self.program) --name \(name) up --owned --no-nodes <\(directory)/in >\(directory)/said
                """
            let pid = try spawn(
                "/bin/bash", arguments: ["bash", "-c", script],
                environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], descriptors: [-1, STDERR_FILENO, STDERR_FILENO],
                newSession: true)
            try await eventually("the testbed is up") { try readText("\(directory)/said") == "ready\n" }
            let first = try readText("\(state)/places/h1/pid").trimmingWhitespace()
            let stray = try readText("\(directory)/owner").trimmingWhitespace()
            // Something that would stay, in a host's cgroups and outside of them.
            let busy = """
                for hierarchy in /sys/fs/cgroup/memory /sys/fs/cgroup; do
                    [ -e $hierarchy/cgroup.procs ] || continue
                    mkdir -p $hierarchy/deep
                    sleep 1001 >/dev/null 2>&1 &
                    echo $! >$hierarchy/deep/cgroup.procs
                    break
                done
                mkdir \(state)/hosts/h1/mount; mount -t tmpfs tmpfs \(state)/hosts/h1/mount
                """
            let exec = try spawn(
                Self.program, arguments: [Self.program, "--name", name, "exec", "h1", "bash", "-c", busy],
                environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], descriptors: [-1, STDERR_FILENO, STDERR_FILENO])
            var status: Int32 = 0
            waitpid(exec, &status, 0)
            #expect(status == 0)

            let doomed = victim == "owner" ? stray : try readText("\(state)/supervisor").trimmingWhitespace()
            #expect(kill(pid_t(doomed) ?? -1, SIGKILL) == 0)
            waitpid(pid, &status, 0)
            try await eventually("the host's first process is gone") { !fileExists("/proc/\(first)") }
            try await eventually("the host's cgroups and directory are gone") {
                !fileExists("/sys/fs/cgroup/memory/swiftlet-testbed-\(name)-h1")
                    && !fileExists("/sys/fs/cgroup/swiftlet-testbed-\(name)-h1") && !fileExists("\(state)/hosts/h1")
            }
            if victim == "supervisor" {
                kill(pid_t(stray) ?? -1, SIGKILL)
                // Nobody was there to remove its notes; the command does, and so would the next `up`.
                try await run("down", name, expected: 0)
            }
            try await eventually("nothing of it is left") { !fileExists(state) }
        }
    }

    private func run(_ words: String..., expected: Int32) async throws {
        let full = [Self.program, "--name", words.last ?? ""] + words.dropLast()
        try await blocking {
            let pid = try spawn(
                full[0], arguments: full, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                descriptors: [-1, -1, -1])
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            guard status == expected << 8 else { throw TestFailure("\(full): wait status \(status)") }
        }
    }

    @Test func isACommandForPeople() async throws {
        let name = "people-\(getpid())"
        do {
            try await run("up", "--no-nodes", "--hosts", "2", name, expected: 0)
            try await run("up", "--no-nodes", name, expected: 1)
            try await run("exec", "h1", "--", "busybox", "ping", "-c", "1", "192.0.2.12", name, expected: 0)
            try await run("exec", "outside", "sh", "-c", "exit 42", name, expected: 42)
            try await run("exec", "h9", "true", name, expected: 1)
            for command in ["show", "list"] { try await run(command, name, expected: 0) }
            try await run("down", name, expected: 0)
        } catch {
            try? await run("down", name, expected: 0)
            throw error
        }
        #expect(!fileExists("/tmp/swiftlet-testbed-\(name)"))
        try await run("show", name, expected: 1)
        let wrong = [
            ["up", "--hosts", "0"], ["up", "--mtu", "h7=1400"], ["up", "--topology", "ring"], ["nothing"], ["cut"],
        ]
        for words in wrong {
            let full = [Self.program, "--name", name] + words
            let pid = try spawn(
                full[0], arguments: full, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                descriptors: [-1, -1, -1])
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            // Nothing is up that `cut` could be about.
            #expect(status == (words == ["cut"] ? 1 : 2) << 8, "\(words)")
        }
    }
}
