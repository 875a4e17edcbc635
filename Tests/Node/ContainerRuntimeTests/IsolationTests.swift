import CLinux
import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct IsolationTests {
    @Test func devicesAreRealAndStandardLinksAreThere() async throws {
        try await TestPod.with { pod in
            let script = """
                cd /dev; stat -c '%n %F %t:%T %a' null zero full random urandom tty
                ls -l /dev | tr -s ' ' | sed -n 's/.* \\(.* -> .*\\)/\\1/p'
                echo ignored >/dev/null; head -c 4 /dev/zero | od -An -tx1; stat -f -c %t /dev/pts /dev/shm /dev/mqueue
                """
            let outcome = try await pod.run(script)
            let file = "character special file"
            #expect(
                outcome.output == """
                    null \(file) 1:3 666
                    zero \(file) 1:5 666
                    full \(file) 1:7 666
                    random \(file) 1:8 666
                    urandom \(file) 1:9 666
                    tty \(file) 5:0 666
                    fd -> /proc/self/fd
                    ptmx -> pts/ptmx
                    stderr -> /proc/self/fd/2
                    stdin -> /proc/self/fd/0
                    stdout -> /proc/self/fd/1
                     00 00 00 00
                    1cd1
                    1021994
                    19800202

                    """)
        }
    }

    @Test func maskedAndReadOnlyPathsAreProtected() async throws {
        try await TestPod.with { pod in
            let script = """
                stat -c '%n %t:%T' /proc/kcore /proc/keys /proc/timer_list
                ls /sys/firmware /proc/scsi /proc/acpi 2>/dev/null | grep -v : | grep .
                for path in /proc/sys/kernel/panic /proc/sysrq-trigger /sys/kernel/profiling; do
                  if (echo 0 >$path) 2>/dev/null; then echo "$path written"; fi
                done
                touch /sys/firmware/x 2>/dev/null && echo made
                echo end
                """
            let outcome = try await pod.run(script)
            #expect(outcome.output.hasSuffix("end\n"))
            let lines = outcome.lines.filter { $0.stream == "stdout" }.map(\.text)
            #expect(lines.contains("/proc/kcore 1:3") || access("/proc/kcore", F_OK) != 0)
            #expect(lines.allSatisfy { $0 == "end" || $0.hasSuffix(" 1:3") }, "\(lines)")
        }
    }

    @Test func aPathThatIsNotMaskedStaysAsItIs() async throws {
        // So that the test above can fail.
        try await TestPod.with { pod in
            let script =
                "stat -c %F /proc/sysrq-trigger; ls /proc/sys/kernel | head -1; test -w /proc/sys/kernel/panic && echo w"
            let outcome = try await pod.run(script) {
                $0.maskedPaths = []
                $0.readOnlyPaths = []
            }
            #expect(outcome.output.hasSuffix("w\n"))
        }
    }

    @Test func noDescriptorLeaksIntoTheContainer() async throws {
        try await TestPod.with { pod in
            let started = try await pod.start(["sleep", "1000"])
            #expect(try listDirectory("/proc/\(started.pid)/fd") == ["0", "1", "2"])
            let process = try await pod.sandbox.exec(
                in: "main", ExecPlan(process: ProcessPlan(arguments: ["/bin/sleep", "999"])))
            #expect(try listDirectory("/proc/\(process.pid)/fd") == ["0", "1", "2"])
        }
    }

    @Test func onlyTheContainersProcessesAreSeen() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("echo $$; echo /proc/[0-9]*; cat /proc/1/comm; true")
            #expect(outcome.output == "1\n/proc/1\nsh\n")
        }
    }

    @Test func podinitCannotBeOverwrittenFromAContainerThatSeesIt() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            let before = try readFile("/proc/\(pod.sandbox.pid)/exe")
            let script = """
                cat /proc/1/comm
                (echo x >/proc/1/exe) 2>/dev/null && echo written
                (cat /proc/1/exe >/dev/null) 2>/dev/null && echo readable
                ls -L /proc/1/fd/ 2>/dev/null | grep . ; cat /proc/1/environ /proc/1/fd/3 2>/dev/null && echo opened
                echo end
                """
            let outcome = try await pod.run(script) { $0.pidNamespace = .sandbox }
            #expect(outcome.output == "podinit\nend\n")
            // A container with every capability may look, but not write: the program is sealed.
            let privileged = try await pod.run(script, attempt: 1) {
                $0.pidNamespace = .sandbox
                $0.process.capabilities = CapabilitySets((try? .current()) ?? [])
            }
            #expect(!privileged.output.contains("written"))
            #expect(privileged.output.contains("readable"))
            #expect(try readFile("/proc/\(pod.sandbox.pid)/exe") == before)
        }
    }

    /// With CAP_SYS_PTRACE, which pods for debugging have, a container may take over any process that it sees: the one
    /// that all containers see has nothing to give.
    @Test func theFirstProcessOfASharedPIDNamespaceHasNoRights() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            let script = """
                grep -E '^(Uid|CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/1/status | tr '\\t' ' '
                ls /proc/1/fd | wc -l
                """
            let outcome = try await pod.run(script) {
                $0.pidNamespace = .sandbox
                $0.process.capabilities = CapabilitySets((try? .current()) ?? [])
            }
            let none = "0000000000000000"
            #expect(
                outcome.lines.map(\.text) == [
                    "Uid: 65535 65535 65535 65535", "CapInh: \(none)", "CapPrm: \(none)", "CapEff: \(none)",
                    "CapAmb: \(none)", "NoNewPrivs: 1", "Seccomp: 2", "0",
                ])
        }
    }

    @Test func aSandboxEndsWithTheFirstProcessOfItsSharedPIDNamespace() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            try await pod.start(["sleep", "1000"]) { $0.pidNamespace = .sandbox }
            let children = try readText("/proc/\(pod.sandbox.pid)/task/\(pod.sandbox.pid)/children")
            let first = try #require(children.split(separator: " ").first.flatMap { pid_t($0) })
            try check(kill(first, SIGKILL), "kill")
            var events: [SandboxEvent] = []
            for await event in pod.sandbox.events { events.append(event) }
            #expect(events.last == .gone)
            #expect(try ExitRecord.read(directory: pod.exits).map(\.status.signal) == [SIGKILL])
        }
    }

    @Test func containersOfASharedPIDNamespaceSeeEachOther() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            let other = try await pod.start(["sleep", "1234"], name: "other") { $0.pidNamespace = .sandbox }
            #expect(try readText("/proc/\(other.pid)/cmdline") == "sleep\u{0}1234\u{0}")
            #expect(try readText("/proc/\(pod.sandbox.pid)/comm") == "podinit\n")
            let outcome = try await pod.run(
                "tr '\\0' ' ' </proc/1/cmdline; ps 2>/dev/null | grep -c 'sleep [1]234'; kill -KILL 1"
            ) {
                $0.pidNamespace = .sandbox
            }
            #expect(outcome.output.hasPrefix("podinit "))
            #expect(outcome.output.hasSuffix("1\n"))
            let later = try await pod.adopt()
            #expect(later.pid == pod.sandbox.pid)
            let states = try await later.status().map(\.state)
            #expect(states.contains(.running(pid: other.pid)))
        }
    }

    @Test func aHostPIDContainerSeesTheHost() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("echo $$; cat /proc/\(getpid())/comm; true") { $0.pidNamespace = .sandbox }
            let comm = try readText("/proc/self/comm")
            let pid = try #require(outcome.lines.first.flatMap { pid_t($0.text) })
            #expect(pid > 1)
            #expect(outcome.output == "\(pid)\n\(comm)")
        }
    }

    @Test(arguments: [false, true])
    func theSystemIsWritableOnlyWhereAsked(writable: Bool) async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("grep ' /sys ' /proc/self/mounts | grep -c ' r[w],'; true") {
                $0.writableSystem = writable
            }
            #expect(outcome.output == (writable ? "1\n" : "0\n"))
        }
    }

    @Test func containersShareMemoryThroughAMountTheyAreGiven() async throws {
        try await TestPod.with { pod in
            // What makes it shared is the file system; each container has a mount of it.
            let directory = "\(pod.directory)/shared"
            try makeDirectories(directory)
            for (attempt, script) in ["echo word >/dev/shm/file", "cat /dev/shm/file"].enumerated() {
                let mount = try DetachedMount(cloning: directory)
                let outcome = try await pod.run(script, attempt: UInt32(attempt)) {
                    $0.sharedMemory = mount.descriptor.number
                }
                #expect(outcome.output == (attempt == 0 ? "" : "word\n"))
            }
            let size = try await pod.run("df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", attempt: 2) {
                $0.sharedMemorySize = 1 << 20
            }
            #expect(size.output == "1024\n")
        }
    }

    @Test func devicesAreMadeWhereThePlanSays() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("stat -c '%n %F %t:%T %a %u:%g' /dev/net/tun /dev/disk") {
                $0.devices = [
                    .init(path: "net/tun", isBlock: false, major: 10, minor: 200, mode: 0o660, uid: 1, gid: 2),
                    .init(path: "disk", isBlock: true, major: 7, minor: 0, mode: 0o600),
                    .init(path: "null", isBlock: false, major: 1, minor: 3),
                ]
            }
            #expect(
                outcome.output == """
                    /dev/net/tun character special file a:c8 660 1:2
                    /dev/disk block special file 7:0 600 0:0

                    """)
            let error = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"], attempt: 1) {
                    $0.devices = [.init(path: "null", isBlock: false, major: 1, minor: 5)]
                }
            }
            #expect(error?.step == .device && error?.errno == EEXIST)
        }
    }

    @Test func theRootCanBeReadOnly() async throws {
        try await TestPod.with { pod in
            let script = "touch /file 2>/dev/null && echo made; touch /dev/shm/file && echo shared; pwd"
            let outcome = try await pod.run(script) {
                $0.readOnlyRoot = true
                $0.process.workingDirectory = "/made/before"
            }
            #expect(outcome.output == "shared\n/made/before\n")
        }
    }

    @Test func mountsLandInsideTheRootWhateverItsSymbolicLinksSay() async throws {
        try await TestPod.with { pod in
            let volume = "\(pod.directory)/volume"
            let outside = "\(pod.directory)/outside"
            try makeDirectories(volume)
            try makeDirectories(outside)
            try writeFileAtomically("\(volume)/here", Array("volume\n".utf8))
            let links = [
                ("up", repeated("../", 20) + outside), ("absolute", outside), ("dangling", "/not/yet/there"),
                ("chain", "up/../absolute/deep"), ("relative", "var/../../../run"),
            ]
            for (name, target) in links { try check(symlink(target, "\(pod.image)/\(name)"), "symlink") }
            var attempt: UInt32 = 0
            for name in links.map(\.0) + ["plain/new/place", "etc/../var/other"] {
                let mount = try DetachedMount(cloning: volume)
                let outcome = try await pod.run("cat /\(name)/here", attempt: attempt) {
                    $0.mounts = [
                        .init(descriptor: mount.descriptor.number, target: "/\(name)", kind: .directory)
                    ]
                }
                #expect(outcome.output == "volume\n", "\(name)")
                attempt += 1
            }
            // Nothing was made outside, and the host sees no mount.
            #expect(try listDirectory(outside).isEmpty)
            #expect(try !readText("/proc/self/mountinfo").contains(pod.directory))
        }
    }

    @Test func aFileIsMountedOnAFileThatIsMadeWhereItIsMissing() async throws {
        try await TestPod.with { pod in
            try writeFileAtomically("\(pod.directory)/hosts", Array("127.0.0.1 localhost\n".utf8))
            let first = try DetachedMount(cloning: "\(pod.directory)/hosts")
            let second = try DetachedMount(cloning: "\(pod.directory)/hosts")
            let third = try DetachedMount(cloning: "\(pod.directory)/hosts")
            let outcome = try await pod.run("cat /etc/hosts /dev/termination-log") {
                $0.mounts = [
                    .init(descriptor: first.descriptor.number, target: "/etc/hosts", kind: .file),
                    .init(descriptor: second.descriptor.number, target: "/dev/termination-log", kind: .file),
                ]
            }
            #expect(outcome.output == repeated("127.0.0.1 localhost\n", 2))
            let error = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"], attempt: 1) {
                    $0.mounts = [.init(descriptor: third.descriptor.number, target: "/etc", kind: .file)]
                }
            }
            #expect(error?.step == .mount && error?.subject == "/etc" && error?.errno == EISDIR)
        }
    }

    @Test(arguments: ["/proc", "/proc/sys", "/proc/self", "/link/sys", "/"])
    func nothingIsMountedOverProcOrTheRoot(target: String) async throws {
        try await TestPod.with { pod in
            try check(symlink("/proc", "\(pod.image)/link"), "symlink")
            let mount = try DetachedMount(cloning: pod.logs)
            let error = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"]) {
                    $0.mounts = [.init(descriptor: mount.descriptor.number, target: target, kind: .directory)]
                }
            }
            #expect(error?.step == .mount)
        }
    }

    @Test(arguments: ["proc", "dev", "sys"])
    func anImageCannotRedirectTheStandardMounts(name: String) async throws {
        try await TestPod.with { pod in
            try check(symlink("/etc", "\(pod.image)/\(name)"), "symlink")
            let error = await #expect(throws: LaunchError.self) { try await pod.start(["true"]) }
            #expect(error?.step == .mount && error?.subject == "/\(name)")
        }
    }

    @Test func renamingWhileMountingLeadsNowhereElse() async throws {
        try await TestPod.with { pod in
            // One container exchanges a directory of a shared volume with a link to the outside as fast as it can,
            // while others are started with mounts below that directory (CVE-2021-30465).
            let volume = "\(pod.directory)/volume"
            let outside = "\(pod.directory)/outside"
            try makeDirectories("\(volume)/a/b")
            try makeDirectories(outside)
            try check(symlink(outside, "\(volume)/link"), "symlink")
            let racing = Flag()
            try startThread {
                while !racing.isSet {
                    let exchange: UInt32 = 2  // RENAME_EXCHANGE
                    _ = cl_renameat2(AT_FDCWD, "\(volume)/a", AT_FDCWD, "\(volume)/link", exchange)
                }
                racing.finish()
            }
            for attempt in 0..<200 as Range<UInt32> {
                let shared = try DetachedMount(cloning: volume)
                // As the engine does it; else what is mounted inside would be on this host too, where its mounts are shared.
                try shared.set(propagation: .private)
                let inner = try DetachedMount(cloning: pod.exits)
                // Wherever the link leads at the moment, it is inside; a start may fail, but never reaches out.
                _ = try? await pod.start(["true"], name: "r\(attempt)") {
                    $0.mounts = [
                        .init(descriptor: shared.descriptor.number, target: "/volume", kind: .directory),
                        .init(descriptor: inner.descriptor.number, target: "/volume/a/b/c", kind: .directory),
                    ]
                }
                if attempt % 100 == 99 {
                    for index in (attempt - 99)...attempt {
                        _ = try? await pod.sandbox.signal("r\(index)", SIGKILL)
                    }
                }
                let ended = try await pod.sandbox.status().filter { $0.exit != nil }
                for container in ended { try await pod.sandbox.forget(container.name, attempt: container.attempt) }
            }
            racing.set()
            racing.wait()
            #expect(try listDirectory(outside).isEmpty)
            #expect(try !readText("/proc/self/mountinfo").contains(pod.directory))
        }
    }
}
