// Signals as something to be read, for commands that wait for other things too.
import Linux

/// Signals of this process as a descriptor (signalfd(2)). To be made while the process has one thread, whose mask the others
/// inherit.
struct ForwardedSignals: ~Copyable {
    let descriptor: OwnedDescriptor

    /// Blocks these signals: from here on they only come through this value.
    init(_ numbers: [Int32]) throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let flags = Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)
        descriptor = OwnedDescriptor(owning: try check(signalfd(-1, &set, flags), "signalfd"))
    }

    /// The next signal that came; nil when there is none.
    func next() -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        return read(descriptor.number, &info, size) == size ? Int32(info.ssi_signo) : nil
    }

    /// Waits for the next signal.
    func wait() -> Int32 {
        while true {
            if let number = next() { return number }
            var poller = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            _ = poll(&poller, 1, -1)
        }
    }
}
