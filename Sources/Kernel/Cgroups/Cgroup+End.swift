import Linux

// The end of a cgroup: freezing, killing, removing.
extension Cgroup {
    /// Stops all processes of the cgroup and those below where they are, or lets them go on. The freezer of version 1 where
    /// there is one (the processes of a hybrid host are surely in that), else cgroup.freeze.
    public func freeze(_ frozen: Bool = true) throws(CgroupError) {
        guard let hierarchy = system.hierarchy(of: .freezer) ?? system.unified else {
            throw .controllerMissing(.freezer, cgroup: path)
        }
        let directory = try existing(in: hierarchy)
        if frozen {
            try FreezerController.set(frozen: true, directory, hierarchy.version)
        } else {
            try FreezerController.thawTree(directory, hierarchy.version)
        }
    }

    /// Kills every process of the cgroup and those below with SIGKILL, frozen ones too, and returns when they are gone
    /// (zombies do not count). Blocks; a cgroup that does not exist has no processes.
    ///
    /// Version 2 does it at once (cgroup.kill, kernel 5.14). Otherwise each process is held by a pidfd and killed until
    /// none is left; pids.max is 0 meanwhile, so that a fork bomb cannot outrun the loop.
    ///
    /// - Throws: ``CgroupError/notEmpty(cgroup:processes:)`` if processes remain after `timeout`, as those in
    ///   uninterruptible sleep do.
    public func kill(timeout: Duration = .seconds(10)) throws(CgroupError) {
        let deadline = ContinuousClock.now + timeout
        // On a hybrid host a process may be in version 1 only (it was on its way in), so all are looked at.
        if try processes().isEmpty { return }
        for hierarchy in system.hierarchies where hierarchy.version == .v2 || hierarchy.controllers.contains(.freezer) {
            if let directory = try directory(in: hierarchy) {
                try FreezerController.thawTree(directory, hierarchy.version)
            }
        }
        if let unified = system.unified, let directory = try directory(in: unified), directory.has("cgroup.kill") {
            try directory.write("cgroup.kill", "1")
        }
        let limit = try forbidForks()
        defer { if let limit { try? restoreForks(limit) } }
        while true {
            let living = try processes()
            if living.isEmpty { return }
            guard ContinuousClock.now < deadline else { throw .notEmpty(cgroup: path, processes: living) }
            try killAndAwait(living, until: deadline)
        }
    }

    /// Kills `pids` as far as they are still in the cgroup, and waits until one of them is gone.
    private func killAndAwait(_ pids: [pid_t], until deadline: ContinuousClock.Instant) throws(CgroupError) {
        // 0 is a process outside of this PID namespace: nothing to hold it by; cgroup.kill may have reached it.
        let held = HeldProcesses(pids.filter { $0 != 0 }.prefix(256))
        if held.pidfds.isEmpty { _ = poll(nil, 0, 1) }
        // A pid may have passed to a stranger between the list and pidfd_open. Whoever is in the list now and has a pidfd
        // is either the process that the pidfd holds, or a later one, and then the pidfd's signal reaches nobody.
        let members = Set(try processes())
        for (pid, pidfd) in held.pidfds where members.contains(pid) {
            if cl_pidfd_send_signal(pidfd, SIGKILL) < 0, errno != ESRCH {
                throw .system(SystemError("pidfd_send_signal", "\(pid)"))
            }
        }
        held.awaitExit(until: deadline)
    }

    /// Sets pids.max to 0. Returns the old value, or nil if there is no such limit to set.
    private func forbidForks() throws(CgroupError) -> String? {
        guard let hierarchy = system.hierarchy(of: .pids), let directory = try directory(in: hierarchy),
            let old = try directory.readIfPresent("pids.max")
        else { return nil }
        try directory.write("pids.max", "0")
        return old.filter { !$0.isWhitespace }
    }

    private func restoreForks(_ limit: String) throws(CgroupError) {
        guard let hierarchy = system.hierarchy(of: .pids), let directory = try directory(in: hierarchy) else { return }
        try directory.write("pids.max", limit)
    }

