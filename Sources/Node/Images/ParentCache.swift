import CLinux
import Glibc
import Linux

/// The directory that the last entry went into, kept open: archives list a directory's files together.
final class ParentCache {
    private let root: OwnedDescriptor
    /// What ``number`` is, without a NUL; nil when it must be resolved anew.
    private var path: [CChar]?
    private var number: Int32 = -1

    init(root: consuming OwnedDescriptor) { self.root = root }

    deinit {
        if number >= 0 { close(number) }
    }

    /// The directory that `path` belongs into, made (0755, root's) where the archive did not list it. Valid until the
    /// next call.
    func open(_ path: LayerPath, _ unpacker: LayerUnpacker) throws(LayerUnpacker.Refusal) -> Int32 {
        let parent = path.parent
        if parent.isEmpty { return root.number }
        if let known = self.path, known.elementsEqual(parent) { return number }
        var next = resolve(parent)
        if next < 0 && errno == ENOENT { next = try make(parent, path, unpacker) }
        if next < 0 {
            switch errno {
            case ENOTDIR: throw .hostile(path.text, "its parent is no directory")
            case ELOOP: throw .hostile(path.text, "its parent is a loop of symbolic links")
            default: throw unpacker.disk("openat2", path)
            }
        }
        if number >= 0 { close(number) }
        number = next
        self.path = Array(parent)
        return next
    }

    /// A directory of the layer, or nil.
    func openExisting(_ parent: ArraySlice<CChar>) -> DirectoryHandle? {
        let opened = parent.isEmpty ? fcntl(root.number, F_DUPFD_CLOEXEC, 3) : resolve(parent)
        return opened < 0 ? nil : DirectoryHandle(number: opened)
    }

    /// To be called when something in the tree was replaced: the path may lead elsewhere now. The descriptor last
    /// given stays open.
    func forget() { path = nil }

    private func resolve(_ parent: ArraySlice<CChar>) -> Int32 {
        cl_openat2(
            root.number, Array(parent) + [0], UInt64(CL_O_PATH) | UInt64(O_DIRECTORY | O_CLOEXEC), 0,
            Resolve([.inRoot, .sameMount]).rawValue)
    }

    private func make(
        _ parent: ArraySlice<CChar>, _ path: LayerPath, _ unpacker: LayerUnpacker
    ) throws(LayerUnpacker.Refusal) -> Int32 {
        let slash = CChar(bitPattern: UInt8(ascii: "/"))
        var current = DirectoryHandle(number: fcntl(root.number, F_DUPFD_CLOEXEC, 3))
        var end = parent.startIndex
        while end < parent.endIndex {
            let start = end == parent.startIndex ? end : end + 1
            end = parent[start...].firstIndex(of: slash) ?? parent.endIndex
            var next = resolve(parent[..<end])
            if next < 0 && errno == ENOENT {
                let name = Array(parent[start..<end]) + [0]
                if mkdirat(current.number, name, 0o755) < 0 {
                    if errno == EEXIST {
                        throw .hostile(path.text, "its parent is a symbolic link to nothing in the layer")
                    }
                    throw unpacker.disk("mkdir", path)
                }
                if fchmodat(current.number, name, 0o755, 0) < 0 { throw unpacker.disk("chmod", path) }
                next = resolve(parent[..<end])
            }
            if next < 0 { return next }
            current = DirectoryHandle(number: next)
        }
        return fcntl(current.number, F_DUPFD_CLOEXEC, 3)
    }
}

/// An open directory that may be optional, which ``OwnedDescriptor`` in a function's result cannot be without ado.
final class DirectoryHandle: Sendable {
    let number: Int32
    init(number: Int32) { self.number = number }
    deinit { close(number) }
}
