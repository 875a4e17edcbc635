import CArchive
import CLinux
import Glibc
import Linux
import OCI

/// Writes the entries of an archive below one directory, and nothing anywhere else.
///
/// The threat: a layer is made by a stranger and unpacked by root. Every path is therefore taken apart by us (no `..`,
/// no absolute path keeps its slash) and its parent is opened by the kernel as if the directory were `/`
/// (openat2, RESOLVE_IN_ROOT): a symbolic link of the layer leads to where it will lead in the container, never to the
/// host. The last part is never followed. Nobody else can see the directory while it is filled, so nothing is checked
/// that could change before it is used.
final class LayerUnpacker {
    /// What to make of an archive's entries.
    struct Options {
        /// A layer: whiteouts become what overlayfs understands. Otherwise `.wh.` names are ordinary.
        var isLayer = true
        var limits = UnpackLimits()
    }

    struct Totals {
        /// Bytes of file content.
        var size: Int64 = 0
        var entries = 0
    }

    let root: OwnedDescriptor
    /// The name of the root for messages about the disk, not about the archive.
    private let place: String
    private let options: Options
    private(set) var totals = Totals()
    let parents: ParentCache
    var directoryTimes: [(path: LayerPath, times: [timespec])] = []

    /// - Parameter root: an empty directory, readable.
    init(root: consuming OwnedDescriptor, place: String, options: Options) throws(SystemError) {
        parents = ParentCache(root: try root.duplicate())
        self.root = root
        self.place = place
        self.options = options
    }

    enum Refusal: Error {
        /// The archive's fault: the path, and why.
        case hostile(String, String)
        case archive(ArchiveFailure)
    }

    /// Unpacks the whole stream, its end included, and puts the directories' times right.
    func unpack(_ stream: DecompressedStream) throws(Refusal) {
        let before = ca_enter_utf8()
        defer { ca_leave_utf8(before) }
        guard before != nil else {
            throw .archive(.system(SystemError("newlocale", "C.UTF-8", errno: ENOENT)))
        }
        let archive = try TarReader(stream)
        while let entry = try archive.next() {
            totals.entries += 1
            guard totals.entries <= options.limits.entries else {
                throw .archive(.tooLarge("more than \(options.limits.entries) entries"))
            }
            try unpack(entry, of: archive)
        }
        do { try stream.drain() } catch { throw .archive(error) }
        for (path, times) in directoryTimes.reversed() { try setTimes(path, times) }
        let result = cl_syncfs(root.number)
        if result < 0 { throw .archive(.system(SystemError("syncfs", place))) }
    }

    private func unpack(_ entry: OpaquePointer, of archive: TarReader) throws(Refusal) {
        guard let name = archive_entry_pathname(entry) else { throw .archive(.damaged("an entry without a name")) }
        let raw = String(cString: name)
        let path: LayerPath
        let kind: LayerEntryKind
        do {
            path = try LayerPath(name)
            kind = options.isLayer ? try LayerEntryKind(path) : .ordinary
        } catch {
            throw .hostile(raw, error.reason)
        }
        switch kind {
        case .ignored: return
        case .opaque: try makeOpaque(path)
        case .whiteout(let nameStart): try makeWhiteout(path, nameStart: nameStart)
        case .ordinary:
            if archive_entry_hardlink(entry) != nil {
                try makeHardLink(entry, path)
            } else {
                try make(entry, path, of: archive)
            }
        }
    }
}

// MARK: - Entries

