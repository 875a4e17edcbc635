// Mounts that hang nowhere until they are attached, in mount namespaces of the tests' own.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct MountsTests {
    /// Runs `body` in a mount namespace, with directories `a` and `b`.
    private func onDirectories<Result: Sendable>(
        _ body: @escaping @Sendable (_ a: String, _ b: String) throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/a")
            try makeDirectories("\(directory)/b")
            return try await inMountNamespace { try body("\(directory)/a", "\(directory)/b") }
        }
    }

    @Test func `a new file system is made with its options and attached`() async throws {
        struct Seen { let type: Int, mode: mode_t, size: Int, names: [String] }
        let seen = try await onDirectories { a, _ in
            let mount = try DetachedMount(type: "tmpfs", options: [("size", "1048576"), ("mode", "0710")])
            try writeFileAtomically("\(a)/below", [])
            try mount.attach(at: a)
            var status = statfs()
            try check(statfs(a, &status), "statfs", a)
            let size = Int(status.f_blocks) * Int(status.f_bsize)
            return Seen(type: Int(status.f_type), mode: try mode(of: a), size: size, names: try listDirectory(a))
        }
        #expect(seen.type == 0x0102_1994 && seen.mode == 0o710 && seen.size == 1 << 20)
        #expect(seen.names.isEmpty)
    }

    @Test func `an option that the file system does not know is named`() async throws {
        let error = failure { () throws(SystemError) in
            _ = try DetachedMount(type: "tmpfs", options: [("size", "1m"), ("sise", "1m")])
        }
        #expect(error == SystemError("fsconfig", "tmpfs sise=1m", errno: EINVAL))
        let type = failure { () throws(SystemError) in _ = try DetachedMount(type: "nofs", options: []) }
        #expect(type == SystemError("fsopen", "nofs", errno: ENODEV))
    }

    @Test func `a bind mount shows the directory, and only a recursive one the mounts below`() async throws {
        let (plain, recursive) = try await onDirectories { a, b in
            try makeDirectories("\(a)/below")
            try DetachedMount(type: "tmpfs", options: []).attach(at: "\(a)/below")
            try writeFileAtomically("\(a)/below/file", [1])
            try DetachedMount(cloning: a).attach(at: b)
            let plain = [try listDirectory(b), try listDirectory("\(b)/below")]
            try unmount(b)
            try DetachedMount(cloning: a, recursive: true).attach(at: b)
            return (plain, [try listDirectory(b), try listDirectory("\(b)/below")])
        }
        #expect(plain == [["below"], []])
        #expect(recursive == [["below"], ["file"]])
    }

    @Test func `an open file can be mounted over another, without a path`() async throws {
        let content = try await onDirectories { a, b in
            try writeFileAtomically("\(a)/file", [1])
            try writeFileAtomically("\(b)/file", [2])
            let file = try OwnedDescriptor(opening: "\(a)/file", flags: Int32(CL_O_PATH))
            rename("\(a)/file", "\(a)/moved")
            try DetachedMount(cloning: file, subject: "file").attach(at: "\(b)/file")
            return try readFile("\(b)/file")
        }
        #expect(content == [1])
    }

    @Test(arguments: [true, false])
    func `read only means the mounts below too where it is recursive, and never the original`(
        recursive: Bool
    ) async throws {
        let errors = try await onDirectories { a, b in
            try makeDirectories("\(a)/below")
            try DetachedMount(type: "tmpfs", options: []).attach(at: "\(a)/below")
            let copy = try DetachedMount(cloning: a, recursive: true)
            try copy.set([.readOnly, .noDevices], recursive: recursive)
            try copy.attach(at: b)
            return [b, "\(b)/below", a, "\(a)/below"].map { directory in
                failure { () throws(SystemError) in try writeFileAtomically("\(directory)/new", []) }?.errno ?? 0
            }
        }
        #expect(errors == [EROFS, recursive ? EROFS : 0, 0, 0])
    }

    @Test(arguments: [DetachedMount.Propagation.private, .slave, .shared])
    func `a mount is passed on as the propagation type says`(propagation: DetachedMount.Propagation) async throws {
        let (fromOriginal, fromCopy) = try await onDirectories { a, b in
            let original = try DetachedMount(type: "tmpfs", options: [])
            try original.set(propagation: .shared)
            try original.attach(at: a)
            for name in ["one", "two"] { try makeDirectories("\(a)/\(name)") }
            let copy = try DetachedMount(cloning: a)
            try copy.set(propagation: propagation)
            try copy.attach(at: b)
            try DetachedMount(type: "tmpfs", options: []).attach(at: "\(a)/one")
            try DetachedMount(type: "tmpfs", options: []).attach(at: "\(b)/two")
            try writeFileAtomically("\(a)/one/mounted", [])
            try writeFileAtomically("\(b)/two/mounted", [])
            return (fileExists("\(b)/one/mounted"), fileExists("\(a)/two/mounted"))
        }
        #expect(fromOriginal == (propagation != .private))
        #expect(fromCopy == (propagation == .shared))
    }

    @Test func `a mount that nobody attached is gone with its descriptor`() async throws {
        let names = try await onDirectories { a, b in
            try makeDirectories("\(a)/below")
            let mount = try DetachedMount(type: "tmpfs", options: [])
            let inside = try OwnedDescriptor(opening: "/proc/self/fd/\(mount.descriptor.number)", flags: O_RDONLY)
            try check(mkdirat(inside.number, "seen-by-nobody", 0o755), "mkdirat")
            return [try listDirectory(a), try listDirectory(b)]
        }
        #expect(names == [["below"], []])
    }

    @Test func `unmounting follows no link, takes no mount for fine, and does not wait for users`() async throws {
        let (behindLink, afterwards) = try await onDirectories { a, b in
            try DetachedMount(type: "tmpfs", options: []).attach(at: a)
            try writeFileAtomically("\(a)/file", [])
            symlink(a, "\(b)/link")
            try unmount("\(b)/link")
            try unmount(b)
            try unmount("\(b)/none")
            let behindLink = fileExists("\(a)/file")
            let user = try OwnedDescriptor(opening: "\(a)/file", flags: O_RDONLY)
            try unmount(a)
            _ = user.number
            return (behindLink, fileExists("\(a)/file"))
        }
        #expect(behindLink && !afterwards)
    }
}
