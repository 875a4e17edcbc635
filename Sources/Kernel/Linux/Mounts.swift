import CLinux
import Glibc

/// A mount that hangs nowhere yet (fsmount(2), open_tree(2)): it is passed on by descriptor, and unless somebody
/// attaches it, it is gone with its last descriptor.
public struct DetachedMount: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    init(owning number: Int32) { descriptor = OwnedDescriptor(owning: number) }

    /// A copy of the mount at `path`, from there on down, as `mount --bind` makes it; with `recursive` as `--rbind`.
    public init(cloning path: String, recursive: Bool = false) throws(SystemError) {
        let flags = UInt32(OPEN_TREE_CLONE) | (recursive ? UInt32(CL_AT_RECURSIVE) : 0)
        self.init(owning: try check(cl_open_tree(AT_FDCWD, path, flags), "open_tree", path))
    }

    /// A copy of the mount at an open file or directory (O_PATH is enough).
    public init(
        cloning target: borrowing OwnedDescriptor, recursive: Bool = false, subject: String = ""
    ) throws(SystemError) {
        var flags = UInt32(OPEN_TREE_CLONE) | UInt32(CL_AT_EMPTY_PATH)
        if recursive { flags |= UInt32(CL_AT_RECURSIVE) }
        self.init(owning: try check(cl_open_tree(target.number, "", flags), "open_tree", subject))
    }

    /// A new file system of `type` with `options`, as `mount -t TYPE -o OPTIONS`.
    public init(type: String, options: [(key: String, value: String?)]) throws(SystemError) {
        let context = OwnedDescriptor(owning: try check(cl_fsopen(type, 0), "fsopen", type))
        for option in options {
            let command = UInt32((option.value == nil ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING).rawValue)
            let result: Int32
            if let value = option.value {
                result = value.withCString { cl_fsconfig(context.number, command, option.key, $0, 0) }
            } else {
                result = cl_fsconfig(context.number, command, option.key, nil, 0)
            }
            try check(result, "fsconfig", "\(type) \(option.key)\(option.value.map { "=\($0)" } ?? "")")
        }
        let create = UInt32(FSCONFIG_CMD_CREATE.rawValue)
        try check(cl_fsconfig(context.number, create, nil, nil, 0), "fsconfig", "\(type) create")
        self.init(owning: try check(cl_fsmount(context.number, 0, 0), "fsmount", type))
    }

    /// Gives the mount's descriptor away.
    public consuming func release() -> OwnedDescriptor { descriptor }

    /// Attributes of mount_setattr(2).
    public struct Attributes: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }
        public static let readOnly = Attributes(rawValue: 0x1)
        public static let noSetUserID = Attributes(rawValue: 0x2)
        public static let noDevices = Attributes(rawValue: 0x4)
        public static let noExecute = Attributes(rawValue: 0x8)
    }

    /// Propagation types (mount_namespaces(7)).
    public enum Propagation: UInt64, Sendable {
        case `private` = 0x40000
        case slave = 0x80000
        case shared = 0x100000
    }

    /// Sets attributes and, where given, the propagation type; `recursive` for all mounts below too.
    public func set(
        _ attributes: Attributes = [], propagation: Propagation? = nil, recursive: Bool = false
    ) throws(SystemError) {
        let flags = UInt32(CL_AT_EMPTY_PATH) | (recursive ? UInt32(CL_AT_RECURSIVE) : 0)
        try check(
            cl_mount_setattr(descriptor.number, "", flags, attributes.rawValue, 0, propagation?.rawValue ?? 0),
            "mount_setattr")
    }

    /// Attaches the mount at `path` in the caller's mount namespace.
    public func attach(at path: String) throws(SystemError) {
        try check(
            cl_move_mount(descriptor.number, "", AT_FDCWD, path, UInt32(MOVE_MOUNT_F_EMPTY_PATH)), "move_mount", path)
    }
}

/// Unmounts what is mounted at `path`, lazily, without following a symbolic link. Nothing mounted there is fine.
public func unmount(_ path: String) throws(SystemError) {
    if umount2(path, Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW)) < 0, errno != EINVAL, errno != ENOENT {
        throw SystemError("umount2", path)
    }
}