    /// Removes the cgroup and those below in every hierarchy, bottom up. What does not exist is fine. Waits up to `timeout`
    /// for processes that are about to go; blocks.
    ///
    /// - Throws: ``CgroupError/notEmpty(cgroup:processes:)`` if processes remain; ``kill(timeout:)`` them first.
    public func remove(timeout: Duration = .seconds(2)) throws(CgroupError) {
        let deadline = ContinuousClock.now + timeout
        // Version 2 last: its cgroup.events tells when the processes are gone from the others as well.
        let ordered = system.hierarchies.filter { $0.version == .v1 } + system.hierarchies.filter { $0.version == .v2 }
        for hierarchy in ordered {
            guard let parent = try directory(in: hierarchy, depth: components.count - 1) else { continue }
            try remove(components[components.count - 1], from: parent, until: deadline)
        }
    }

    private func remove(
        _ name: String, from parent: borrowing CgroupDirectory, until deadline: ContinuousClock.Instant
    ) throws(CgroupError) {
        while true {
            let busy: SystemError
            do {
                _ = try parent.removeChild(name)
                return
            } catch {
                // EBUSY: there are cgroups below, or a process is (still) inside.
                guard error.errno == EBUSY || error.errno == ENOTEMPTY else { throw .system(error) }
                busy = error
            }
            guard let directory = try parent.child(name) else { return }
            let children = try directory.children()
            for child in children { try remove(child, from: directory, until: deadline) }
            guard ContinuousClock.now < deadline else {
                let remaining = try processes()
                throw remaining.isEmpty ? .system(busy) : .notEmpty(cgroup: path, processes: remaining)
            }
            if children.isEmpty { try awaitChange(in: directory, until: deadline) }
        }
    }

    /// Waits until a process of the cgroup exits, or version 2 says that the cgroup is empty.
    private func awaitChange(
        in directory: borrowing CgroupDirectory, until deadline: ContinuousClock.Instant
    ) throws(CgroupError) {
        if let events = try? directory.open("cgroup.events", O_RDONLY) {
            // Reading arms the notification; the state is looked at after that.
            if CgroupDirectory.value(of: "populated", in: try directory.read("cgroup.events")) == 1 {
                var watched = pollfd(fd: events.number, events: Int16(POLLPRI), revents: 0)
                _ = poll(&watched, 1, deadline.milliseconds(atMost: 100))
            }
            return
        }
        var pids: Set<pid_t> = []
        try collectProcesses(directory, into: &pids)
        let held = HeldProcesses(pids.sorted().prefix(256))
        if held.pidfds.isEmpty {
            // Version 1 tells nobody when the last task has left the cgroup, a few microseconds after its parent could
            // reap it. Give the processor away for one tick and look again.
            _ = poll(nil, 0, 1)
        } else {
            held.awaitExit(until: deadline)
        }
    }
}

/// Processes held by pidfds: their numbers cannot pass to others as long as this lives.
private final class HeldProcesses {
    let pidfds: [(pid: pid_t, pidfd: Int32)]

    /// Those of `pids` that still exist.
    init(_ pids: some Sequence<pid_t>) {
        pidfds = pids.compactMap { pid in
            let pidfd = cl_pidfd_open(pid, 0)
            return pidfd < 0 ? nil : (pid, pidfd)
        }
    }

    deinit { for (_, pidfd) in pidfds { close(pidfd) } }

    /// Returns when one of them has exited, and after 100 ms in any case: the list may be out of date by then.
    func awaitExit(until deadline: ContinuousClock.Instant) {
        var watched = pidfds.map { pollfd(fd: $0.pidfd, events: Int16(POLLIN), revents: 0) }
        if !watched.isEmpty { _ = poll(&watched, nfds_t(watched.count), deadline.milliseconds(atMost: 100)) }
    }
}

extension ContinuousClock.Instant {
    /// Milliseconds from now until this instant for poll(2), rounded up, 0…`limit`.
    fileprivate func milliseconds(atMost limit: Int32) -> Int32 {
        let left = self - .now
        let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1
        return Int32(min(max(milliseconds, 0), Int64(limit)))
    }
}
