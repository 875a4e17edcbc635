import CArchive
import Glibc

/// Owner, mode, times and extended attributes of an archive's entry.
struct EntryAttributes {
    let uid: uid_t
    let gid: gid_t
    /// With the set-user-ID, set-group-ID and sticky bits.
    let mode: mode_t
    /// Access and modification.
    let times: [timespec]
    /// Names NUL-terminated.
    let xattrs: [(name: [CChar], value: [UInt8])]

    init(_ entry: OpaquePointer, _ path: LayerPath) throws(LayerUnpacker.Refusal) {
        let uid = archive_entry_uid(entry)
        let gid = archive_entry_gid(entry)
        // 2^32 - 1 means "leave it" to chown(2).
        guard (0..<Int64(UInt32.max)).contains(uid), (0..<Int64(UInt32.max)).contains(gid) else {
            throw .hostile(path.text, "owner \(uid):\(gid) is no user and group")
        }
        self.uid = uid_t(uid)
        self.gid = gid_t(gid)
        mode = archive_entry_perm(entry) & 0o7777
        let modified = timespec(tv_sec: archive_entry_mtime(entry), tv_nsec: archive_entry_mtime_nsec(entry))
        let accessed = timespec(tv_sec: archive_entry_atime(entry), tv_nsec: archive_entry_atime_nsec(entry))
        times = [archive_entry_atime_is_set(entry) != 0 ? accessed : modified, modified]
        xattrs = try Self.xattrs(entry, path)
    }

    /// `user.`, file capabilities and POSIX ACLs are taken. `trusted.` could steer overlayfs itself and is refused;
    /// labels of security modules (`security.selinux`, `.ima`, `.evm` …) are the host's business and left out, as is
    /// what is nothing for Linux.
    private static func xattrs(
        _ entry: OpaquePointer, _ path: LayerPath
    ) throws(LayerUnpacker.Refusal) -> [(name: [CChar], value: [UInt8])] {
        guard archive_entry_xattr_reset(entry) > 0 else { return [] }
        var xattrs: [(name: [CChar], value: [UInt8])] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK {
            guard let name else { continue }
            let text = String(cString: name)
            if text.hasPrefix("trusted.") { throw .hostile(path.text, "extended attribute \(printable(text))") }
            let taken = text.hasPrefix("user.") || text == "security.capability" || text.hasPrefix("system.posix_acl_")
            guard taken else { continue }
            // xattr(7): XATTR_NAME_MAX, XATTR_SIZE_MAX.
            guard strlen(name) <= 255, size <= 65536 else {
                throw .hostile(path.text, "extended attribute \(printable(text)) is too large")
            }
            xattrs.append(
                (
                    Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)),
                    Array(UnsafeRawBufferPointer(start: value, count: size))
                ))
        }
        return xattrs
    }
}
