// Descriptors with one owner, and paths that may not lead out of a directory.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct OwnedDescriptorTests {
    @Test func `a descriptor is closed when its owner ends, unless it was given away`() throws {
        // Numbers are given again at once to whoever opens something: the other end of a pipe tells for certain.
        let pipe = try Pipe(nonBlocking: true)
        let number: Int32
        do {
            let writing = OwnedDescriptor(owning: fcntl(pipe.writing, F_DUPFD_CLOEXEC, 3))
            pipe.closeWriting()
            do {
                let second = try writing.duplicate()
                #expect(isOpen(second.number))
            }
            expect(EAGAIN) { () throws(SystemError) in _ = try pipe.next() }
            number = writing.release()
        }
        expect(EAGAIN) { () throws(SystemError) in _ = try pipe.next() }
        do { _ = OwnedDescriptor(owning: number) }
        #expect(try pipe.next() == nil)
    }

    @Test func `no descriptor is inherited by a program that is started`() throws {
        let directory = try OwnedDescriptor(opening: "/etc", flags: O_RDONLY | O_DIRECTORY)
        let inside = try OwnedDescriptor(opening: "hostname", in: directory, flags: Int32(CL_O_PATH))
        let copy = try directory.duplicate()
        for number in [directory.number, inside.number, copy.number] {
            #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    /// A tree with links that lead out of it; its own `etc/passwd` stands where they would lead after chroot(2).
    private func withRoot(_ body: (borrowing OwnedDescriptor) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let root = "\(directory)/root"
            try makeDirectories("\(root)/etc")
            try makeDirectories("\(root)/deep/er")
            try writeFileAtomically("\(root)/etc/passwd", Array("inside".utf8))
            try writeFileAtomically("\(directory)/secret", Array("outside".utf8))
            symlink("/etc/passwd", "\(root)/absolute")
            symlink("../../../../../../etc/passwd", "\(root)/deep/er/relative")
            symlink("../etc", "\(root)/deep/within")
            symlink("../secret", "\(root)/leaves")
            symlink("/etc", "\(root)/directory")
            symlink("loop", "\(root)/loop")
            try body(try OwnedDescriptor(opening: root, flags: O_RDONLY | O_DIRECTORY))
        }
    }

    @Test(arguments: [
        "absolute", "deep/er/relative", "deep/within/passwd", "directory/passwd", "/etc/passwd", "../../../etc/passwd",
        "directory/../../../../etc/passwd",
    ])
    func `whatever the links of a root say, they lead to its own files`(path: String) throws {
        try withRoot { root in
            let file = try OwnedDescriptor(opening: path, in: root, flags: O_RDONLY)
            #expect(try file.readAll() == Array("inside".utf8))
        }
    }

    @Test(arguments: [("leaves", ENOENT), ("../secret", ENOENT), ("loop", ELOOP)])
    func `what lies outside of a root is not there`(path: String, number: Int32) throws {
        try withRoot { root in
            let error = failure { () throws(SystemError) in
                _ = try OwnedDescriptor(opening: path, in: root, flags: O_RDONLY)
            }
            #expect(error == SystemError("openat2", path, errno: number))
        }
    }

    @Test(arguments: ["absolute", "deep/er/relative", "directory/passwd", "/etc/passwd", "../secret", "leaves"])
    func `a path that leaves the directory it must stay beneath is EXDEV`(path: String) throws {
        try withRoot { root in
            let error = failure { () throws(SystemError) in
                _ = try OwnedDescriptor(opening: path, in: root, flags: O_RDONLY, resolve: .beneath)
            }
            #expect(error?.errno == EXDEV)
            // One that stays beneath is fine, links and `..` included.
            _ = try OwnedDescriptor(opening: "deep/within/../etc/passwd", in: root, flags: O_RDONLY, resolve: .beneath)
        }
    }

    @Test func `a link anywhere on the way is ELOOP where none is allowed`() throws {
        try withRoot { root in
            for path in ["absolute", "deep/within/passwd", "directory"] {
                let error = failure { () throws(SystemError) in
                    _ = try OwnedDescriptor(
                        opening: path, in: root, flags: O_RDONLY, resolve: [.beneath, .noSymlinks])
                }
                #expect(error?.errno == ELOOP, "\(path)")
            }
            _ = try OwnedDescriptor(opening: "etc/passwd", in: root, flags: O_RDONLY, resolve: .noSymlinks)
        }
    }

    @Test func `links of procfs that lead anywhere are not followed`() throws {
        let process = try OwnedDescriptor(opening: "/proc/self", flags: O_RDONLY | O_DIRECTORY)
        for resolve in [Resolve.inRoot, .beneath] {
            let error = failure { () throws(SystemError) in
                _ = try OwnedDescriptor(opening: "cwd", in: process, flags: O_RDONLY, resolve: resolve)
            }
            #expect(error?.errno == ELOOP || error?.errno == EXDEV)
        }
    }

    @Test func `a mount point is EXDEV where mounts are not to be crossed`() async throws {
        try await withTemporaryDirectory { directory in
            let error = try await inMountNamespace {
                try makeDirectories("\(directory)/mounted")
                try DetachedMount(type: "tmpfs", options: []).attach(at: "\(directory)/mounted")
                let root = try OwnedDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY)
                _ = try OwnedDescriptor(opening: "mounted", in: root, flags: O_RDONLY)
                return failure { () throws(SystemError) in
                    _ = try OwnedDescriptor(
                        opening: "mounted", in: root, flags: O_RDONLY, resolve: [.inRoot, .sameMount])
                }
            }
            #expect(error?.errno == EXDEV)
        }
    }

    @Test func `an error names the call, its subject and the reason`() {
        let error = failure { () throws(SystemError) in _ = try readFile("/nonexistent/file") }
        #expect(error.map { "\($0)" } == "open /nonexistent/file: No such file or directory")
        #expect("\(SystemError("accept4", errno: EMFILE))" == "accept4: Too many open files")
    }
}
