// The log files of one container: `<attempt>.log`, and `<attempt>.log.<YYYYMMDD-HHMMSS>` for what was rotated away. Read
// as one stream, oldest first, also while podinit rotates them.
import Linux

/// The log of one run of a container, as its files stand on the disk.
public struct ContainerLog: Sendable, Hashable {
    /// The directory of the container's log files.
    public let directory: String
    public let attempt: Int

    public init(directory: String, attempt: Int) {
        self.directory = directory
        self.attempt = attempt
    }

    /// The numbers of the runs that left a log, ascending. An absent directory has none.
    public static func attempts(in directory: String) -> [Int] {
        let names = (try? listDirectory(directory)) ?? []
        return names.compactMap { $0.hasSuffix(".log") ? Int($0.dropLast(4)) : nil }.sorted()
    }

    var current: String { "\(directory)/\(attempt).log" }

    /// The names of all files, oldest first, the current one last.
    func files() -> [String] {
        let names = (try? listDirectory(directory)) ?? []
        let name = "\(attempt).log"
        let rotated = names.filter { $0.hasPrefix(name + ".") }.sorted()
        return (rotated + (names.contains(name) ? [name] : [])).map { "\(directory)/\($0)" }
    }
}

/// Reads a ``ContainerLog`` from its start, or from its last lines, and goes on where it stopped when more was written.
public struct ContainerLogReader: ~Copyable {
    private let log: ContainerLog
    private var file: OwnedDescriptor?
    /// The number of ``file``, which keeps it open; negative while there is none.
    private var number: Int32 = -1
    private var identity: FileIdentity?

    private struct FileIdentity: Equatable {
        let device: UInt64
        let inode: UInt64

        init?(_ descriptor: borrowing OwnedDescriptor) {
            var status = stat()
            guard fstat(descriptor.number, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }

        init?(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }
    }

    /// Starts at the first line there is; with `tail`, at the last `tail` whole lines. Files that are not there yet are
    /// waited for by reading again.
    public init(_ log: ContainerLog, tail: Int? = nil) throws(SystemError) {
        self.log = log
        let files = log.files()
        guard let tail else {
            if let first = files.first { try open(first, offset: 0) }
            return
        }
        var wanted = tail
        for path in files.reversed() {
            let (lines, offset) = try Self.lastLines(wanted, of: path)
            wanted -= lines
            try open(path, offset: offset)
            if wanted <= 0 { break }
        }
    }

    /// What was written since the last call, at most about `limit` bytes; nothing when there is no more now.
    public mutating func read(limit: Int = 1 << 16) throws(SystemError) -> [UInt8] {
        while true {
            if number < 0 {
                guard let first = log.files().first else { return [] }
                try open(first, offset: 0)
            }
            let bytes = try readSome(limit)
            if !bytes.isEmpty { return bytes }
            // The end of this file. Looked for its successor first, then read once more: what was written between the
            // last read and the rotation is still in this file.
            guard let next = successor() else { return [] }
            let last = try readSome(limit)
            if !last.isEmpty { return last }
            try open(next, offset: 0)
        }
    }

    /// The file that follows the one being read; nil when it is the current one or nothing follows yet.
    private func successor() -> String? {
        guard let identity, FileIdentity(path: log.current) != identity else { return nil }
        let files = log.files()
        if let place = files.firstIndex(where: { FileIdentity(path: $0) == identity }) {
            return place + 1 < files.count ? files[place + 1] : nil
        }
        // Ours was removed as too old: go on with the oldest that is left.
        return files.first
    }

    private mutating func open(_ path: String, offset: Int) throws(SystemError) {
        do throws(SystemError) {
            let opened = try OwnedDescriptor(opening: path, flags: O_RDONLY)
            try check(lseek(opened.number, off_t(offset), SEEK_SET), "lseek", path)
            identity = FileIdentity(opened)
            number = opened.number
            file = consume opened
        } catch {
            // Rotated or removed between listing and opening: the next read looks again.
            guard error.errno == ENOENT else { throw error }
            number = -1
            file = nil
            identity = nil
        }
    }

    private func readSome(_ limit: Int) throws(SystemError) -> [UInt8] {
        guard number >= 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: limit)
        while true {
            let count = Glibc.read(number, &buffer, limit)
            if count >= 0 { return Array(buffer[..<count]) }
            if errno != EINTR { throw SystemError("read", log.current) }
        }
    }

    /// How many whole lines, at most `wanted`, the end of a file has and where they begin. Parts of a line count with the
    /// line they belong to.
    static func lastLines(_ wanted: Int, of path: String) throws(SystemError) -> (count: Int, offset: Int) {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try readFile(path, limit: 1 << 30)
        } catch {
            guard error.errno == ENOENT else { throw error }
            return (0, 0)
        }
        let newline = UInt8(ascii: "\n")
        guard wanted > 0 else { return (0, (bytes.lastIndex(of: newline) ?? -1) + 1) }
        var count = 0
        var end = bytes.endIndex
        var start = end
        while let last = bytes[..<end].lastIndex(of: newline) {
            // The line that ends at `last` begins behind the newline before it.
            let begin = (bytes[..<last].lastIndex(of: newline) ?? -1) + 1
            if LogLine(bytes[begin..<last])?.isPartial != true {
                if count == wanted { return (count, start) }
                count += 1
            }
            start = begin
            end = begin
        }
        return (count, start)
    }
}
