// Notices that something in the manifest directory changed. Only that: what changed is found by reading the directory, so
// an event that was lost or misunderstood costs nothing but time.
import Linux
import Synchronization

/// Watches a directory with inotify(7).
final class ManifestWatch: Sendable {
    /// Something may have changed. Several changes may be told as one.
    let changes: AsyncStream<Void>

    private static let mask =
        UInt32(
            IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
        | UInt32(IN_ONLYDIR)

    private struct State: Sendable {
        var watch: EventLoop.Watch?
        var directoryGone = false
    }

    private let path: String
    private let inotify: Inotify
    private let loop: EventLoop
    private let note: AsyncStream<Void>.Continuation
    private let state = Mutex(State())

    /// A path that is no directory fails.
    init(_ path: String, eventLoop: EventLoop) throws(SystemError) {
        self.path = path
        loop = eventLoop
        inotify = try Inotify()
        _ = try inotify.watch(path, mask: Self.mask)
        (changes, note) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let watch = try loop.watch(inotify.descriptor.number) { _ in self.read() }
        state.withLock { $0.watch = watch }
    }

    func stop() {
        let watch = state.withLock { state in
            defer { state.watch = nil }
            return state.watch
        }
        if let watch { loop.unwatch(watch, inotify.descriptor.number) }
        note.finish()
    }

    /// Whether the directory itself went away; ``reattach()`` looks whether it is back.
    var directoryIsGone: Bool { state.withLock { $0.directoryGone } }

    /// Watches the path again after the directory went away; whether it is there.
    func reattach() -> Bool {
        guard (try? inotify.watch(path, mask: Self.mask)) != nil else { return false }
        state.withLock { $0.directoryGone = false }
        note.yield()
        return true
    }

    private func read() {
        guard let events = try? inotify.events() else {
            note.yield()
            return
        }
        var matters = false
        for event in events {
            if event.mask & UInt32(IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT) != 0 {
                state.withLock { $0.directoryGone = true }
                matters = true
            } else {
                matters = matters || !isBeingWritten(event)
            }
        }
        if matters { note.yield() }
    }

    /// A file just made is empty or half written; its IN_CLOSE_WRITE comes. A link or a rename is whole at once.
    private func isBeingWritten(_ event: Inotify.Event) -> Bool {
        guard event.mask & UInt32(IN_CREATE) != 0, !event.isOverflow else { return false }
        var status = stat()
        guard lstat("\(path)/\(event.name)", &status) == 0 else { return false }
        return status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1
    }
}
