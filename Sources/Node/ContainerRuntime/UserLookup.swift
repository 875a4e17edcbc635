import Glibc
import Linux

/// Who a container runs as: the `User` of an image or command, resolved against the root file system's own files.
///
/// Strict on purpose (crun's CVE-2026-30892): a user is either a name that /etc/passwd lists or a plain number below
/// 2³² - 1; anything left over is refused. Lines of the files that make no sense are skipped, as the C library does.
public enum UserLookup {
    /// Resolves `user` in the root file system that the directory descriptor `root` is: a detached mount or any
    /// directory. Grammar: empty (root), `user`, `uid`, and either with `:group` or `:gid`. Without a group the primary
    /// group is that of /etc/passwd, or 0; supplementary groups are those that /etc/group lists for the user's name,
    /// unless a group was given.
    public static func resolve(_ user: String, root: Int32) throws(UserLookupError) -> ResolvedUser {
        let parts = user.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count > 2 || (parts.count == 2 && (parts[0].isEmpty || parts[1].isEmpty)) {
            throw .malformed(user)
        }
        let entries = try passwd(root)
        let name = parts.first.map(String.init) ?? ""
        let entry: PasswdEntry?
        let uid: UInt32
        if name.isEmpty {
            entry = entries.first { $0.uid == 0 }
            uid = 0
        } else if let found = entries.first(where: { $0.name == name }) {
            entry = found
            uid = found.uid
        } else if let number = number(name) {
            entry = entries.first { $0.uid == number }
            uid = number
        } else if name.utf8.allSatisfy(isDigit) {
            throw .malformed(user)
        } else {
            throw .unknownUser(name)
        }
        var resolved = ContainerUser(uid: uid, gid: entry?.gid ?? 0)
        if parts.count == 2 {
            resolved.gid = try group(String(parts[1]), root, user)
        } else if let name = entry?.name {
            resolved.additionalGroups = try groups(of: name, root: root)
        }
        return ResolvedUser(user: resolved, name: entry?.name, home: entry?.home ?? "/")
    }

    /// The groups that /etc/group lists for the user called `name`.
    public static func groups(of name: String, root: Int32) throws(UserLookupError) -> [UInt32] {
        try group(root).filter { $0.members.contains(name[...]) }.map(\.gid)
    }

    private static func group(_ name: String, _ root: Int32, _ user: String) throws(UserLookupError) -> UInt32 {
        if let entry = try group(root).first(where: { $0.name == name }) { return entry.gid }
        if let number = number(name) { return number }
        if name.utf8.allSatisfy(isDigit) { throw .malformed(user) }
        throw .unknownGroup(name)
    }

    private struct PasswdEntry {
        let name: String
        let uid: UInt32
        let gid: UInt32
        let home: String
    }

    private static func passwd(_ root: Int32) throws(UserLookupError) -> [PasswdEntry] {
        try lines("etc/passwd", root).compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count >= 6, !fields[0].isEmpty, let uid = number(fields[2]), let gid = number(fields[3]) else {
                return nil
            }
            let home = fields[5].hasPrefix("/") ? String(fields[5]) : "/"
            return PasswdEntry(name: String(fields[0]), uid: uid, gid: gid, home: home)
        }
    }

    private struct GroupEntry {
        let name: String
        let gid: UInt32
        let members: [Substring]
    }

    private static func group(_ root: Int32) throws(UserLookupError) -> [GroupEntry] {
        try lines("etc/group", root).compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count >= 4, !fields[0].isEmpty, let gid = number(fields[2]) else { return nil }
            return GroupEntry(name: String(fields[0]), gid: gid, members: fields[3].split(separator: ","))
        }
    }

    /// A number that setuid(2) takes: decimal digits only, and not -1, which means "leave it".
    private static func number(_ text: some StringProtocol) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy(isDigit), let number = UInt32(text), number != .max else {
            return nil
        }
        return number
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// The lines of a file of the root file system; none if it is not there. Anything but a regular file of reasonable
    /// size is an error: the image chose what is there.
    private static func lines(_ path: String, _ root: Int32) throws(UserLookupError) -> [Substring] {
        let flags = UInt64(O_RDONLY | O_NONBLOCK | O_NOCTTY)
        let number = cl_openat2(root, path, flags, 0, Resolve.inRoot.rawValue)
        if number < 0 {
            if errno == ENOENT || errno == ENOTDIR { return [] }
            throw .system(SystemError("openat2", path))
        }
        let file = OwnedDescriptor(owning: number)
        do throws(SystemError) {
            var status = stat()
            try check(fstat(file.number, &status), "fstat", path)
            if status.st_mode & S_IFMT != S_IFREG { throw SystemError("openat2", "\(path) is no file", errno: EINVAL) }
            let text = String(decoding: try file.readAll(limit: 4 << 20, subject: path), as: UTF8.self)
            return text.split(separator: "\n")
        } catch {
            throw .system(error)
        }
    }
}

/// The outcome of ``UserLookup``.
public struct ResolvedUser: Sendable, Hashable {
    public var user: ContainerUser
    /// The name in /etc/passwd, if there is one.
    public var name: String?
    /// The home directory in /etc/passwd, else "/".
    public var home: String

    public init(user: ContainerUser, name: String?, home: String) {
        self.user = user
        self.name = name
        self.home = home
    }
}

/// Why a user could not be resolved.
public enum UserLookupError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not one of the forms.
    case malformed(String)
    case unknownUser(String)
    case unknownGroup(String)
    case system(SystemError)

    public var description: String {
        switch self {
        case .malformed(let user): "user \"\(user)\": not of the form user, uid, user:group or uid:gid"
        case .unknownUser(let name): "no user \"\(name)\" in the image's /etc/passwd"
        case .unknownGroup(let name): "no group \"\(name)\" in the image's /etc/group"
        case .system(let error): error.description
        }
    }
}
