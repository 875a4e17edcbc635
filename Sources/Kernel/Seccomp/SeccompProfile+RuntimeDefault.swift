// The profile behind Kubernetes' `RuntimeDefault`: what Docker and containerd let an ordinary container do. Everything that
// is not named fails with EPERM: keyrings, io_uring, userfaultfd, kexec, swap, clocks, modules, mounts, namespaces …
extension SeccompProfile {
    /// The default for containers, on x86_64 with 32-bit and x32 programs, on aarch64 with 32-bit ones.
    public static let runtimeDefault = SeccompProfile(
        defaultAction: .errno(1),
        subarchitectures: ["x86_64": ["x86", "x32"], "aarch64": ["arm"]],
        rules: ordinary + argumentsMatter + byProcessor + byCapability)

    private static func allow(
        _ names: String, where arguments: Argument..., includes: Condition = Condition(),
        excludes: Condition = Condition()
    ) -> Rule {
        Rule(
            names.split(whereSeparator: \.isWhitespace).map(String.init), .allow, arguments: arguments,
            includes: includes, excludes: excludes)
    }

    private static let ordinary = [
        // Files by path
        allow(
            """
            access chdir chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat fstatat64 futimesat
            getcwd getxattr getxattrat lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr
            lremovexattr lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
            openat2 readlink readlinkat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat
            stat64 statfs statfs64 statmount statx symlink symlinkat truncate truncate64 umask unlink unlinkat utime
            utimensat utimensat_time64 utimes
            """),
        // Files by descriptor
        allow(
            """
            _llseek cachestat close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fchdir fchmod
            fchown fchown32 fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatfs
            fstatfs64 fsync ftruncate ftruncate64 getdents getdents64 ioctl lseek memfd_create memfd_secret pipe pipe2
            pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice sync
            sync_file_range syncfs tee vmsplice write writev
            """),
        // Waiting for descriptors, and the old asynchronous reads and writes
        allow(
            """
            _newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
            epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
            io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64
            pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64
            timerfd_settime timerfd_settime64
            """),
        // Sockets; `socket` itself depends on its argument
        allow(
            """
            accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
            recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
            """),
        // Memory
        allow(
            """
            brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync
            munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
            """),
        // Processes and threads; `clone` depends on its argument
        allow(
            """
            execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
            get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid
            gettid ioprio_get ioprio_set pidfd_open prctl prlimit64 rseq sched_get_priority_max sched_get_priority_min
            sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
            sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
            set_robust_list set_thread_area set_tid_address setpgid setpriority setrlimit setsid times ugetrlimit uretprobe
            vfork wait4 waitid waitpid
            """),
        // Signals
        allow(
            """
            kill pause pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
            rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask
            sigreturn tgkill tkill
            """),
        // Who a process is, and giving rights up
        allow(
            """
            capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
            getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
            setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid
            setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
            """),
        // System V and POSIX messages, semaphores, shared memory
        allow(
            """
            ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
            mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
            """),
        // Time, and what the system is. Setting a clock by adjtimex needs a capability that is checked in any case.
        allow(
            """
            adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
            clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep setitimer sysinfo time
            timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 uname
            """),
        // Before 4.8 a tracer could get around seccomp.
        allow(
            "process_vm_readv process_vm_writev ptrace", includes: Condition(minimumKernel: KernelVersion(4, 8))),
    ]

    private static let argumentsMatter = [
        // Not AF_ALG (38), whose kernel code has a long list of holes, and not AF_VSOCK (40), which knows no namespaces and
        // leads to the hypervisor. The three cannot be one rule: it would need two comparisons of one argument.
        allow("socket", where: Argument(0, .less, 38)),
        allow("socket", where: Argument(0, .equal, 39)),
        allow("socket", where: Argument(0, .greater, 40)),
        // PER_LINUX, PER_LINUX32, each also with UNAME26; and the question what it is.
        allow("personality", where: Argument(0, .equal, 0)),
        allow("personality", where: Argument(0, .equal, 0x8)),
        allow("personality", where: Argument(0, .equal, 0x20000)),
        allow("personality", where: Argument(0, .equal, 0x20008)),
        allow("personality", where: Argument(0, .equal, 0xffff_ffff)),
        // No new namespaces: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
        allow(
            "clone", where: Argument(0, .maskedEqual, 0x7e02_0000, valueTwo: 0),
            excludes: Condition(capabilities: ["CAP_SYS_ADMIN"])),
        // Its flags are behind a pointer, where no filter can look: libraries use clone when it does not exist.
        Rule(["clone3"], .errno(38), excludes: Condition(capabilities: ["CAP_SYS_ADMIN"])),
    ]

    private static let byProcessor = [
        allow("arch_prctl modify_ldt", includes: Condition(architectures: ["amd64"])),
        allow(
            "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
            includes: Condition(architectures: ["arm64"])),
    ]

    private static func with(_ capability: String, _ names: String) -> Rule {
        allow(names, includes: Condition(capabilities: [capability]))
    }

    private static let byCapability = [
        with("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        with(
            "CAP_SYS_ADMIN",
            """
            bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
            lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
            sethostname setns syslog umount umount2 unshare
            """),
        with("CAP_SYS_BOOT", "reboot"),
        with("CAP_SYS_CHROOT", "chroot"),
        with("CAP_SYS_MODULE", "delete_module finit_module init_module"),
        with("CAP_SYS_PACCT", "acct"),
        with("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
        with("CAP_SYS_RAWIO", "ioperm iopl"),
        with("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
        with("CAP_SYS_TTY_CONFIG", "vhangup"),
        with("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        with("CAP_SYSLOG", "syslog"),
        with("CAP_BPF", "bpf"),
        with("CAP_PERFMON", "perf_event_open"),
    ]
}
