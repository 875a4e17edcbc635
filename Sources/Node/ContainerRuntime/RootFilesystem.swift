import CLinux
import Glibc
import Linux

/// A container's root file system: image layers under a writable one. The mount is detached: it is in no mount
/// namespace until a container attaches it, and gone with that container's namespace.
public struct RootFilesystem: ~Copyable, Sendable {
    /// The detached mount, for ``ContainerPlan/root``.
    public let mount: OwnedDescriptor

    /// An overlay (overlayfs, kernel Documentation/filesystems/overlayfs.rst) of `layers`, bottom to top, with the
    /// writable directories `upper` and `work` on one file system.
    public static func overlay(layers: [String], upper: String, work: String) throws(SystemError) -> RootFilesystem {
        if layers.isEmpty { throw SystemError("fsconfig", "overlay without layers", errno: EINVAL) }
        let topDown = layers.reversed()
        do {
            let lower = topDown.map { (key: "lowerdir+", value: $0 as String?) }
            return try overlay(lower: lower, upper: upper, work: work)
        } catch {
            // Linux 6.5 has lowerdir+, one call for each layer; before it one option names all, with `:` and `\` escaped.
            guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
            let joined = topDown.map(escaped).joined(separator: ":")
            return try overlay(lower: [(key: "lowerdir", value: joined)], upper: upper, work: work)
        }
    }

    private static func overlay(
        lower: [(key: String, value: String?)], upper: String, work: String
    ) throws(SystemError) -> RootFilesystem {
        // An index or a redirect would only matter for an upper directory that is shared or exported.
        let mount = try DetachedMount(type: "overlay", options: lower + [("upperdir", upper), ("workdir", work)])
        return RootFilesystem(mount: mount.release())
    }

    private static func escaped(_ path: String) -> String {
        String(path.flatMap { $0 == ":" || $0 == "\\" ? ["\\", $0] : [$0] })
    }

    /// A detached copy of the mount at `path`.
    public static func bind(_ path: String) throws(SystemError) -> RootFilesystem {
        let mount = try DetachedMount(cloning: path)
        return RootFilesystem(mount: mount.release())
    }
}
