// The ground the other tests stand on: that a test's host is apart from this machine and leaves nothing on it.
import Linux
import TestSupport
import Testing

@Suite("A test's host")
struct TestHostTests {
    @Test func removesWhateverATestLeftOnIt() async throws {
        let (directory, cgroup) = try await TestHost.with { host in
            let script = """
                set -e
                trap '' TERM HUP INT
                for hierarchy in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup; do
                    [ -e $hierarchy/cgroup.procs ] || continue
                    mkdir -p $hierarchy/deep/er
                    sleep 1000 & echo $! >$hierarchy/deep/er/cgroup.procs
                    break
                done
                setsid sleep 1001 >/dev/null 2>&1 &
                mkdir -p \(host.directory)/mount && mount -t tmpfs tmpfs \(host.directory)/mount
                touch \(host.directory)/mount/file
                ip link add stray type veth peer name stray2
                nft add table ip stray
                """
            let before = try await host.census()
            let outcome = try await host.shell("(\(script)) >/dev/null 2>&1 </dev/null").orFail()
            #expect(!outcome.outputHeldOpen)
            let left = try await host.census().left(since: before).joined(separator: "\n")
            for trace in [
                "cgroup ", "process sleep 1001", "link stray", "rule table ip stray", "mount \(host.directory)",
            ] {
                #expect(left.contains(trace), "the census must see: \(trace)")
            }
            return (host.directory, host.cgroupParent)
        }
        #expect(!fileExists(directory))
        for hierarchy in ["", "/memory", "/pids"] { #expect(!fileExists("/sys/fs/cgroup\(hierarchy)\(cgroup)")) }
    }

    @Test func isApartFromThisMachineAndSeesAWorldOutside() async throws {
        try await TestHost.with { host in
            _ = try await host.shell("mount -t tmpfs tmpfs /mnt && touch /mnt/x /run/swiftlet-was-here").orFail()
            #expect(!fileExists("/mnt/x"))
            #expect(!fileExists("/run/swiftlet-was-here"))
            #expect(try await host.shell("echo $$; ls /proc | grep -c '^[0-9]'").orFail().lines.count == 2)
            let server = try host.start(
                ["busybox", "nc", "-l", "-p", "7000", "-e", "echo", "hello"], log: "\(host.directory)/nc.log")
            try await eventually("the server outside in reach") {
                try await host.shell("exec 3<>/dev/tcp/192.0.2.10/7000; cat <&3", outside: true).trimmed == "hello"
            }
            #expect(try await server.waitForEnd(seconds: 5) == 0)
        }
    }

    @Test func endsACommandThatTakesTooLong() async throws {
        try await TestHost.with { host in
            let outcome = try await host.run(["sleep", "1000"], seconds: 0.2)
            #expect(outcome.timedOut && !outcome.succeeded)
            #expect(try await host.run(["sh", "-c", "exit 42"]).exitCode == 42)
            #expect(try await host.run(["sh", "-c", "kill -TERM $$"]).exitCode == 128 + 15)
            #expect(try await host.run(["cat"], input: "in").output == "in")
            #expect(try await host.shell("sleep 5 &").outputHeldOpen)
        }
    }
}
