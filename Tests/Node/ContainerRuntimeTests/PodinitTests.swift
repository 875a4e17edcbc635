import CLinux
import CPodinit
import Glibc
import Linux
import TestSupport
import Testing

@testable import ContainerRuntime

@Suite struct PodinitTests {
    @Test func signalsThatWouldEndAProcessDoNotEndPodinit() async throws {
        try await TestPod.with { pod in
            for signal in [SIGTERM, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGUSR1, SIGSEGV, SIGALRM] {
                try check(kill(pod.sandbox.pid, signal), "kill")
            }
            let seen1 = try await pod.run("exit 1").status.code
            #expect(seen1 == 1)
        }
    }

    @Test func itsExecutableIsSealedAndItCannotBeTraced() async throws {
        try await TestPod.with { pod in
            let path = "/proc/\(pod.sandbox.pid)/exe"
            #expect(open(path, O_WRONLY) == -1)
            #expect(errno == ETXTBSY || errno == EPERM)
            // A process that is not dumpable belongs to root whoever runs it, and leaves no core.
            let status = try readText("/proc/\(pod.sandbox.pid)/status")
            #expect(status.contains("CoreDumping:\t0"))
            var memory = stat()
            try check(stat("/proc/\(pod.sandbox.pid)/mem", &memory), "stat")
            #expect(memory.st_uid == 0)
        }
    }

    @Test func terminatingKillsEverythingAndLeavesNoProcess() async throws {
        var pids: [pid_t] = []
        try await TestPod.with { pod in
            for name in ["a", "b", "c"] { pids.append(try await pod.start(["sleep", "1000"], name: name).pid) }
            pids.append(pod.sandbox.pid)
            try await pod.sandbox.terminate()
            // Once more is fine: it is gone already.
            try await pod.sandbox.terminate()
            let error = await #expect(throws: LaunchError.self) { try await pod.adopt() }
            #expect(error?.isSandboxGone == true)
            // What ended is on disk, for an agent that comes later.
            let records = try ExitRecord.read(directory: pod.exits)
            #expect(Set(records.map(\.name)) == ["a", "b", "c"])
            #expect(records.allSatisfy { $0.status.signal == SIGKILL })
        }
        for pid in pids { #expect(kill(pid, 0) == -1 && errno == ESRCH) }
    }

    @Test func anAgentLearnsThatPodinitIsGone() async throws {
        try await TestPod.with { pod in
            try check(kill(pod.sandbox.pid, SIGKILL), "kill")
            var last: SandboxEvent?
            for await event in pod.sandbox.events { last = event }
            #expect(last == .gone)
            let error = await #expect(throws: LaunchError.self) { try await pod.sandbox.status() }
            #expect(error?.isSandboxGone == true)
        }
    }

    @Test func aSandboxThatCannotBeMadeLeavesNothing() async throws {
        for shared in [false, true] {
            let error = await #expect(throws: LaunchError.self) {
                try await TestPod.with {
                    $0.sharedPID = shared
                    $0.hostname = repeated("x", 65)
                } _: { _ in
                }
            }
            #expect(error?.step == .plan && error?.subject == "host name")
        }
    }

