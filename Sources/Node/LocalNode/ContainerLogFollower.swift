// Follows a container's log as it grows: through rotations, and from one run of the container to the next, until the
// container has ended for good. Needs no agent.
import Linux

public struct ContainerLogFollower: ~Copyable {
    private let pod: PodOnDisk
    private let container: String
    private let directory: String
    private var attempt: Int
    private var reader: ContainerLogReader
    private let inotify: Inotify

    /// Follows from the end of run number `attempt`'s log, or from its last `tail` lines, or from its start (nil).
    public init(
        _ pod: PodOnDisk, container: String, logDirectory: String, attempt: Int, tail: Int? = nil
    ) throws(SystemError) {
        let directory = pod.logDirectory(container, below: logDirectory)
        let inotify = try Inotify()
        let reader = try ContainerLogReader(ContainerLog(directory: directory, attempt: attempt), tail: tail)
        self.pod = pod
        self.container = container
        self.directory = directory
        self.attempt = attempt
        self.inotify = inotify
        self.reader = reader
    }

    /// Hands what the log has and gets to `emit`, until the container is gone for good or `emit` wants no more.
    ///
    /// - Parameter output: the descriptor that `emit` writes to; when nobody reads its other end any more, this returns.
    public mutating func run(output: Int32 = -1, emit: ([UInt8]) -> Bool) throws(SystemError) {
        while true {
            watch()
            // Asked before the log is read to its end: a run that had ended writes no more.
            let ended = fileExists(pod.exitRecord(container, attempt: attempt)) || !fileExists(pod.directory)
            while true {
                let bytes = try reader.read()
                if bytes.isEmpty { break }
                guard emit(bytes) else { return }
            }
            if ended {
                if let next = ContainerLog.attempts(in: directory).first(where: { $0 > attempt }) {
                    attempt = next
                    reader = try ContainerLogReader(ContainerLog(directory: directory, attempt: next))
                    continue
                }
                if !pod.willRunAgain(container, after: attempt) { return }
            }
            guard try waitForChange(output) else { return }
        }
    }

    /// Watches what there is of the log's, the exit records' and the status' directories. Doing it again changes nothing.
    private func watch() {
        let mask = UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF)
        for path in [directory, parentDirectory(of: directory), "\(pod.directory)/exits", pod.directory] {
            _ = try? inotify.watch(path, mask: mask)
        }
    }

    /// Waits for an event, at most a second: a directory may have come into being that was not there to be watched.
    private func waitForChange(_ output: Int32) throws(SystemError) -> Bool {
        var pollers = [
            pollfd(fd: inotify.descriptor.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: output, events: 0, revents: 0),
        ]
        _ = poll(&pollers, 2, 1000)
        if pollers[1].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return false }
        _ = try inotify.events()
        return true
    }
}
