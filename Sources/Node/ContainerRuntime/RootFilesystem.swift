import CLinux
import Glibc
import Linux
import Synchronization

/// A container's root file system: image layers under a writable one. The mount is detached: it is in no mount
/// namespace until a container attaches it, and gone with that container's namespace.
public struct RootFilesystem: ~Copyable, Sendable {
    /// The detached mount, for ``ContainerPlan/root``.
    public let mount: OwnedDescriptor

    /// An overlay (overlayfs, kernel Documentation/filesystems/overlayfs.rst) of `layers`, bottom to top, with the
    /// writable directories `upper` and `work` on one file system.
    public static func overlay(layers: [String], upper: String, work: String) throws(SystemError) -> RootFilesystem {
        if layers.isEmpty { throw SystemError("fsconfig", "overlay without layers", errno: EINVAL) }
        let layers = layers[(layers.lastIndex(where: isOpaque) ?? 0)...]
        let paths = layers.reversed() + [upper, work]
        // fsconfig(2) takes at most 255 bytes for a value.
        if lacksLowerAppend.load(ordering: .relaxed) || paths.contains(where: { $0.utf8.count > 255 }) {
            return try overlayByMount(topDown: layers.reversed(), upper: upper, work: work)
        }
        do {
            let lower = layers.reversed().map { (key: "lowerdir+", value: $0 as String?) }
            let options = lower + [("upperdir", upper), ("workdir", work)]
            return RootFilesystem(mount: try DetachedMount(type: "overlay", options: options).release())
        } catch {
            guard error.errno == EINVAL else { throw error }
            let root = try overlayByMount(topDown: layers.reversed(), upper: upper, work: work)
            lacksLowerAppend.store(true, ordering: .relaxed)
            return root
        }
    }

    /// Before Linux 6.5 there is no lowerdir+, and each attempt is a line in the kernel's log: one is enough.
    private static let lacksLowerAppend = Atomic(false)

    /// Whether a layer hides all below it: overlayfs itself does not look for that mark on a layer's own root.
    private static func isOpaque(_ layer: String) -> Bool {
        var value: UInt8 = 0
        return lgetxattr(layer, "trusted.overlay.opaque", &value, 1) == 1 && value == UInt8(ascii: "y")
    }

    /// The same through mount(2), for kernels before 6.5: at most about 200 layers fit into its page of options.
    static func overlayByMount(
        topDown: [String], upper: String, work: String
    ) throws(SystemError) -> RootFilesystem {
        let copies = topDown.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        let number = cl_overlay_by_mount(copies.map { UnsafePointer($0) }, copies.count, upper, work)
        if number < 0 {
            let error = SystemError("mount", "overlay at \(upper)")
            // Unlike fsconfig(2), which is told one at a time, mount(2) does not say which of them it is.
            let missing = (topDown + [upper, work]).first { !fileExists($0) }
            guard error.errno == ENOENT, let missing else { throw error }
            throw SystemError("mount", "overlay of \(missing)", errno: ENOENT)
        }
        return RootFilesystem(mount: OwnedDescriptor(owning: number))
    }

    /// A detached copy of the mount at `path`.
    public static func bind(_ path: String) throws(SystemError) -> RootFilesystem {
        let mount = try DetachedMount(cloning: path)
        return RootFilesystem(mount: mount.release())
    }
}