extension LayerUnpacker {
    private func make(_ entry: OpaquePointer, _ path: LayerPath, of archive: TarReader) throws(Refusal) {
        let attributes = try EntryAttributes(entry, path)
        let type = archive_entry_filetype(entry)
        if path.isRoot {
            guard type == S_IFDIR else { throw .hostile(path.text, "the layer's root is no directory in it") }
            try setAttributes(attributes, directoryAt: path)
            return
        }
        let parent = try parents.open(path, self)
        switch type {
        case S_IFREG:
            try makeFile(entry, path, attributes, parent, archive)
            return
        case S_IFDIR:
            if try create(path, parent, isDirectory: true, { mkdirat(parent, $0, 0o700) }) == .replacedWhiteout {
                try setOpaque(path)
            }
            try setAttributes(attributes, directoryAt: path)
            return
        case S_IFLNK:
            guard let target = archive_entry_symlink(entry) else {
                throw .archive(.damaged("\(printable(path.text)): a symbolic link to nothing"))
            }
            try create(path, parent) { symlinkat(target, parent, $0) }
        case S_IFCHR where !options.isLayer, S_IFBLK where !options.isLayer, S_IFIFO where !options.isLayer:
            // Unlike a container's, such a file would be opened here, by root: opening some devices does things, and
            // opening a FIFO waits.
            throw .hostile(path.text, "a device or FIFO, which no image archive has")
        case S_IFCHR, S_IFBLK:
            let device = cl_makedev(
                UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
                UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry)))
            try create(path, parent) { mknodat(parent, $0, type | 0o600, dev_t(device)) }
        case S_IFIFO:
            try create(path, parent) { mkfifoat(parent, $0, 0o600) }
        default:
            throw .hostile(path.text, "an entry of an unknown type")
        }
        try setAttributes(attributes, path, parent, isLink: type == S_IFLNK)
    }

    private func makeFile(
        _ entry: OpaquePointer, _ path: LayerPath, _ attributes: EntryAttributes, _ parent: Int32,
        _ archive: TarReader
    ) throws(Refusal) {
        let size = archive_entry_size(entry)
        guard size >= 0, size <= options.limits.bytes else {
            throw .archive(.tooLarge("\(printable(path.text)) has \(size) bytes"))
        }
        var number: Int32 = -1
        try create(path, parent) {
            number = openat(parent, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            return number
        }
        let file = OwnedDescriptor(owning: number)
        var end: Int64 = 0
        while let (piece, offset) = try archive.data() {
            // Zeros that a sparse entry leaves out become a hole.
            if offset > end, lseek(file.number, off_t(offset), SEEK_SET) < 0 { throw disk("lseek", path) }
            var written = 0
            while written < piece.count {
                let count = write(file.number, piece.baseAddress.map { $0 + written }, piece.count - written)
                if count < 0 && errno == EINTR { continue }
                if count < 0 { throw disk("write", path) }
                written += count
            }
            end = offset + Int64(piece.count)
            guard end <= options.limits.bytes else {
                throw .archive(.tooLarge("\(printable(path.text)) has more than \(options.limits.bytes) bytes"))
            }
        }
        if end < size, ftruncate(file.number, off_t(size)) < 0 { throw disk("ftruncate", path) }
        totals.size += max(end, size)
        // The owner first: changing it clears the set-user-ID bits and file capabilities (chown(2)).
        if fchown(file.number, attributes.uid, attributes.gid) < 0 { throw disk("fchown", path) }
        if fchmod(file.number, attributes.mode) < 0 { throw disk("fchmod", path) }
        for (name, value) in attributes.xattrs where fsetxattr(file.number, name, value, value.count, 0) < 0 {
            throw disk("setxattr \(LayerPath.text(name.dropLast()))", path)
        }
        if futimens(file.number, attributes.times) < 0 { throw disk("futimens", path) }
    }

    private func makeHardLink(_ entry: OpaquePointer, _ path: LayerPath) throws(Refusal) {
        guard let text = archive_entry_hardlink(entry) else { return }
        let raw = String(cString: text)
        let target: LayerPath
        do { target = try LayerPath(text) } catch {
            throw .hostile(path.text, "a hard link to \(printable(raw)): \(error.reason)")
        }
        if target.bytes == path.bytes { return }
        guard !target.isRoot, !path.isRoot else { throw .hostile(path.text, "a hard link to or from the layer's root") }
        // Resolved in this layer alone: what it does not have, the host's /etc/passwd included, is not there.
        guard let folder = parents.openExisting(target.parent) else {
            throw .hostile(path.text, "a hard link to \(printable(raw)), which is not in the layer")
        }
        var status = stat()
        guard fstatat(folder.number, Array(target.name), &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .hostile(path.text, "a hard link to \(printable(raw)), which is not in the layer")
        }
        if status.st_mode & S_IFMT == S_IFDIR { throw .hostile(path.text, "a hard link to a directory") }
        let parent = try parents.open(path, self)
        let old = Array(target.name)
        try create(path, parent) { linkat(folder.number, old, parent, $0, 0) }
    }

    enum Creation { case fresh, replaced, replacedWhiteout, kept }

    /// Runs `body`, a system call that fails with EEXIST when the name is taken; then what was there goes first: a later
    /// entry of an archive replaces an earlier one. A directory over a directory keeps what is in it.
    @discardableResult
    func create(
        _ path: LayerPath, _ parent: Int32, isDirectory: Bool = false, _ body: (UnsafePointer<CChar>) -> Int32
    ) throws(Refusal) -> Creation {
        let name = Array(path.name)
        if body(name) >= 0 { return .fresh }
        guard errno == EEXIST else { throw disk("create", path) }
        var status = stat()
        if fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0 { throw disk("fstatat", path) }
        let wasDirectory = status.st_mode & S_IFMT == S_IFDIR
        if wasDirectory && isDirectory { return .kept }
        let wasWhiteout = options.isLayer && status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0
        parents.forget()
        do {
            let folder = OwnedDescriptor(owning: try check(fcntl(parent, F_DUPFD_CLOEXEC, 3), "fcntl", place))
            try removeTree(name, in: folder, subject: "\(place)/\(printable(path.text))")
        } catch {
            throw .archive(.system(error))
        }
        if body(name) < 0 { throw disk("create", path) }
        return wasWhiteout ? .replacedWhiteout : .replaced
    }

    func disk(_ call: String, _ path: LayerPath) -> Refusal {
        .archive(.system(SystemError(call, "\(place)/\(printable(path.text))")))
    }
}
