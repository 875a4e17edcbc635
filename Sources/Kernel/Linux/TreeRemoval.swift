import CLinux
import Glibc

/// Removes a file or a tree that anybody may have made: names are bytes, not text, and the depth has no limit. Nothing
/// outside of `name` is reached: symbolic links are removed, not followed, and no mount point is entered (EBUSY, EXDEV).
/// Something already gone is fine, also when it goes meanwhile.
///
/// Needs two descriptors whatever the depth is: a directory inside is first moved up beside `name`, then emptied.
public func removeTree(_ name: [CChar], in parent: borrowing OwnedDescriptor, subject: String) throws(SystemError) {
    if unlinkat(parent.number, name, 0) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw SystemError("unlinkat", subject) }
    var pending = [name]
    var counter = 0
    while let directory = pending.last {
        let opened = cl_openat2(
            parent.number, directory, UInt64(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 0,
            Resolve([.beneath, .noSymlinks, .sameMount]).rawValue)
        if opened < 0 && errno == ENOENT {
            // Somebody else removes the same tree.
            pending.removeLast()
            continue
        }
        let descriptor = OwnedDescriptor(owning: try check(opened, "openat2", subject))
        var moved: [[CChar]] = []
        for child in try namesAsBytes(in: descriptor, subject: subject) {
            if unlinkat(descriptor.number, child, 0) == 0 || errno == ENOENT { continue }
            guard errno == EISDIR || errno == EPERM else { throw SystemError("unlinkat", subject) }
            if unlinkat(descriptor.number, child, AT_REMOVEDIR) == 0 || errno == ENOENT { continue }
            guard errno == ENOTEMPTY || errno == EEXIST else { throw SystemError("rmdir", subject) }
            counter += 1
            let temporary = Array(".removed-\(getpid())-\(UInt32.random(in: 0 ... .max))-\(counter)".utf8CString)
            if renameat(descriptor.number, child, parent.number, temporary) == 0 {
                moved.append(temporary)
            } else if errno != ENOENT {
                throw SystemError("renameat", subject)
            }
        }
        if unlinkat(parent.number, directory, AT_REMOVEDIR) < 0 && errno != ENOENT {
            throw SystemError("rmdir", subject)
        }
        pending.removeLast()
        pending.append(contentsOf: moved)
    }
}

/// As above, by path.
public func removeTree(_ path: String) throws(SystemError) {
    let parent: OwnedDescriptor
    do {
        parent = try OwnedDescriptor(opening: parentDirectory(of: path), flags: O_RDONLY | O_DIRECTORY)
    } catch {
        if error.errno == ENOENT { return }
        throw error
    }
    try removeTree(Array(lastComponent(of: path).utf8CString), in: parent, subject: path)
}

/// The names in an open directory, NUL-terminated.
private func namesAsBytes(
    in directory: borrowing OwnedDescriptor, subject: String
) throws(SystemError) -> [[CChar]] {
    guard let stream = fdopendir(try directory.duplicate().release()) else { throw SystemError("fdopendir", subject) }
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
            }
        }
        if name != [46, 0] && name != [46, 46, 0] { names.append(name) }
    }
    return names
}
