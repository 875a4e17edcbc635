import Linux
import Seccomp

// What the kernel itself must be able to do.
extension Doctor {
    func kernelVersion() -> DoctorCheck {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        guard let version = KernelVersion(release) else {
            return DoctorCheck("kernel", "version", .warning, "\"\(release)\" is not understood")
        }
        // mount_setattr came with 5.12, cgroup.kill with 5.14; 6.1 is the oldest that is tested.
        if version < KernelVersion(5, 14) {
            return DoctorCheck("kernel", "version", .failed, release, remedy: "install a kernel of 6.1 or later")
        }
        if version < KernelVersion(6, 1) {
            return DoctorCheck(
                "kernel", "version", .warning, "\(release) is older than what is tested",
                remedy: "install a kernel of 6.1 or later")
        }
        return DoctorCheck("kernel", "version", .ok, release)
    }

    /// Makes one namespace of each kind that pods need.
    func namespaces() -> [DoctorCheck] {
        let kinds: [(name: String, flag: Int32)] = [
            ("mount", CLONE_NEWNS), ("network", CLONE_NEWNET), ("pid", CLONE_NEWPID), ("ipc", CLONE_NEWIPC),
            ("uts", CLONE_NEWUTS), ("cgroup", CLONE_NEWCGROUP),
        ]
        let broken = kinds.compactMap { name, flag -> String? in
            if case .failure(let error) = DoctorThread.run(unsharing: flag, {}) { return "\(name) (\(error))" }
            return nil
        }
        if broken.isEmpty {
            return [DoctorCheck("kernel", "namespaces", .ok, kinds.map(\.name).joined(separator: ", "))]
        }
        return [
            DoctorCheck(
                "kernel", "namespaces", .failed, "cannot make: \(broken.joined(separator: ", "))",
                remedy: "run as root outside of a confined container, with a kernel that has CONFIG_NAMESPACES")
        ]
    }

    /// Asks for each system call with arguments that it must refuse: all but ENOSYS (and EPERM, which a seccomp filter
    /// around this process would give) shows that it is there.
    func systemCalls() -> DoctorCheck {
        let calls: [(name: String, number: Int32)] = [
            ("openat2", SYS_openat2), ("clone3", SYS_clone3), ("pidfd_open", SYS_pidfd_open),
            ("pidfd_send_signal", SYS_pidfd_send_signal), ("close_range", SYS_close_range), ("fsopen", SYS_fsopen),
            ("fsmount", SYS_fsmount), ("open_tree", SYS_open_tree), ("move_mount", SYS_move_mount),
            ("mount_setattr", SYS_mount_setattr), ("memfd_create", SYS_memfd_create),
        ]
        let missing = calls.compactMap { name, number -> String? in
            let result = cl_syscall(Int(number), -1, 0, -1, 0, 0, 0)
            return result < 0 && errno == ENOSYS ? name : nil
        }
        guard missing.isEmpty else {
            return DoctorCheck(
                "kernel", "system calls", .failed, "missing: \(missing.joined(separator: ", "))",
                remedy: "install a kernel of 6.1 or later, or leave the container whose seccomp profile hides them")
        }
        return DoctorCheck("kernel", "system calls", .ok, calls.map(\.name).joined(separator: ", "))
    }

    /// Makes an overlay on the file system of the data directory, with the mount API that containers are made with,
    /// attached nowhere, and writes through it.
    func overlay() -> DoctorCheck {
        let place = Self.existing(dataDirectory)
        let directory = "\(place)/.\(ownName)"
        defer { try? removeTree(directory) }
        do {
            for name in ["lower", "upper", "work"] { try makeDirectories("\(directory)/\(name)", mode: 0o700) }
            try writeFileAtomically("\(directory)/lower/below", [1])
            let mount = try DetachedMount(
                type: "overlay",
                options: [
                    ("lowerdir", "\(directory)/lower"), ("upperdir", "\(directory)/upper"),
                    ("workdir", "\(directory)/work"),
                ])
            let below = try OwnedDescriptor(opening: "below", in: mount.descriptor, flags: O_WRONLY)
            try below.writeAll([2], subject: "a file in an overlay")
            return DoctorCheck("kernel", "overlayfs", .ok, "works on the file system of \(place)")
        } catch {
            if error.errno == ENODEV {
                return DoctorCheck(
                    "kernel", "overlayfs", .failed, "\(error)", remedy: "modprobe overlay (CONFIG_OVERLAY_FS)")
            }
            return DoctorCheck(
                "kernel", "overlayfs", .failed, "on the file system of \(place): \(error)",
                remedy: "put --data-dir on ext4, xfs (ftype=1) or btrfs, not on an overlay or a network file system")
        }
    }

    /// Compiles the default profile and puts it on a thread.
    func seccomp() -> DoctorCheck {
        do {
            let program = try SeccompProfile.runtimeDefault.compile()
            let outcome = DoctorThread.run {
                try program.loadIntoCallingThread()
                return cl_syscall(Int(SYS_keyctl), 0, -3, 0, 0, 0, 0) < 0 && errno == EPERM
            }
            guard try outcome.get() else {
                return DoctorCheck("kernel", "seccomp", .failed, "a filter was loaded and did nothing")
            }
            var detail = "RuntimeDefault has \(program.instructionCount) instructions"
            if !program.unknownNames.isEmpty {
                detail += "; libseccomp does not know \(program.unknownNames.count) newer calls, which fail"
            }
            return DoctorCheck("kernel", "seccomp", .ok, detail)
        } catch {
            return DoctorCheck(
                "kernel", "seccomp", .failed, "\(error)", remedy: "use a kernel with CONFIG_SECCOMP_FILTER")
        }
    }

    /// `path`, or the nearest directory above it that exists.
    static func existing(_ path: String) -> String {
        var path = path
        while path != "/", path != ".", !fileExists(path) { path = parentDirectory(of: path) }
        return path
    }
}
