import CLinux
import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct ExecTests {
    @Test func anExecRunsInTheContainerAndItsExitCodeIsItsOwn() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let outcome = try await pod.exec("echo out; echo err >&2; cat /proc/1/comm; exit 5")
            #expect(outcome.output == "out\nerr\nsleep\n")
            #expect(outcome.status == ContainerRuntime.ExitStatus(code: 5, signal: 0))
            let seen1 = try await pod.exec("kill -TERM $$").status?.signal
            #expect(seen1 == SIGTERM)
        }
    }

    @Test func anExecReadsWhatItIsGiven() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let outcome = try await pod.exec("tr a-z A-Z", input: "shout\n")
            #expect(outcome.output == "SHOUT\n")
        }
    }

    @Test func anExecHasTheNamespacesAndRestrictionsItsPlanSays() async throws {
        try await TestPod.with { pod in
            let started = try await pod.start(["sleep", "1000"]) { $0.readOnlyRoot = true }
            let script = """
                for kind in mnt pid net ipc uts cgroup; do stat -L -c %i /proc/self/ns/$kind; done
                tr -s '\\t' ' ' </proc/self/status | grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):'
                touch /file 2>/dev/null && echo made; pwd; echo $GREETING
                """
            let outcome = try await pod.exec(script) {
                $0.process.user = ContainerUser(uid: 1000, gid: 1000)
                $0.process.capabilities = CapabilitySets([])
                $0.process.noNewPrivileges = true
                $0.process.workingDirectory = "/etc"
                $0.process.environment.append("GREETING=hi")
            }
            var expected = ""
            for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
                var status = stat()
                try check(stat("/proc/\(started.pid)/ns/\(kind)", &status), "stat")
                expected += "\(status.st_ino)\n"
            }
            let none = repeated("0", 16)
            expected += "Uid: 1000 1000 1000 1000\nCapEff: \(none)\nCapBnd: \(none)\nNoNewPrivs: 1\n/etc\nhi\n"
            #expect(outcome.output == expected)
        }
    }

    @Test func anExecThatCannotStartSaysWhy() async throws {
        try await TestPod.with { pod in
            let missing = await #expect(throws: LaunchError.self) {
                try await pod.sandbox.exec(in: "main", ExecPlan(process: ProcessPlan(arguments: ["true"])))
            }
            #expect(missing?.isNotRunning == true)
            try await pod.start(["sleep", "1000"])
            var plan = ExecPlan(process: ProcessPlan(arguments: ["nosuch"]))
            plan.process.environment = ["PATH=/bin"]
            let error = await #expect(throws: LaunchError.self) { try await pod.sandbox.exec(in: "main", plan) }
            #expect(error?.isCommandNotFound == true)
            #expect(error?.description == #"exec: "nosuch": executable file not found in $PATH"#)
            plan.process.arguments = ["true"]
            plan.process.workingDirectory = "/no/such"
            let directory = await #expect(throws: LaunchError.self) { try await pod.sandbox.exec(in: "main", plan) }
            #expect(directory?.step == .directory && directory?.errno == ENOENT)
        }
    }

    @Test func anExecWithATerminalHasOne() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let script =
                "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all; read line; echo got $line; exit 9"
            var plan = ExecPlan(process: ProcessPlan(arguments: ["/bin/sh", "-c", script]))
            plan.process.environment = ["PATH=/bin"]
            plan.process.terminal = TerminalSize(rows: 33, columns: 77)
            let process = try await pod.sandbox.exec(in: "main", plan)
            let master = try terminal(of: process)
            try master.writeAll(Array("word\n".utf8))
            let output = try readTerminal(master.number)
            #expect(output.contains("/dev/pts/0\r\n33 77\r\nall\r\n"))
            #expect(output.hasSuffix("got word\r\n"))
            #expect(await process.exitStatus()?.code == 9)
        }
    }

    @Test func theTerminalsSizeFollowsAndClosingItHangsUp() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let script = "trap 'stty size' WINCH; echo ready; while true; do read line || exit 3; done"
            var plan = ExecPlan(process: ProcessPlan(arguments: ["/bin/sh", "-c", script]))
            plan.process.environment = ["PATH=/bin"]
            plan.process.terminal = TerminalSize(rows: 10, columns: 20)
            let process = try await pod.sandbox.exec(in: "main", plan)
            do {
                let master = try terminal(of: process)
                var seen = try readTerminal(master.number, until: "ready")
                try TerminalSize(rows: 44, columns: 55).apply(to: master.number)
                seen += try readTerminal(master.number, until: "44 55")
                #expect(seen.contains("44 55"))
            }
            // The descriptor is closed now: SIGHUP, or the end of the input.
            let status = await process.exitStatus()
            #expect(status?.signal == SIGHUP || status?.code == 3)
        }
    }

    @Test func aFakeMultiplexerGetsNoTerminal() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.start([
                // Again while a terminal of ours is open, which keeps it busy.
                "sh", "-c", "until umount /dev/pts; do sleep 0.01; done; mkdir /dev/pts/x; sleep 1000",
            ]) {
                $0.process.capabilities = CapabilitySets((try? .current()) ?? [])
            }
            #expect(outcome.pid > 0)
            var plan = ExecPlan(process: ProcessPlan(arguments: ["/bin/true"]))
            plan.process.terminal = TerminalSize()
            // Until the container has unmounted it, the terminal is real.
            try await eventually("no devpts") {
                do {
                    let process = try await pod.sandbox.exec(in: "main", plan)
                    _ = await process.exitStatus()
                    return false
                } catch let error as LaunchError {
                    return error.step == .terminal
                }
            }
        }
    }

    @Test func manyExecsAtOnceEachGetTheirOwnCode() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            try await withThrowingTaskGroup(of: (Int, Int32?).self) { group in
                for number in 0..<64 {
                    group.addTask {
                        var plan = ExecPlan(process: ProcessPlan(arguments: ["sh", "-c", "exit \(number)"]))
                        plan.process.environment = ["PATH=/bin"]
                        return (number, await (try pod.sandbox.exec(in: "main", plan)).exitStatus()?.code)
                    }
                }
                for try await (number, code) in group { #expect(code == Int32(number)) }
            }
        }
    }

    @Test func anExecCanBeSignalledAndEndsWithItsContainer() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            let plan = ExecPlan(process: ProcessPlan(arguments: ["/bin/sleep", "1000"]))
            let first = try await pod.sandbox.exec(in: "main", plan)
            try await first.signal(SIGTERM)
            #expect(await first.exitStatus()?.signal == SIGTERM)
            let second = try await pod.sandbox.exec(in: "main", plan)
            try await pod.sandbox.signal("main", SIGKILL)
            #expect(await second.exitStatus()?.signal == SIGKILL)
            let error = await #expect(throws: LaunchError.self) { try await second.signal(SIGTERM) }
            #expect(error?.isNotRunning == true)
        }
    }

    @Test func anExecJoinsTheSharedPIDNamespace() async throws {
        try await TestPod.with {
            $0.sharedPID = true
        } _: { pod in
            try await pod.start(["sleep", "1000"]) { $0.pidNamespace = .sandbox }
            let outcome = try await pod.exec("cat /proc/1/comm; exit 4")
            #expect(outcome.output == "podinit\n")
            #expect(outcome.status?.code == 4)
        }
    }

    @Test func aContainersOwnTerminalIsItsConsoleAndItsLog() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run(
                "tty; stty size; stat -c %F /dev/console; echo on the console >/dev/console"
            ) {
                $0.process.terminal = TerminalSize(rows: 24, columns: 80)
            }
            let lines = ["/dev/pts/0", "24 80", "character special file", "on the console"]
            #expect(outcome.lines.map(\.text) == lines.map { $0 + "\r" })
            #expect(outcome.lines.allSatisfy { $0.stream == "stdout" })
        }
    }

    @Test func aContainersTerminalCanBeResized() async throws {
        try await TestPod.with { pod in
            let script = "trap 'stty size; exit 0' WINCH; echo ready; while true; do sleep 0.02; done"
            try await pod.start(["sh", "-c", script]) { $0.process.terminal = TerminalSize(rows: 24, columns: 80) }
            try await eventually("ready") { try pod.logLines().first?.text == "ready\r" }
            try await pod.sandbox.resize("main", TerminalSize(rows: 50, columns: 132))
            _ = try await pod.exit()
            #expect(try pod.logLines().last?.text == "50 132\r")
        }
    }
}

