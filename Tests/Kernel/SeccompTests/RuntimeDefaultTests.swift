// The default profile, on the real kernel.
import Linux
import Seccomp
import Testing

struct RuntimeDefaultTests {
    @Test func whatLeadsOutOfAContainerFailsWithEPERM() throws {
        let program = try SeccompProfile.runtimeDefault.compile()
        let errors = try underFilter(program) {
            [
                "unshare user": errnoOf(Int(SYS_unshare), Int(CLONE_NEWUSER)),
                "unshare mount": errnoOf(Int(SYS_unshare), Int(CLONE_NEWNS)),
                "mount": errnoOf(Int(SYS_mount)),
                "umount2": errnoOf(Int(SYS_umount2)),
                "open_tree": errnoOf(Int(SYS_open_tree), -1),
                "fsopen": errnoOf(Int(SYS_fsopen)),
                "setns": errnoOf(Int(SYS_setns), -1),
                "keyctl": errnoOf(Int(SYS_keyctl), 0, -3),
                "add_key": errnoOf(Int(SYS_add_key)),
                "bpf": errnoOf(Int(SYS_bpf), 99),
                "io_uring_setup": errnoOf(Int(SYS_io_uring_setup)),
                "userfaultfd": errnoOf(Int(SYS_userfaultfd), -1),
                "kexec_load": errnoOf(Int(SYS_kexec_load), 0, -1),
                "reboot": errnoOf(Int(SYS_reboot)),
                "swapon": errnoOf(Int(SYS_swapon)),
                "init_module": errnoOf(Int(SYS_init_module)),
                "settimeofday": errnoOf(Int(SYS_settimeofday), 1, 1),
                "open_by_handle_at": errnoOf(Int(SYS_open_by_handle_at), -1),
                "perf_event_open": errnoOf(Int(SYS_perf_event_open)),
                "chroot": errnoOf(Int(SYS_chroot)),
                "personality": errnoOf(Int(SYS_personality), 0x0040000),
                "clone user": errnoOf(Int(SYS_clone), Int(CLONE_NEWUSER) | Int(SIGCHLD), 0, 0, 0, 0),
                "AF_ALG": errnoOf(Int(SYS_socket), 38, Int(SOCK_SEQPACKET.rawValue)),
                "AF_VSOCK": errnoOf(Int(SYS_socket), 40, Int(SOCK_STREAM.rawValue)),
            ]
        }
        for (name, error) in errors { #expect(error == EPERM, "\(name): \(String(cString: strerror(error)))") }
    }

    @Test func withoutTheFilterTheyFailOtherwise() {
        // The same calls with senseless arguments: EPERM above is the filter's doing and not the kernel's.
        #expect(errnoOf(Int(SYS_mount)) != EPERM)
        #expect(errnoOf(Int(SYS_umount2)) == EFAULT)
        #expect(errnoOf(Int(SYS_open_tree), -1) != EPERM)
        #expect(errnoOf(Int(SYS_setns), -1) == EBADF)
        #expect(errnoOf(Int(SYS_bpf), 99) == EINVAL)
        #expect(errnoOf(Int(SYS_clone3)) == EINVAL)
    }

    @Test func clone3SeemsNotToExist() throws {
        let program = try SeccompProfile.runtimeDefault.compile()
        #expect(try underFilter(program) { errnoOf(Int(SYS_clone3)) } == ENOSYS)
    }

    @Test func callsNewerThanTheProfileSeemNotToExist() throws {
        let program = try SeccompProfile.runtimeDefault.compile()
        #expect(try underFilter(program) { errnoOf(900) } == ENOSYS)
        // A hole in the middle is denied and not unknown.
        #expect(try underFilter(program) { errnoOf(Int(SYS_keyctl), 0, -3) } == EPERM)
    }

    @Test func ordinaryCallsWork() throws {
        let program = try SeccompProfile.runtimeDefault.compile()
        let errors = try underFilter(program) {
            let sockets = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK].map { family in
                let socket = socket(family, Int32(SOCK_DGRAM.rawValue), 0)
                defer { close(socket) }
                return socket < 0 ? errno : 0
            }
            return sockets + [
                errnoOf(Int(SYS_personality), 0xffff_ffff), errnoOf(Int(SYS_getpid)), errnoOf(Int(SYS_sched_yield)),
            ]
        }
        #expect(errors.allSatisfy { $0 == 0 }, "\(errors)")
    }

    @Test(arguments: ["/bin/sh", "/bin/bash"])
    func ordinaryProgramsRun(program: String) throws {
        let filter = try SeccompProfile.runtimeDefault.compile()
        let script = """
            d=$(mktemp -d) && cd $d && echo hello > a && cp a b && ln a c && ln -s a d && mkfifo f && chmod 600 a &&
            (sleep 0; cat b) | sort | tr a-z A-Z && tar cf t a b && tar tf t >/dev/null && date >/dev/null &&
            find . | wc -l && cd / && rm -r $d; id -u; unshare -U true 2>/dev/null || echo denied
            """
        let (code, output) = try underFilter(filter) { try shell(script, program) }
        #expect(output == "HELLO\n7\n0\ndenied\n")
        #expect(code == 0)
    }

    @Test func busyboxRuns() throws {
        let filter = try SeccompProfile.runtimeDefault.compile()
        let (code, output) = try underFilter(filter) {
            try shell(
                "busybox sh -c 'busybox echo one; busybox ls / | busybox wc -l; busybox mount -t tmpfs t /mnt || echo no'"
            )
        }
        #expect(code == 0)
        #expect(output.hasPrefix("one\n") && output.hasSuffix("no\n"))
    }

    @Test func capabilitiesOpenWhatTheyStandFor() throws {
        let program = try SeccompProfile.runtimeDefault.compile(capabilities: ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"])
        let errors = try underFilter(program) {
            [
                errnoOf(Int(SYS_umount2)), errnoOf(Int(SYS_setns), -1), errnoOf(Int(SYS_clone3)),
                errnoOf(Int(SYS_chroot)), errnoOf(Int(SYS_kexec_load), 0, -1),
            ]
        }
        #expect(errors == [EFAULT, EBADF, EINVAL, EFAULT, EPERM])
    }

    @Test func everyCapabilityCompiles() throws {
        let all = Set(SeccompProfile.runtimeDefault.rules.flatMap { $0.includes.capabilities })
        #expect(all.count > 10)
        for capability in all { _ = try SeccompProfile.runtimeDefault.compile(capabilities: [capability]) }
        let program = try SeccompProfile.runtimeDefault.compile(capabilities: all)
        #expect(try underFilter(program) { errnoOf(Int(SYS_keyctl), 0, -3) } == EPERM)
    }

    @Test func theProgramFitsTheKernelAndNamesWhatTheLibraryLacks() throws {
        let program = try SeccompProfile.runtimeDefault.compile()
        #expect((200...4096).contains(program.instructionCount))
        // Nothing that every kernel of the last ten years has may be among the unknown.
        #expect(Set(program.unknownNames).isDisjoint(with: ["read", "clone3", "openat2", "faccessat2", "socket"]))
    }
}
