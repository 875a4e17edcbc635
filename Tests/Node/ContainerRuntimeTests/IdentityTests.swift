import ContainerRuntime
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct IdentityTests {
    @Test func theProcessRunsAsTheUserAndGroupsItWasGiven() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run(
                "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '\\t ' ' '; echo x >/dev/stdout"
            ) {
                $0.process.user = ContainerUser(uid: 1234, gid: 567, additionalGroups: [8, 9])
            }
            #expect(outcome.output.contains("Uid: 1234 1234 1234 1234\nGid: 567 567 567 567\n"))
            #expect(outcome.output.contains("Groups: 8 9 \n"))
            // Its output is its own: it can be opened again by name.
            #expect(outcome.output.hasSuffix("x\n"))
        }
    }

    @Test func capabilitiesAreExactlyThoseAskedFor() async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("tr -s '\\t' ' ' </proc/self/status")
            let expected = hexadecimal(Capabilities.containerDefault)
            #expect(Capabilities.containerDefault.names.count == 14)
            #expect(outcome.output.contains("CapInh: \(repeated("0", 16))\n"))
            for set in ["CapPrm", "CapEff", "CapBnd"] { #expect(outcome.output.contains("\(set): \(expected)\n")) }
            #expect(outcome.output.contains("CapAmb: \(repeated("0", 16))\n"))
            #expect(outcome.output.contains("NoNewPrivs: 0\n"))

            let one = try #require(Capabilities(named: "net_bind_service"))
            let other = try await pod.run("tr -s '\\t' ' ' </proc/self/status", attempt: 1) {
                $0.process.capabilities = CapabilitySets(one)
                $0.process.capabilities.inheritable = one
                $0.process.capabilities.ambient = one
                $0.process.user = ContainerUser(uid: 1000, gid: 1000)
                $0.process.noNewPrivileges = true
            }
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                #expect(other.output.contains("\(set): \(hexadecimal(one))\n"))
            }
            #expect(other.output.contains("NoNewPrivs: 1\n"))
        }
    }

    @Test func aCapabilityThatCannotBeGivenFailsTheStart() async throws {
        try await TestPod.with { pod in
            let missing = Capabilities(rawValue: 1 << 60)
            let error = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"]) { $0.process.capabilities.bounding.insert(missing) }
            }
            #expect(error?.step == .capability)
            let permitted = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"]) {
                    $0.process.capabilities.permitted.insert(Capabilities(rawValue: 1 << 50))
                    $0.process.capabilities.ambient.insert(Capabilities(rawValue: 1 << 50))
                }
            }
            #expect(permitted?.step == .capability)
        }
    }

    @Test func whatThisProcessHasCanBeGiven() async throws {
        try await TestPod.with { pod in
            let all = try Capabilities.current()
            let outcome = try await pod.run("tr -s '\\t' ' ' </proc/self/status") {
                $0.process.capabilities = CapabilitySets(all)
            }
            #expect(outcome.output.contains("CapEff: \(hexadecimal(all))\n"))
        }
    }

    @Test func unknownCapabilityNamesAreRefused() {
        #expect(Capabilities(named: "CAP_NET_ADMIN") == Capabilities(rawValue: 1 << 12))
        #expect(Capabilities(named: "checkpoint_restore") == Capabilities(rawValue: 1 << 40))
        for name in ["", "CAP_", "NET_ADMIN ", "CAP_CAP_KILL", "ALL", "12"] {
            #expect(Capabilities(named: name) == nil)
        }
    }

    @Test(arguments: [false, true])
    func theSeccompProgramDecides(noNewPrivileges: Bool) async throws {
        try await TestPod.with { pod in
            let outcome = try await pod.run("mkdir /tmp/x && echo made || echo refused; echo still here") {
                $0.process.seccompProgram = refusing(systemCall: 83 /* mkdir */)
                $0.process.noNewPrivileges = noNewPrivileges
                if noNewPrivileges { $0.process.user = ContainerUser(uid: 1000, gid: 1000) }
            }
            #expect(outcome.output.contains("Operation not permitted"))
            #expect(outcome.output.contains("refused\nstill here"))
        }
    }

    @Test func aSeccompProgramThatTheKernelRefusesFailsTheStart() async throws {
        try await TestPod.with { pod in
            let error = await #expect(throws: LaunchError.self) {
                try await pod.start(["true"]) { $0.process.seccompProgram = [UInt8](repeating: 0xff, count: 16) }
            }
            #expect(error?.step == .seccomp && error?.errno == EINVAL)
        }
    }

    @Test func limitsAreAppliedAndOomScoreIsAppliedOrReported() async throws {
        try await TestPod.with { pod in
            try await pod.start(["sh", "-c", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"]) {
                $0.process.resourceLimits = [ResourceLimit(resource: 7 /* RLIMIT_NOFILE */, soft: 100, hard: 200)]
                $0.process.oomScoreAdjustment = 900
            }
            _ = try await pod.exit()
            #expect(try pod.logLines().map(\.text) == ["100", "200", "900"])
            let lowered = try await pod.start(["cat", "/proc/self/oom_score_adj"], attempt: 1) {
                $0.process.oomScoreAdjustment = -998
            }
            _ = try await pod.exit(attempt: 1)
            let applied = try pod.logLines(1).map(\.text) == ["-998"]
            #expect(lowered.notes.contains(.oomScoreRefused) != applied)
        }
    }

    @Test func usersAreLookedUpInTheRootFileSystem() throws {
        try withTemporaryDirectory { directory in
            try makeImage(directory)
            let root = try OwnedDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY)
            func resolve(_ user: String) throws -> ResolvedUser { try UserLookup.resolve(user, root: root.number) }
            let zero = ContainerUser()
            let web = ContainerUser(uid: 101, gid: 102, additionalGroups: [50, 51])
            #expect(try resolve("") == ResolvedUser(user: zero, name: "root", home: "/root"))
            #expect(try resolve("web") == ResolvedUser(user: web, name: "web", home: "/srv"))
            #expect(try resolve("101").user == web)
            #expect(try resolve("web:staff").user == ContainerUser(uid: 101, gid: 50))
            #expect(try resolve("5:6") == ResolvedUser(user: ContainerUser(uid: 5, gid: 6), name: nil, home: "/"))
            #expect(throws: UserLookupError.unknownUser("nobody")) { try resolve("nobody") }
            #expect(throws: UserLookupError.unknownGroup("nogroup")) { try resolve("web:nogroup") }
            // The line of "bad" has no number for a uid, so that there is no such user.
            for user in ["bad", "1x", "-1", "+1", "0x10", " 1", "1 "] {
                #expect(throws: UserLookupError.unknownUser(user)) { try resolve(user) }
            }
            for user in [":", ":0", "0:", "0:0:0", "4294967295", "99999999999", "0:4294967295"] {
                #expect(throws: UserLookupError.malformed(user)) { try resolve(user) }
            }
        }
    }

    @Test func theUserFilesOfAnImageCannotPointOutside() throws {
        try withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/image/etc")
            try writeFileAtomically("\(directory)/passwd", Array("web:x:7:7::/:\n".utf8))
            for link in ["/etc/../../passwd", "../../passwd", "\(directory)/passwd"] {
                unlink("\(directory)/image/etc/passwd")
                try check(symlink(link, "\(directory)/image/etc/passwd"), "symlink")
                let root = try OwnedDescriptor(opening: "\(directory)/image", flags: O_RDONLY | O_DIRECTORY)
                #expect(throws: UserLookupError.unknownUser("web")) {
                    try UserLookup.resolve("web", root: root.number)
                }
            }
        }
    }
}

/// The form of /proc/self/status.
private func hexadecimal(_ set: Capabilities) -> String {
    let digits = String(set.rawValue, radix: 16)
    return repeated("0", 16 - digits.count) + digits
}

/// A BPF program (seccomp(2)) that answers EPERM to one system call of x86-64 and allows the others.
private func refusing(systemCall: UInt32) -> [UInt8] {
    func instruction(_ code: UInt16, _ jumps: (UInt8, UInt8), _ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: code) { Array($0) } + [jumps.0, jumps.1] + withUnsafeBytes(of: value) { Array($0) }
    }
    return instruction(0x20, (0, 0), 0)  // load the number
        + instruction(0x15, (0, 1), systemCall)  // equal: the next, else the one after
        + instruction(0x06, (0, 0), 0x0005_0000 | UInt32(EPERM)) + instruction(0x06, (0, 0), 0x7fff_0000)
}
