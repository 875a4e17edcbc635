import Glibc
import Linux

/// Network namespaces held by bind mounts, one file for each container, as ip-netns(8) holds its own: they live until they
/// are let go of, and have a path that does not depend on any process.
struct HeldNamespaces: Sendable {
    let directory: String

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// Holds `namespace` in place of what `name` held before. The path of it.
    func hold(_ name: String, _ namespace: borrowing OwnedDescriptor) throws(ChainError) -> String {
        let path = path(name)
        guard CNINames.isIdentifier(name) else {
            throw .invalidAttachment("container id '\(name)': need letters, digits, '_', '.' and '-'")
        }
        do throws(SystemError) {
            try makeDirectories(directory, mode: 0o700)
            try unmount(path)
            _ = try OwnedDescriptor(opening: path, flags: O_RDONLY | O_CREAT, mode: 0o600)
            let source = "/proc/thread-self/fd/\(namespace.number)"
            if mount(source, path, "none", UInt(CLinux.MS_BIND), nil) < 0 {
                let error = SystemError("mount", path)
                unlink(path)
                throw error
            }
        } catch {
            throw .system(error)
        }
        return path
    }

    /// Whether a namespace is held under the name: the file alone holds nothing.
    func isHeld(_ name: String) -> Bool {
        var here = stat()
        var above = stat()
        return stat(path(name), &here) == 0 && stat(directory, &above) == 0 && here.st_dev != above.st_dev
    }

    /// Lets go of it. Fine where nothing is held.
    func release(_ name: String) throws(ChainError) {
        do {
            try unmount(path(name))
        } catch {
            throw .system(error)
        }
    }

    /// Lets go of all but those.
    func releaseAll(but names: Set<String>) throws(ChainError) {
        guard fileExists(directory) else { return }
        for name in try onDisk({ () throws(SystemError) in try listDirectory(directory) }) where !names.contains(name) {
            try release(name)
        }
    }

    private func unmount(_ path: String) throws(SystemError) {
        // EINVAL: a file without a mount.
        while umount2(path, Int32(MNT_DETACH | UMOUNT_NOFOLLOW)) == 0 {}
        if errno != EINVAL && errno != ENOENT { throw SystemError("umount2", path) }
        if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
    }
}

/// A descriptor for several.
final class SharedDescriptor: Sendable {
    let descriptor: OwnedDescriptor
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}
