import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct StartTests {
    @Test func aLineOfOutputAppearsInTheLogInCRIFormat() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("echo hello; echo oops >&2; exit 3")
            #expect(outcome.status == ContainerRuntime.ExitStatus(code: 3, signal: 0))
            #expect(outcome.lines.filter { $0.stream == "stdout" }.map(\.text) == ["hello"])
            #expect(outcome.lines.filter { $0.stream == "stderr" }.map(\.text) == ["oops"])
            #expect(outcome.lines.allSatisfy { $0.tag == "F" })
        }
    }

    @Test func aMissingCommandFailsTheStartAndNamesIt() async throws {
        try await TestPod.with { pod in
            let error = await #expect(throws: LaunchError.self) { try await pod.start(["nosuch", "argument"]) }
            #expect(error?.isCommandNotFound == true)
            #expect(error?.description == #"exec: "nosuch": executable file not found in $PATH"#)
            let path = await #expect(throws: LaunchError.self) { try await pod.start(["/no/such"]) }
            #expect(path?.isCommandNotFound == true)
            #expect(path?.description == #"exec: "/no/such": stat /no/such: no such file or directory"#)
            // Nothing is left of a failed start: its name and attempt are free.
            let seen1 = try await pod.sandbox.status().isEmpty
            #expect(seen1)
            let seen2 = try await pod.run("exit 0").status.code
            #expect(seen2 == 0)
        }
    }

    @Test func aStartThatFailedIsInNobodysWayBeforeItsProcessIsReaped() async throws {
        try await TestPod.with { pod in
            for _ in 0..<100 {
                let error = await #expect(throws: LaunchError.self) { try await pod.start(["/no/such"]) }
                #expect(error?.isCommandNotFound == true)
            }
        }
    }

    @Test func whatIsNotExecutableFailsTheStart() async throws {
        try await TestPod.with { pod in
            for command in ["/etc/passwd", "/etc"] {
                let error = await #expect(throws: LaunchError.self) { try await pod.start([command]) }
                #expect(error?.isCommandNotExecutable == true)
                #expect(error?.description == #"exec: "\#(command)": permission denied"#)
            }
            try writeFileAtomically("\(pod.image)/bin/text", Array("no program".utf8), mode: 0o755)
            let error = await #expect(throws: LaunchError.self) { try await pod.start(["text"]) }
            #expect(error?.description == #"exec: "text": exec format error"#)
        }
    }

    @Test func aNameIsStartedOnceAtATimeAndAnAttemptOnceForAll() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let busy = await #expect(throws: LaunchError.self) { try await pod.start(["true"], attempt: 1) }
            #expect(busy?.step == .container && busy?.errno == EBUSY)
            try await pod.sandbox.signal("main", SIGKILL)
            let seen3 = try await pod.exit()
            #expect(seen3 == ContainerRuntime.ExitStatus(code: 137, signal: SIGKILL))
            let again = await #expect(throws: LaunchError.self) { try await pod.start(["true"]) }
            #expect(again?.step == .container && again?.errno == EEXIST)
            let seen4 = try await pod.run("exit 7", attempt: 1).status.code
            #expect(seen4 == 7)
            try await pod.sandbox.forget("main", attempt: 0)
            let seen5 = try await pod.sandbox.status().map(\.attempt)
            #expect(seen5 == [1])
        }
    }

    @Test func exitsOutliveTheAgentThatStartedTheContainer() async throws {
        try await TestPod.with { pod in
            let agent = try await pod.adopt()
            let input = try Pipe()
            let started = try await pod.start(["sh", "-c", "read line; exit $line"]) {
                $0.standardInput = input.reading.number
            }
            #expect(started.startedAt > 1_000_000_000_000_000_000)
            let running = try await agent.status().first
            #expect(running?.state == .running(pid: started.pid))
            try input.writing.writeAll(Array("42\n".utf8))
            for await event in agent.events {
                guard case .containerExited(let status) = event else { break }
                #expect(status.exit?.code == 42)
                break
            }
            let later = try await pod.adopt()
            #expect(later.pid == pod.sandbox.pid)
            let status = try await later.status().first
            #expect(status?.exit == ContainerRuntime.ExitStatus(code: 42, signal: 0))
            #expect(status?.startedAt == started.startedAt)
            let record = try ExitRecord.read(directory: pod.exits)
            #expect(record.map(\.name) == ["main"] && record.map(\.status.code) == [42])
            #expect(record.first?.startedAt == started.startedAt)
            try await later.forget("main", attempt: 0)
            #expect(try ExitRecord.read(directory: pod.exits).isEmpty)
        }
    }

    @Test func aFailingStartAnswersTheRightRequestWhileOthersRun() async throws {
        try await TestPod.with { pod in
            try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let name = "c\(number)"
                        if number % 3 == 0 {
                            do {
                                try await pod.start(["nosuch-\(name)"], name: name)
                                return "started"
                            } catch let error as LaunchError {
                                return error.subject == "nosuch-\(name)" ? "good" : error.description
                            }
                        }
                        let started = try await pod.start(["sleep", "1000"], name: name)
                        return kill(started.pid, 0) == 0 ? "good" : "no process"
                    }
                }
                for try await answer in group { #expect(answer == "good") }
            }
            let seen6 = try await pod.sandbox.status().count
            #expect(seen6 == 8)
        }
    }

    @Test func argumentsEnvironmentAndDirectoryArriveAsGiven() async throws {
        try await TestPod.with { pod in
            let script = #"printf '%s|' "$0" "$1" "$2" "$EMPTY" "$WORDS"; echo; pwd; umask"#
            try await pod.start(["sh", "-c", script, "zero", "", "a b\n"]) {
                $0.process.environment += ["EMPTY=", "WORDS=x y"]
                $0.process.workingDirectory = "/srv/new/place"
                $0.process.umask = 0o027
            }
            _ = try await pod.exit()
            #expect(try pod.logLines().map(\.text) == ["zero||a b", "||x y|", "/srv/new/place", "0027"])
        }
    }

    @Test func hostNameAndNetworkParametersAreThePodsOwn() async throws {
        try await TestPod.with {
            $0.hostname = "web-0"
            $0.domainname = "example"
            $0.sysctls = [Sysctl("net.ipv4.ip_unprivileged_port_start", "81"), Sysctl("kernel.shm_rmid_forced", "1")]
        } _: { pod in
            let script = """
                cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start
                cat /proc/sys/kernel/shm_rmid_forced
                """
            let seen7 = try await pod.run(script).output
            #expect(seen7 == "web-0\nexample\n81\n1\n")
            #expect(try readText("/proc/sys/net/ipv4/ip_unprivileged_port_start") != "81\n")
        }
    }

    @Test(arguments: ["kernel.panic", "vm.swappiness", "net.ipv4/../../kernel.panic", "kernel.hostname", "net..x"])
    func parametersOfTheHostAreRefused(name: String) async throws {
        let error = await #expect(throws: LaunchError.self) {
            try await TestPod.with {
                $0.sysctls = [Sysctl(name, "1")]
            } _: { _ in
            }
        }
        #expect(error?.step == .sysctl)
    }

    @Test func theNetworkIsGivenOutAsNamespaceAndSocket() async throws {
        try await TestPod.with { pod in
            let network = try await pod.sandbox.network()
            var given = stat()
            try check(fstat(network.namespace.number, &given), "fstat")
            let outcome = try await pod.run("stat -L -c %i /proc/self/ns/net; ls /sys/class/net")
            #expect(outcome.output == "\(given.st_ino)\nlo\n")
            var address = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let result = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    getsockname(network.routeSocket.number, $0, &size)
                }
            }
            try check(result, "getsockname")
            #expect(address.ss_family == AF_NETLINK)
        }
    }

    @Test func aHostNetworkPodSeesTheHostsInterfaces() async throws {
        try await TestPod.with {
            $0.newNetwork = false
            $0.newUTS = false
        } _: { pod in
            var own = stat()
            try check(stat("/proc/self/ns/net", &own), "stat")
            let seen8 = try await pod.run("stat -L -c %i /proc/self/ns/net").output
            #expect(seen8 == "\(own.st_ino)\n")
        }
    }
}
