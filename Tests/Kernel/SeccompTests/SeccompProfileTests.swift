import Linux
import Testing

@testable import Seccomp

struct SeccompProfileTests {
    /// Everything is allowed but what `rules` say.
    private func permissive(_ rules: [SeccompProfile.Rule]) -> SeccompProfile {
        SeccompProfile(defaultAction: .allow, rules: rules)
    }

    @Test func profilesThatDifferInOneErrorNumberHaveTwoPrograms() throws {
        let compiler = SeccompCompiler()
        let first = try compiler.program(for: permissive([.init(["getppid"], .errno(7))]))
        let second = try compiler.program(for: permissive([.init(["getppid"], .errno(8))]))
        #expect(first != second)
        #expect(try underFilter(first) { errnoOf(Int(SYS_getppid)) } == 7)
        #expect(try underFilter(second) { errnoOf(Int(SYS_getppid)) } == 8)
    }

    @Test func onlyCapabilitiesThatMatterMakeAnotherProgram() throws {
        let compiler = SeccompCompiler()
        let plain = try compiler.program(for: .runtimeDefault, capabilities: ["CAP_CHOWN"])
        #expect(try compiler.program(for: .runtimeDefault, capabilities: ["CAP_KILL"]) == plain)
        #expect(try compiler.program(for: .runtimeDefault, capabilities: ["CAP_SYS_ADMIN"]) != plain)
    }

    @Test func aFullCompilerStillGivesTheRightProgram() throws {
        let compiler = SeccompCompiler(capacity: 2)
        for number in [1, 2, 3, 4, 1, 2] as [UInt16] {
            let profile = permissive([.init(["getppid"], .errno(number))])
            #expect(try compiler.program(for: profile) == profile.compile())
        }
    }

    @Test func argumentsAreCompared() throws {
        // getpriority(which, who): the first argument decides.
        let program = try permissive([
            .init(["getpriority"], .errno(1), arguments: [.init(0, .equal, 0)]),
            .init(["getpriority"], .errno(2), arguments: [.init(0, .equal, 1)]),
            .init(["setpriority"], .errno(3), arguments: [.init(0, .maskedEqual, 0xf0, valueTwo: 0x10)]),
            .init(["getpgid"], .errno(4), arguments: [.init(0, .greater, 1_000_000), .init(0, .equal, 0)]),
        ]).compile()
        let errors = try underFilter(program) {
            [
                errnoOf(Int(SYS_getpriority), 0), errnoOf(Int(SYS_getpriority), 1), errnoOf(Int(SYS_getpriority), 2),
                errnoOf(Int(SYS_setpriority), 0x1f), errnoOf(Int(SYS_setpriority), 0x2f),
                // Two comparisons of one argument are alternatives.
                errnoOf(Int(SYS_getpgid), 0), errnoOf(Int(SYS_getpgid), 2_000_000), errnoOf(Int(SYS_getpgid), 1),
            ]
        }
        #expect(errors == [1, 2, 0, 3, EINVAL, 4, 4, 0])
    }

    @Test func conditionsDecideWhetherARuleCounts() throws {
        let rules: [SeccompProfile.Rule] = [
            .init(["getppid"], .errno(1), includes: .init(capabilities: ["CAP_A", "CAP_B"])),
            .init(["getpgid"], .errno(2), excludes: .init(capabilities: ["CAP_A", "CAP_C"])),
            .init(["getsid"], .errno(3), includes: .init(minimumKernel: KernelVersion(99, 0))),
            .init(["getuid"], .errno(4), includes: .init(minimumKernel: KernelVersion(4, 8))),
            .init(["getgid"], .errno(5), includes: .init(architectures: ["s390x"])),
            .init(["geteuid"], .errno(6), includes: .init(architectures: ["amd64", "arm64"])),
            .init(["getegid"], .errno(7), excludes: .init(minimumKernel: KernelVersion(4, 8))),
        ]
        let calls = [SYS_getppid, SYS_getpgid, SYS_getsid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid].map(
            Int.init)
        func outcome(_ capabilities: Set<String>) throws -> [Int32] {
            let program = try permissive(rules).compile(capabilities: capabilities)
            return try underFilter(program) { calls.map { errnoOf($0) } }
        }
        #expect(try outcome([]) == [0, 2, 0, 4, 0, 6, 0])
        #expect(try outcome(["CAP_A"]) == [0, 0, 0, 4, 0, 6, 0])
        #expect(try outcome(["CAP_A", "CAP_B"]) == [1, 0, 0, 4, 0, 6, 0])
    }

    @Test func namesThatTheLibraryDoesNotKnowAreListedAndTheRestHolds() throws {
        let program = try permissive([.init(["no_such_call", "getppid"], .errno(9))]).compile()
        #expect(program.unknownNames == ["no_such_call"])
        #expect(try underFilter(program) { errnoOf(Int(SYS_getppid)) } == 9)
    }

    @Test func aRuleThatRepeatsTheDefaultIsFine() throws {
        let program = try permissive([.init(["getppid"], .allow)]).compile()
        #expect(try underFilter(program) { errnoOf(Int(SYS_getppid)) } == 0)
    }

    @Test func killingAndTrappingActionsEndTheProcess() throws {
        for (action, signal) in [(SeccompAction.killProcess, SIGSYS), (.trap, SIGSYS)] {
            let program = try permissive([.init(["getppid", "sethostname"], action)]).compile()
            // The shell asks for its parent when it starts.
            let (code, _) = try underFilter(program) { try shell("true") }
            #expect(code == -signal)
        }
    }

    @Test func nonsenseIsRefusedByName() {
        #expect(throws: SeccompError.unknownArchitecture("z80")) {
            try SeccompProfile(defaultAction: .allow, architectures: ["z80"]).compile()
        }
        #expect(throws: SeccompError.argumentOutOfRange(6)) {
            try permissive([.init(["read"], .errno(1), arguments: [.init(6, .equal, 0)])]).compile()
        }
        #expect(throws: SeccompError.errnoOutOfRange(4096)) {
            try permissive([.init(["read"], .errno(4096))]).compile()
        }
    }

    @Test func aDenyingProfileOfFewCallsStillDeniesOldCallsAsItSays() throws {
        let profile = SeccompProfile(
            defaultAction: .errno(13), rules: [.init(["exit", "futex", "munmap", "madvise", "rt_sigprocmask"], .allow)])
        let program = try profile.compile()
        // Only the number is compared: the thread could do nothing with more under this filter.
        #expect(try underFilter(program) { errnoOf(Int(SYS_getppid)) } == 13)
    }

    @Test(arguments: [
        ("4.8", KernelVersion(4, 8)), ("6.18.44-fc-v657", KernelVersion(6, 18)), ("5.10-rc1", KernelVersion(5, 10)),
        ("6", nil), ("", nil), ("a.b", nil), ("6.", nil),
    ])
    func kernelVersionsAreRead(text: String, version: KernelVersion?) {
        #expect(KernelVersion(text) == version)
    }
}