    @Test func aPodinitWhoseAgentDiedBeforeItWasReadyEnds() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/podinit.sock"
            let process: ProcessDescriptor
            do {
                let listener = try UnixSocket.listen(at: path, .sequencedPackets)
                _ = try UnixSocket.connect(to: path, .sequencedPackets)
                let pid = try TestPod.program().start(listener: listener.descriptor.number, label: "test")
                process = try ProcessDescriptor(pid: pid)
            }
            let ended = process.waitForExit(milliseconds: 10_000)
            try process.signal(SIGKILL)
            waitpid(process.pid, nil, 0)
            #expect(ended)
        }
    }

    @Test func privateMemoryIsFarBelowOneMegabyte() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sleep", "1000"])
            // The program's own pages are those of the one sealed file: shared by all pods of the host.
            let rollup = try readText("/proc/\(pod.sandbox.pid)/smaps_rollup").split(separator: "\n")
            func kilobytes(_ field: String) -> Int? {
                let line = rollup.first { $0.hasPrefix(field + ":") }
                return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
            }
            let anonymous = try #require(kilobytes("Anonymous"))
            let dirty = try #require(kilobytes("Private_Dirty"))
            #expect(anonymous < 256)
            #expect(dirty < 1024)
        }
    }

    @Test func malformedMessagesCloseTheirConnectionAndNothingElse() async throws {
        try await TestPod.with { pod in
            let started = try await pod.start(["sleep", "1000"])
            let before = try listDirectory("/proc/\(pod.sandbox.pid)/fd")
            var random = Random(seed: 1)
            for round in 0..<3000 {
                let socket = try UnixSocket.connect(to: "\(pod.directory)/run/podinit.sock", .sequencedPackets)
                let message = round % 2 == 0 ? random.bytes(random.next(400)) : random.nearlyValidMessage()
                // With and without descriptors it did not ask for.
                let extra: [Int32] = round % 7 == 0 ? [socket.descriptor.number, 0] : []
                message.withUnsafeBytes { bytes in
                    _ = cl_send_fds(socket.descriptor.number, bytes.baseAddress, bytes.count, extra, extra.count, 0)
                }
            }
            try await expectUnharmed(pod, running: started.pid, descriptors: before)
        }
    }

    @Test func mutatedPlansAreRefusedAndNothingElse() async throws {
        try await TestPod.with { pod in
            let started = try await pod.start(["sleep", "1000"])
            let socket = try UnixSocket.connect(to: "\(pod.directory)/run/podinit.sock", .sequencedPackets)
            _ = try await pod.sandbox.status()  // answered after the connection was accepted
            let before = try listDirectory("/proc/\(pod.sandbox.pid)/fd")
            // Its root is no mount, so that even a plan that was hardly damaged cannot run its command.
            let root = try OwnedDescriptor(opening: pod.image, flags: O_RDONLY | O_DIRECTORY)
            let exits = try OwnedDescriptor(opening: pod.exits, flags: O_RDONLY | O_DIRECTORY)
            var container = ContainerPlan(
                name: "mutant", attempt: 0, process: ProcessPlan(arguments: ["true", "a", "b"]), root: root.number)
            container.process.environment = ["PATH=/bin", "A=B"]
            container.mounts = [.init(descriptor: root.number, target: "/x/y", kind: .directory)]
            container.devices = [.init(path: "net/tun", isBlock: false, major: 10, minor: 200)]
            container.cgroupView = .hierarchies(["cpu,cpuacct", "name=systemd"])
            container.process.resourceLimits = [ResourceLimit(resource: 7, soft: 1, hard: 1)]
            container.process.seccompProgram = [UInt8](repeating: 0, count: 64)
            container.process.user.additionalGroups = [1, 2, 3]
            container.log = .init(directory: exits.number)
            var exec = ExecPlan(process: container.process)
            exec.process.workingDirectory = "/no/such/directory"
            let plans = [
                (PI_START, try bytes(of: container.encoded())), (PI_EXEC, try bytes(of: exec.encoded(in: "main"))),
                (PI_SANDBOX, try bytes(of: SandboxPlan(exitsDirectory: root.number).encoded())),
            ]
            var random = Random(seed: 2)
            var refused = 0
            for round in 0..<6000 {
                let (kind, valid) = plans[round % 3]
                let mutant = random.mutated(valid)
                let memory = try sealedMemoryFile(named: "mutant", mutant)
                let answer = try exchange(socket, kind, [memory.number, root.number, exits.number])
                if UInt32(answer.type) == PI_ERROR.rawValue { refused += 1 }
            }
            #expect(refused > 5900)
            // The children of plans that were good enough to be tried end by themselves.
            try await eventually("no mutants") { try await pod.sandbox.status().allSatisfy { $0.name == "main" } }
            try await expectUnharmed(pod, running: started.pid, descriptors: before)
        }
    }

    @Test func aPlanThatCouldStillChangeIsRefused() async throws {
        try await TestPod.with { pod in
            let socket = try UnixSocket.connect(to: "\(pod.directory)/run/podinit.sock", .sequencedPackets)
            let plan = try bytes(of: ExecPlan(process: ProcessPlan(arguments: ["true"])).encoded(in: "main"))
            let memory = OwnedDescriptor(owning: try check(cl_memfd_create("open"), "memfd_create"))
            try memory.writeAll(plan)
            let answer = try exchange(socket, PI_EXEC, [memory.number])
            #expect(UInt32(answer.type) == PI_ERROR.rawValue)
            let file = try OwnedDescriptor(opening: "/etc/passwd", flags: O_RDONLY)
            #expect(UInt32(try exchange(socket, PI_EXEC, [file.number]).type) == PI_ERROR.rawValue)
        }
    }

    @Test func anAgentThatDoesNotReadIsLetGoAndThePodGoesOn() async throws {
        try await TestPod.with { pod in
            let socket = try UnixSocket.connect(to: "\(pod.directory)/run/podinit.sock", .sequencedPackets)
            var header = header(PI_STATUS, length: 0)
            var lost = false
            for _ in 0..<100_000 where !lost {
                let sent = withUnsafeBytes(of: &header) {
                    cl_send_fds(socket.descriptor.number, $0.baseAddress, $0.count, nil, 0, Int32(MSG_DONTWAIT))
                }
                lost = sent < 0 && errno != EAGAIN
            }
            #expect(lost)
            let seen2 = try await pod.run("exit 2").status.code
            #expect(seen2 == 2)
        }
    }
}

