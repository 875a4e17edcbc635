// Removing what anybody may have made: hostile names, depth, links and mounts.
import Glibc
import Linux
import TestSupport
import Testing

@Suite struct TreeRemovalTests {
    @Test func `names that are no text are removed`() throws {
        try withTemporaryDirectory { directory in
            let tree = "\(directory)/tree"
            try makeDirectories(tree)
            let parent = try OwnedDescriptor(opening: tree, flags: O_RDONLY | O_DIRECTORY)
            let names: [[UInt8]] = [[0xff, 0xfe], [0xc3, 0x28], [0x0a], [0x2d, 0x72, 0x66], [0x20]]
            for bytes in names {
                let name = bytes.map { CChar(bitPattern: $0) } + [0]
                try check(mkdirat(parent.number, name, 0o755), "mkdirat")
                let inside = openat(parent.number, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                let child = OwnedDescriptor(owning: try check(inside, "openat"))
                try check(mkdirat(child.number, name, 0o000), "mkdirat")
                close(openat(child.number, [0x78, 0x80 as UInt8, 0].map { CChar(bitPattern: $0) }, O_CREAT, 0o000))
            }
            try removeTree(tree)
            #expect(try listDirectory(directory).isEmpty)
        }
    }

    @Test func `a tree of five thousand levels is removed, with two descriptors`() async throws {
        try await withTemporaryDirectory { directory in
            let tree = "\(directory)/tree"
            try makeDirectories(tree)
            // Made and removed on a thread of its own: neither may need a long path, nor a stack for each level.
            try await blocking {
                var current = try OwnedDescriptor(opening: tree, flags: O_RDONLY | O_DIRECTORY)
                for level in 0..<5000 {
                    try check(mkdirat(current.number, "d", 0o755), "mkdirat", "\(level)")
                    let file = openat(current.number, "f", O_CREAT | O_CLOEXEC, 0o644)
                    _ = OwnedDescriptor(owning: try check(file, "openat"))
                    let next = openat(current.number, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                    current = OwnedDescriptor(owning: try check(next, "openat"))
                }
                try removeTree(tree)
            }
            #expect(try listDirectory(directory).isEmpty)
        }
    }

    @Test func `links are removed and what they lead to stays`() throws {
        try withTemporaryDirectory { directory in
            try makeDirectories("\(directory)/outside")
            try writeFileAtomically("\(directory)/outside/file", [1])
            try makeDirectories("\(directory)/tree/inside")
            symlink("\(directory)/outside", "\(directory)/tree/absolute")
            symlink("../../outside", "\(directory)/tree/inside/relative")
            symlink("../outside/file", "\(directory)/tree/file")
            try removeTree("\(directory)/tree")
            #expect(try listDirectory(directory) == ["outside"])
            // A name that is itself a link.
            symlink("outside", "\(directory)/link")
            try removeTree("\(directory)/link")
            #expect(try listDirectory(directory) == ["outside"])
            #expect(try readFile("\(directory)/outside/file") == [1])
        }
    }

    @Test(arguments: ["mounted", "deep/mounted", "file"])
    func `a mount inside the tree is not entered: its files stay, and the removal fails`(place: String) async throws {
        try await withTemporaryDirectory { directory in
            let (error, content) = try await inMountNamespace {
                let (tree, outside) = ("\(directory)/tree", "\(directory)/outside")
                try makeDirectories("\(outside)/directory")
                try writeFileAtomically("\(outside)/directory/kept", [1])
                try makeDirectories("\(tree)/deep")
                if place == "file" {
                    try writeFileAtomically("\(tree)/file", [])
                    try DetachedMount(cloning: "\(outside)/directory/kept").attach(at: "\(tree)/file")
                } else {
                    try makeDirectories("\(tree)/\(place)")
                    try DetachedMount(cloning: "\(outside)/directory").attach(at: "\(tree)/\(place)")
                }
                let error = failure { () throws(SystemError) in try removeTree(tree) }
                return (error, try readFile("\(outside)/directory/kept"))
            }
            #expect(error?.errno == EBUSY || error?.errno == EXDEV)
            #expect(content == [1])
        }
    }

    @Test func `a name that is itself a mount is left alone`() async throws {
        try await withTemporaryDirectory { directory in
            let (error, names) = try await inMountNamespace {
                let tree = "\(directory)/tree"
                try makeDirectories(tree)
                try DetachedMount(type: "tmpfs", options: []).attach(at: tree)
                try writeFileAtomically("\(tree)/kept", [1])
                let error = failure { () throws(SystemError) in try removeTree(tree) }
                return (error, try listDirectory(tree))
            }
            #expect(error?.errno == EXDEV)
            #expect(names == ["kept"])
        }
    }

    @Test func `what is not there is removed already`() throws {
        try withTemporaryDirectory { directory in
            try removeTree("\(directory)/none")
            try removeTree("\(directory)/none/at/all")
        }
    }

    @Test func `two who remove the same tree both succeed`() async throws {
        try await withTemporaryDirectory { directory in
            for round in 0..<20 {
                let tree = "\(directory)/tree-\(round)"
                for branch in 0..<20 { try makeDirectories("\(tree)/\(branch)/a/b") }
                async let first: Void = blocking { try removeTree(tree) }
                async let second: Void = blocking { try removeTree(tree) }
                try await first
                try await second
            }
            #expect(try listDirectory(directory).isEmpty)
        }
    }
}
