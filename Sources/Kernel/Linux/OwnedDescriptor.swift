import CLinux
import Glibc

/// A descriptor with one owner, closed when the owner lets go of it. Always close-on-exec.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number, valid as long as this value lives.
    public let number: Int32

    /// Takes over `number`; nobody else may close it.
    public init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Gives the number away; the caller closes it.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }

    /// A second descriptor for the same open file (fcntl(2), F_DUPFD_CLOEXEC).
    public func duplicate() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try check(fcntl(number, F_DUPFD_CLOEXEC, 3), "fcntl", "F_DUPFD_CLOEXEC"))
    }

    /// Opens `path` as open(2) does, with O_CLOEXEC.
    public init(opening path: String, flags: Int32, mode: mode_t = 0) throws(SystemError) {
        self.init(owning: try check(open(path, flags | O_CLOEXEC, mode), "open", path))
    }

    /// Opens `path` relative to the directory `directory` under openat2(2)'s `resolve` rules; by default nothing outside
    /// of `directory` is ever reached, whatever symbolic links say: they are resolved as if `directory` were `/`.
    public init(
        opening path: String, in directory: borrowing OwnedDescriptor, flags: Int32, mode: mode_t = 0,
        resolve: Resolve = .inRoot
    ) throws(SystemError) {
        let fd = cl_openat2(
            directory.number, path, UInt64(UInt32(bitPattern: flags)), UInt64(mode), resolve.rawValue)
        self.init(owning: try check(fd, "openat2", path))
    }
}

/// How openat2(2) may walk a path.
public struct Resolve: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Symbolic links and `..` are resolved as after chroot(2): RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS.
    public static let inRoot = Resolve(rawValue: 0x10 | 0x02)
    /// A path that leaves the directory fails with EXDEV: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS.
    public static let beneath = Resolve(rawValue: 0x08 | 0x02)
    /// Any symbolic link on the way fails with ELOOP: RESOLVE_NO_SYMLINKS.
    public static let noSymlinks = Resolve(rawValue: 0x04)
    /// Crossing a mount point fails with EXDEV: RESOLVE_NO_XDEV.
    public static let sameMount = Resolve(rawValue: 0x01)
}