/// podinit works on, its container runs, and it holds no more descriptors than before.
private func expectUnharmed(_ pod: TestPod, running: pid_t, descriptors: [String]) async throws {
    // Answered after everything that was sent before.
    let status = try await pod.sandbox.status()
    #expect(status.map(\.state) == [.running(pid: running)])
    try await eventually("descriptors are closed") {
        try listDirectory("/proc/\(pod.sandbox.pid)/fd").count <= descriptors.count
    }
    let seen3 = try await pod.run("exit 3", name: "after").status.code
    #expect(seen3 == 3)
}

private func header(_ type: pi_type, length: Int) -> pi_header {
    pi_header(
        magic: UInt32(PI_MAGIC), version: UInt16(PI_VERSION), type: UInt16(type.rawValue), request: 1,
        length: UInt32(length), zero: 0)
}

/// Sends a request that carries a plan and waits for its answer.
private func exchange(_ socket: borrowing UnixSocket, _ type: pi_type, _ descriptors: [Int32]) throws -> pi_header {
    try withUnsafeBytes(of: header(type, length: 0)) { _ = try socket.send($0, descriptors: descriptors) }
    var answer = [UInt8](repeating: 0, count: Int(PI_MESSAGE_MAX))
    while true {
        let (size, numbers) = try answer.withUnsafeMutableBytes { try socket.receive(into: $0) }
        numbers.forEach { close($0) }
        guard size > 0, let header = answer.value(of: pi_header.self) else { throw TestFailure("closed") }
        if header.request == 1 { return header }
    }
}

private func bytes(of plan: consuming EncodedPlan) throws -> [UInt8] {
    try check(lseek(plan.memory.number, 0, SEEK_SET), "lseek")
    return try plan.memory.readAll()
}

/// xorshift64*: the same sequence at every run.
private struct Random {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func word() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }

    mutating func next(_ bound: Int) -> Int { Int(word() >> 33) % max(bound, 1) }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: word() >> 40) } }

    /// A right header with a type, length or body that is not.
    mutating func nearlyValidMessage() -> [UInt8] {
        let types = [PI_SIGNAL, PI_RESIZE, PI_FORGET, PI_STATUS, PI_NETWORK, PI_START, PI_EXEC, PI_SANDBOX, PI_ERROR]
        let body = bytes(next(200))
        var header = header(types[next(types.count)], length: body.count)
        switch next(5) {
        case 0: header.magic ^= UInt32(1 << next(32))
        case 1: header.version ^= UInt16(1 << next(16))
        case 2: header.length = UInt32(truncatingIfNeeded: word())
        case 3: header.zero = 1
        default: break
        }
        // Shutting down is a right thing to ask for, and not what is tested here.
        return withUnsafeBytes(of: header) { Array($0) } + body
    }

    /// Some bytes, words or the length changed.
    mutating func mutated(_ original: [UInt8]) -> [UInt8] {
        var result = original
        for _ in 0...next(4) {
            let position = next(result.count)
            switch next(5) {
            case 0: result[position] = UInt8(truncatingIfNeeded: word())
            case 1: result[position] ^= UInt8(1 << next(8))
            case 2:
                let values: [UInt32] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, UInt32(result.count)]
                let word = withUnsafeBytes(of: values[next(values.count)]) { Array($0) }
                let start = position & ~3
                if start + 4 <= result.count { result.replaceSubrange(start..<start + 4, with: word) }
            case 3: result.removeLast(next(result.count / 2))
            default: result.append(contentsOf: bytes(next(64)))
            }
        }
        return result
    }
}
