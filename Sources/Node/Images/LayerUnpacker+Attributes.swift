import CLinux
import Glibc
import Linux

extension LayerUnpacker {
    private static let opaqueAttribute = "trusted.overlay.opaque"

    /// `.wh..wh..opq` in `path`'s directory: hide what lower layers have there.
    func makeOpaque(_ path: LayerPath) throws(Refusal) {
        let parent = try parents.open(path, self)
        try setOpaque(descriptor: parent, path)
    }

    /// The directory `path` itself hides what lower layers have there.
    func setOpaque(_ path: LayerPath) throws(Refusal) {
        let parent = try parents.open(path, self)
        let opened = openat(parent, Array(path.name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if opened < 0 { throw disk("open", path) }
        let directory = OwnedDescriptor(owning: opened)
        try setOpaque(descriptor: directory.number, path)
    }

    private func setOpaque(descriptor: Int32, _ path: LayerPath) throws(Refusal) {
        // The descriptor may be O_PATH, which fsetxattr(2) refuses; its name in /proc is followed to the directory.
        if setxattr("/proc/self/fd/\(descriptor)", Self.opaqueAttribute, "y", 1, 0) < 0 {
            throw disk("setxattr \(Self.opaqueAttribute)", path)
        }
    }

    /// `.wh.<name>`: a device 0/0, overlayfs' whiteout. The layer's own entry of that name stays: whiteouts speak of
    /// lower layers (image-spec layer.md); a directory of that name becomes opaque, which hides the same.
    func makeWhiteout(_ path: LayerPath, nameStart: Int) throws(Refusal) {
        let parent = try parents.open(path, self)
        let name = Array(path.bytes[nameStart...])
        var status = stat()
        if fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else { return }
            let opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if opened < 0 { throw disk("open", path) }
            let directory = OwnedDescriptor(owning: opened)
            try setOpaque(descriptor: directory.number, path)
            return
        }
        guard errno == ENOENT else { throw disk("fstatat", path) }
        if mknodat(parent, name, S_IFCHR, 0) < 0 { throw disk("mknod", path) }
    }

    /// Attributes of what is neither file nor directory.
    func setAttributes(
        _ attributes: EntryAttributes, _ path: LayerPath, _ parent: Int32, isLink: Bool
    ) throws(Refusal) {
        let name = Array(path.name)
        if fchownat(parent, name, attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) < 0 {
            throw disk("fchownat", path)
        }
        if !isLink, fchmodat(parent, name, attributes.mode, 0) < 0 { throw disk("fchmodat", path) }
        let place = Array("/proc/self/fd/\(parent)/".utf8CString.dropLast()) + name
        for (attribute, value) in attributes.xattrs where lsetxattr(place, attribute, value, value.count, 0) < 0 {
            throw disk("setxattr \(LayerPath.text(attribute.dropLast()))", path)
        }
        if utimensat(parent, name, attributes.times, AT_SYMLINK_NOFOLLOW) < 0 { throw disk("utimensat", path) }
    }

    /// Attributes of a directory; its times come last of all, because every entry made in it changes them.
    func setAttributes(_ attributes: EntryAttributes, directoryAt path: LayerPath) throws(Refusal) {
        let directory = try openDirectory(path)
        if fchown(directory.number, attributes.uid, attributes.gid) < 0 { throw disk("fchown", path) }
        if fchmod(directory.number, attributes.mode) < 0 { throw disk("fchmod", path) }
        for (name, value) in attributes.xattrs where fsetxattr(directory.number, name, value, value.count, 0) < 0 {
            throw disk("setxattr \(LayerPath.text(name.dropLast()))", path)
        }
        directoryTimes.append((path, attributes.times))
    }

    /// The times of a directory that the archive listed, unless a later entry replaced it.
    func setTimes(_ path: LayerPath, _ times: [timespec]) throws(Refusal) {
        guard path.isRoot || parents.openExisting(path.parent) != nil else { return }
        var status = stat()
        let parent = path.isRoot ? root.number : try parents.open(path, self)
        let name: [CChar] = path.isRoot ? [CChar(bitPattern: UInt8(ascii: ".")), 0] : Array(path.name)
        guard fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            return
        }
        if utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 { throw disk("utimensat", path) }
    }

    private func openDirectory(_ path: LayerPath) throws(Refusal) -> OwnedDescriptor {
        let parent = path.isRoot ? root.number : try parents.open(path, self)
        let name: [CChar] = path.isRoot ? [CChar(bitPattern: UInt8(ascii: ".")), 0] : Array(path.name)
        let opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if opened < 0 { throw disk("open", path) }
        return OwnedDescriptor(owning: opened)
    }
}