private func terminal(of process: ExecProcess) throws -> OwnedDescriptor {
    guard let terminal = process.takeTerminal() else { throw TestFailure("no terminal") }
    return terminal
}

/// What comes from a terminal until its other side is closed, or until `text` was seen.
private func readTerminal(_ descriptor: Int32, until text: String? = nil) throws -> String {
    var output = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 && errno != EIO { throw SystemError("read", "terminal") }
        if count <= 0 { return output }
        output += String(decoding: buffer[..<count], as: UTF8.self)
        if let text, output.contains(text) { return output }
    }
}

extension TestPod {
    struct ExecOutcome {
        let status: ContainerRuntime.ExitStatus?
        let output: String
    }

    /// Runs a shell with `script` in the container `main`, both its streams in one pipe.
    func exec(
        _ script: String, input: String = "", _ change: (inout ExecPlan) -> Void = { _ in }
    ) async throws -> ExecOutcome {
        var plan = ExecPlan(process: ProcessPlan(arguments: ["sh", "-c", script]))
        plan.process.environment = ["PATH=/bin"]
        change(&plan)
        let process: ExecProcess
        let output: OwnedDescriptor
        do {
            let pipe = try Pipe()
            let stdin = try Pipe()
            plan.standardInput = stdin.reading.number
            plan.standardOutput = pipe.writing.number
            plan.standardError = pipe.writing.number
            try stdin.writing.writeAll(Array(input.utf8))
            process = try await sandbox.exec(in: "main", plan)
            output = try pipe.reading.duplicate()
        }
        let text = String(decoding: try output.readAll(), as: UTF8.self)
        return ExecOutcome(status: await process.exitStatus(), output: text)
    }
}
