import Glibc
import Linux
import Synchronization

/// Follows a leases file: one that is replaced by another, edited in place, or not there for a while.
///
/// What is wrong in a file changes nothing for the nodes that it is about: an entry that cannot be read keeps what it
/// said before, and a file that is gone, or no list of leases, keeps all.
public final class LeaseFileWatch: Sendable {
    /// What the file says, each time it says something else.
    public struct Reading: Sendable, Hashable {
        /// nil: none was ever read.
        public var leases: [NodeLease]?
        /// What is wrong with the file as it is now, one line each with file and line; empty where all is right.
        public var problems: [String]
    }

    /// The first reading comes at once.
    public let readings: AsyncStream<Reading>

    private struct State: Sendable {
        var watch: EventLoop.Watch?
        /// Of the file's directory, and where it is a link of those that links lead to; none while they are not there.
        var directories: Set<Int32> = []
        /// Of the directory of the file itself, and its name there.
        var file: (directory: Int32, name: String)?
        var bytes: [UInt8]?
        var last = Reading(leases: nil, problems: [])
        var hasRead = false
    }

    private static let mask =
        UInt32(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
        | UInt32(IN_ONLYDIR)

    private let path: String
    private let inotify: Inotify
    private let loop: EventLoop
    private let continuation: AsyncStream<Reading>.Continuation
    private let state = Mutex(State())
    private let retry = Mutex<Task<Void, Never>?>(nil)

    /// Starts to follow `path`; neither the file nor its directory has to be there.
    public init(_ path: String, eventLoop: EventLoop) throws(SystemError) {
        self.path = path
        loop = eventLoop
        inotify = try Inotify()
        (readings, continuation) = AsyncStream.makeStream(of: Reading.self, bufferingPolicy: .bufferingNewest(1))
        let watch = try loop.watch(inotify.descriptor.number) { [weak self] _ in self?.note() }
        state.withLock { $0.watch = watch }
        look()
    }

    /// Ends ``readings``.
    public func stop() {
        let watch = state.withLock { state in
            defer { state.watch = nil }
            return state.watch
        }
        if let watch { loop.unwatch(watch, inotify.descriptor.number) }
        retry.withLock { $0?.cancel() }
        continuation.finish()
    }

    deinit { stop() }

    /// The file, and where it is a link what that leads to, in turn; the last is the file itself, or nothing.
    private var places: [String] {
        var places = [path]
        // As many links as the kernel follows (MAXSYMLINKS).
        while places.count <= 40, let last = places.last {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(last, &buffer, buffer.count)
            guard count > 0 else { break }
            let target = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            places.append(target.hasPrefix("/") ? target : parentDirectory(of: last) + "/" + target)
        }
        return places
    }

    private func note() {
        guard let events = try? inotify.events() else { return look() }
        let gone = UInt32(IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)
        var matters = false
        for event in events {
            if event.mask & gone != 0 {
                let isOurs = state.withLock { $0.directories.remove(event.watch) != nil }
                // One that was moved elsewhere is still watched.
                if isOurs && event.mask & UInt32(IN_MOVE_SELF) != 0 { inotify.unwatch(event.watch) }
                matters = matters || isOurs
            } else {
                matters = matters || event.isOverflow || isAboutFile(event)
            }
        }
        if matters { look() }
    }

    /// Whether the file may say something else now. One that is just being made or written may look like a shorter list:
    /// its IN_CLOSE_WRITE comes.
    private func isAboutFile(_ event: Inotify.Event) -> Bool {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        var status = stat()
        guard lstat(path, &status) == 0 else { return event.name == name }
        // What a link leads to may have been exchanged under another name, as Kubernetes does with ConfigMaps.
        if status.st_mode & S_IFMT == S_IFLNK {
            let isFile = state.withLock {
                $0.file.map { $0.directory == event.watch && $0.name == event.name } ?? false
            }
            guard isFile, stat(path, &status) == 0 else { return true }
        } else if event.name != name {
            return false
        }
        return event.mask & UInt32(IN_CREATE) == 0 || status.st_nlink > 1
    }

    /// Watches the directories, if that is to be done, and reads the file.
    private func look() {
        let isWatched = state.withLock { state in
            let places = places
            // The same directory has the same number.
            let found = places.map { try? inotify.watch(parentDirectory(of: $0), mask: Self.mask) }
            let now = Set(found.compactMap(\.self))
            for former in state.directories.subtracting(now) { inotify.unwatch(former) }
            state.directories = now
            state.file = found.last.flatMap(\.self).map { ($0, lastComponent(of: places.last ?? path)) }
            return !found.contains(nil)
        }
        if let reading = read() { continuation.yield(reading) }
        if !isWatched { lookAgain() }
    }

    /// A directory that is not there has nothing that could be watched.
    private func lookAgain() {
        retry.withLock { task in
            task?.cancel()
            task = Task { [weak self] in
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
                self?.look()
            }
        }
    }

    /// nil where nothing is new. Under the lock: of two readers the later one must have the last word.
    private func read() -> Reading? {
        state.withLock { state in
            var reading = state.last
            do throws(SystemError) {
                let bytes = try readRegularFile(path, limit: LeaseFile.maximumSize)
                if state.bytes == bytes { return nil }
                state.bytes = bytes
                reading = Self.reading(bytes, path, after: reading.leases)
            } catch {
                state.bytes = nil
                let isOther = error.errno == EINVAL
                let why = isOther ? "not a regular file" : String(cString: strerror(error.errno))
                reading.problems = ["\(path): \(why)" + (reading.leases == nil ? "" : ": its last leases stay in use")]
            }
            defer { (state.last, state.hasRead) = (reading, true) }
            return state.hasRead && reading == state.last ? nil : reading
        }
    }

    private static func reading(_ bytes: [UInt8], _ path: String, after former: [NodeLease]?) -> Reading {
        do throws(OverlayError) {
            let (content, problems) = try LeaseFile.read(bytes, fileName: path)
            let kept = (former ?? []).filter { lease in
                content.broken.contains(lease.name) && !content.leases.contains { $0.name == lease.name }
            }
            return Reading(leases: content.leases + kept, problems: problems)
        } catch {
            if case .leases(let lines) = error { return Reading(leases: former, problems: lines) }
            return Reading(leases: former, problems: ["\(error)"])
        }
    }
}
