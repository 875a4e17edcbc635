import CLinux
import Glibc

/// A process held by a descriptor (pidfd_open(2)): its number cannot come to mean another process.
public struct ProcessDescriptor: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor
    public let pid: pid_t

    /// A process that is gone fails with ESRCH.
    public init(pid: pid_t) throws(SystemError) {
        self.pid = pid
        descriptor = OwnedDescriptor(owning: try check(cl_pidfd_open(pid, 0), "pidfd_open", "\(pid)"))
    }

    /// Sends a signal; a process that is gone is fine.
    public func signal(_ number: Int32) throws(SystemError) {
        if cl_pidfd_send_signal(descriptor.number, number) < 0, errno != ESRCH {
            throw SystemError("pidfd_send_signal", "\(pid)")
        }
    }

    /// Waits until the process has ended, at most `milliseconds` (negative: without end). Whether it has.
    public func waitForExit(milliseconds: Int32) -> Bool {
        var poller = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&poller, 1, milliseconds)
            if count >= 0 || errno != EINTR { return count > 0 }
        }
    }
}

/// Starts `path` with `arguments` (the first is its own name) and `environment` (`KEY=value`); `descriptors[i]` becomes
/// i in the child, and nothing else is inherited; -1 leaves `/dev/null` there. The parent's size does not matter: the
/// child borrows its memory until exec (clone(2), CLONE_VM | CLONE_VFORK).
public func spawn(
    _ path: String, arguments: [String], environment: [String], descriptors: [Int32], newSession: Bool = false
) throws(SystemError) -> pid_t {
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer {
        argv.forEach { free($0) }
        envp.forEach { free($0) }
    }
    return try check(cl_spawn(path, &argv, &envp, descriptors, descriptors.count, newSession), "exec", path)
}

/// A sealed memory file with `bytes`: nobody can change or resize it any more (memfd_create(2), F_ADD_SEALS).
public func sealedMemoryFile(named name: String, _ bytes: [UInt8]) throws(SystemError) -> OwnedDescriptor {
    let file = OwnedDescriptor(owning: try check(cl_memfd_create(name), "memfd_create", name))
    try file.writeAll(bytes, subject: name)
    try check(cl_seal(file.number), "fcntl", "F_ADD_SEALS \(name)")
    return file
}
