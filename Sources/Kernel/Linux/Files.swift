import CLinux
import Glibc

/// Reads a whole file of at most `limit` bytes; a larger one fails with EFBIG.
public func readFile(_ path: String, limit: Int = 64 << 20) throws(SystemError) -> [UInt8] {
    try OwnedDescriptor(opening: path, flags: O_RDONLY).readAll(limit: limit, subject: path)
}

/// As ``readFile(_:limit:)``, and never waits: what is no regular file, such as a FIFO, fails with EINVAL.
public func readRegularFile(_ path: String, limit: Int = 64 << 20) throws(SystemError) -> [UInt8] {
    let file = try OwnedDescriptor(opening: path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
    var status = stat()
    try check(fstat(file.number, &status), "fstat", path)
    guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError("read", path, errno: EINVAL) }
    return try file.readAll(limit: limit, subject: path)
}

/// Reads a file as UTF-8 text, invalid bytes replaced; for the small files of procfs, sysfs and our own state.
public func readText(_ path: String, limit: Int = 64 << 20) throws(SystemError) -> String {
    String(decoding: try readFile(path, limit: limit), as: UTF8.self)
}

extension OwnedDescriptor {
    /// Reads from the current position to the end, at most `limit` bytes (more fails with EFBIG).
    public func readAll(limit: Int = 64 << 20, subject: String = "") throws(SystemError) -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = read(number, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", subject)
            }
            if count == 0 { return content }
            if content.count + count > limit { throw SystemError("read", subject, errno: EFBIG) }
            content.append(contentsOf: buffer[..<count])
        }
    }

    /// Writes all of `bytes`.
    public func writeAll(_ bytes: [UInt8], subject: String = "") throws(SystemError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("write", subject)
            }
            offset += count
        }
    }
}

/// Writes `text` to an existing file in one write(2), as the files of procfs, sysfs and cgroups want it.
public func writeControlFile(_ path: String, _ text: String) throws(SystemError) {
    let file = try OwnedDescriptor(opening: path, flags: O_WRONLY)
    try file.writeAll(Array(text.utf8), subject: path)
}

/// Replaces `path` by a file with `bytes`: readers see the old content or the new, never a part. Survives SIGKILL at any
/// moment; survives power loss only with `durable` (fsync(2) of the file and its directory).
public func writeFileAtomically(
    _ path: String, _ bytes: [UInt8], mode: mode_t = 0o644, durable: Bool = false
) throws(SystemError) {
    let temporary = "\(path).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    do {
        let file = try OwnedDescriptor(opening: temporary, flags: O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        try file.writeAll(bytes, subject: path)
        // The mode is as asked, whatever the umask is.
        try check(fchmod(file.number, mode), "fchmod", path)
        if durable { try check(fsync(file.number), "fsync", path) }
        try check(rename(temporary, path), "rename", path)
    } catch {
        unlink(temporary)
        throw error
    }
    if durable {
        let directory = try OwnedDescriptor(opening: parentDirectory(of: path), flags: O_RDONLY | O_DIRECTORY)
        try check(fsync(directory.number), "fsync", parentDirectory(of: path))
    }
}

/// The path up to the last slash: `/a` of `/a/b`, `.` of `b`.
public func parentDirectory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The part after the last slash.
public func lastComponent(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
}

/// Makes a directory and its missing parents; what exists stays as it is. Something else in its place is EEXIST.
public func makeDirectories(_ path: String, mode: mode_t = 0o755) throws(SystemError) {
    if mkdir(path, mode) == 0 { return }
    if errno == ENOENT, path != "/", !path.isEmpty {
        try makeDirectories(parentDirectory(of: path), mode: mode)
        if mkdir(path, mode) == 0 { return }
    }
    guard errno == EEXIST else { throw SystemError("mkdir", path) }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw SystemError("mkdir", path, errno: EEXIST)
    }
}

/// The names in a directory, without `.` and `..`, sorted. An absent directory fails with ENOENT.
public func listDirectory(_ path: String) throws(SystemError) -> [String] {
    guard let stream = opendir(path) else { throw SystemError("opendir", path) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

public func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// An exclusive or shared flock(2) on a file, let go of when the value ends; dies with the process.
public struct FileLock: ~Copyable, Sendable {
    private let file: OwnedDescriptor

    /// Waits for the lock on `path`, which is made where it is missing. With `wait` false a lock that somebody else
    /// holds fails at once with EWOULDBLOCK.
    public init(_ path: String, exclusive: Bool = true, wait: Bool = true) throws(SystemError) {
        let file = try OwnedDescriptor(opening: path, flags: O_RDWR | O_CREAT, mode: 0o600)
        let operation = (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)
        while flock(file.number, operation) < 0 {
            if errno != EINTR { throw SystemError("flock", path) }
        }
        self.file = file
    }

    /// Replaces what the lock's file says, such as the owner's process id.
    public func write(_ text: String) throws(SystemError) {
        try check(ftruncate(file.number, 0), "ftruncate")
        try check(lseek(file.number, 0, SEEK_SET), "lseek")
        try file.writeAll(Array(text.utf8))
    }
}
