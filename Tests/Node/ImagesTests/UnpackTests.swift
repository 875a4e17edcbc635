import CLinux
import Glibc
import JSONTree
import Linux
import OCI
import Testing

@testable import Images

/// Unpacks a layer as an import does and gives its directory.
private func unpacked(
    _ entries: [TarEntry], compression: Compression = .plain, limits: UnpackLimits = UnpackLimits(),
    in directory: TemporaryDirectory
) async throws -> String {
    try await unpacked(tar: tar(entries), compression: compression, limits: limits, in: directory)
}

private func unpacked(
    tar bytes: [UInt8], compression: Compression = .plain, limits: UnpackLimits = UnpackLimits(),
    in directory: TemporaryDirectory
) async throws -> String {
    let fixture = try ImageFixture(tars: [bytes], compression: compression, in: directory)
    let layout = "\(directory.path)/layout-\(UInt32.random(in: 0 ... .max))"
    try fixture.writeLayout(layout)
    let images = try await directory.store().importImages(
        from: layout, name: try ImageReference("test"), limits: limits)
    return try #require(images.first?.layers.first)
}

@Suite struct UnpackTests {
    @Test("every kind of entry arrives as it was packed", arguments: Compression.allCases)
    func fidelity(compression: Compression) async throws {
        let directory = try TemporaryDirectory()
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let layer = try await unpacked(
            [
                .directory("./", mode: 0o711), .directory("d/", mode: 0o1770), .file("d/f", "hello", mode: 0o4751),
                .symlink("d/l", to: "/etc/passwd"), .hardlink("d/h", to: "./d/f"),
                TarEntry(name: "null", type: "3", mode: 0o666, device: (1, 3)),
                TarEntry(name: "disk", type: "4", mode: 0o660, gid: 6, device: (8, 1)),
                TarEntry(name: "fifo", type: "6", mode: 0o600),
                TarEntry(name: "owned", content: [1, 2], uid: 1234, gid: 100_000),
                TarEntry(
                    name: "x", content: Array("y".utf8),
                    pax: [
                        ("mtime", Array("1700000001.123456789".utf8)), ("SCHILY.xattr.user.a", Array("b".utf8)),
                        ("SCHILY.xattr.security.capability", capability), ("path", Array("grüße/名前".utf8)),
                    ]),
                .file("implicit/parent/f", ""),
            ], compression: compression, in: directory)
        #expect(try readText("\(layer)/d/f") == "hello")
        #expect(status("\(layer)/d/f").map { $0.st_mode & 0o7777 } == 0o4751)
        #expect(status("\(layer)/d/f")?.st_nlink == 2)
        #expect(status("\(layer)/d/f")?.st_ino == status("\(layer)/d/h")?.st_ino)
        #expect(status("\(layer)/d").map { $0.st_mode & 0o7777 } == 0o1770)
        #expect(status("\(layer)/d")?.st_mtim.tv_sec == 1_700_000_000)
        #expect(status(layer).map { $0.st_mode & 0o7777 } == 0o711)
        #expect(status("\(layer)/d/l").map { $0.st_mode & S_IFMT } == S_IFLNK)
        #expect(status("\(layer)/null").map { cl_major(UInt64($0.st_rdev)) } == 1)
        #expect(status("\(layer)/null").map { $0.st_mode } == S_IFCHR | 0o666)
        #expect(status("\(layer)/disk").map { $0.st_mode & S_IFMT } == S_IFBLK)
        #expect(status("\(layer)/fifo").map { $0.st_mode & S_IFMT } == S_IFIFO)
        #expect(status("\(layer)/owned")?.st_uid == 1234)
        #expect(status("\(layer)/owned")?.st_gid == 100_000)
        let named = "\(layer)/grüße/名前"
        #expect(status(named)?.st_mtim.tv_nsec == 123_456_789)
        #expect(xattr(named, "user.a") == Array("b".utf8))
        #expect(xattr(named, "security.capability") == capability)
        #expect(status("\(layer)/implicit").map { $0.st_mode & 0o7777 } == 0o755)
    }

    @Test("names that are no text keep their bytes, and such trees can be removed")
    func strangeNames() async throws {
        let directory = try TemporaryDirectory()
        var archive = tar([.directory("dXX"), .file("dXX/fXX", "1")])
        // XX becomes FF FE, in both headers, and the checksums follow.
        for start in [0, 512] {
            for index in start..<(start + 100) where archive[index] == 0x58 { archive[index] = 0xff }
            for index in (start + 148)..<(start + 156) { archive[index] = 32 }
            let sum = archive[start..<(start + 512)].reduce(0) { $0 + Int($1) }
            let digits = Array(String(sum, radix: 8).utf8)
            for (offset, digit) in ([UInt8](repeating: 48, count: 6 - digits.count) + digits).enumerated() {
                archive[start + 148 + offset] = digit
            }
            archive[start + 154] = 0
        }
        let layer = try await unpacked(tar: archive, in: directory)
        let name = Array(layer.utf8CString.dropLast()) + [47, 100, -1, -1, 47, 102, -1, -1, 0]
        #expect(access(name, F_OK) == 0)
        let store = try directory.store()
        #expect(try store.remove(ImageReference("test")).layers == 1)
        #expect(!fileExists(layer))
        #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
    }

    @Test("a whiteout becomes overlayfs' device, an opaque directory its attribute")
    func whiteouts() async throws {
        let directory = try TemporaryDirectory()
        let layer = try await unpacked(
            [
                .directory("d"), .file("d/.wh.gone", ""), .file(".wh.top", ""), .directory("o"),
                .file("o/.wh..wh..opq", ""), .file("o/kept", "k"), .file(".wh..wh.plnk", ""),
                // The layer's own entries stay, in whichever order.
                .file("both", "b"), .file(".wh.both", ""), .file(".wh.later", ""), .file("later", "l"),
                .file(".wh.dir", ""), .directory("dir"), .directory("dir2"), .file(".wh.dir2", ""),
            ], in: directory)
        for path in ["d/gone", "top"] {
            #expect(status("\(layer)/\(path)").map { $0.st_mode & S_IFMT } == S_IFCHR)
            #expect(status("\(layer)/\(path)")?.st_rdev == 0)
        }
        for path in ["o", "dir", "dir2"] { #expect(xattr("\(layer)/\(path)", "trusted.overlay.opaque") == [121]) }
        #expect(xattr("\(layer)/d", "trusted.overlay.opaque") == nil)
        #expect(try readText("\(layer)/o/kept") == "k")
        #expect(try readText("\(layer)/both") == "b")
        #expect(try readText("\(layer)/later") == "l")
        #expect(try listDirectory(layer) == ["both", "d", "dir", "dir2", "later", "o", "top"])
        #expect(try listDirectory("\(layer)/o") == ["kept"])
    }

    @Test("stacked by overlayfs, the layers show what docker would")
    func stacking() async throws {
        let directory = try TemporaryDirectory()
        let fixture = try ImageFixture(
            layers: [
                [.directory("a"), .file("a/x", "1"), .file("a/y", "1"), .directory("b"), .file("b/z", "1")],
                [
                    .directory("a"), .file("a/.wh.x", ""), .directory("b"), .file("b/.wh..wh..opq", ""),
                    .file("b/n", "2"),
                ],
            ], in: directory)
        try fixture.writeLayout("\(directory.path)/l")
        let images = try await directory.store().importImages(
            from: "\(directory.path)/l", name: try ImageReference("test"))
        let layers = try #require(images.first).layers
        let mount = try DetachedMount(
            type: "overlay", options: [("lowerdir", layers.reversed().joined(separator: ":"))])
        let root = "/proc/self/fd/\(mount.descriptor.number)"
        #expect(try listDirectory("\(root)/a") == ["y"])
        #expect(try listDirectory("\(root)/b") == ["n"])
    }

    @Test(
        "no path leaves the layer",
        arguments: [
            [.file("../escaped", "x")], [.file("a/../../escaped", "x")], [.directory("..")],
            [.symlink("l", to: ".."), .hardlink("l/../h", to: "x")], [.hardlink("h", to: "/etc/passwd")],
            [.hardlink("h", to: "../../../../../../etc/passwd")],
            [.symlink("l", to: "/etc"), .hardlink("h", to: "l/passwd")],
            [.file("f", ""), .file("f/x", "")], [.symlink("l", to: "l"), .file("l/x", "")],
            [.symlink("dangling", to: "/nowhere"), .file("dangling/x", "")], [.hardlink("h", to: "/")],
            [.directory("d"), .hardlink("h", to: "d")], [.file("d/.wh.", "")], [.file("d/.wh..", "")],
            [.file("d/.wh...", "")],
            [TarEntry(name: "q", type: "7", pax: [("path", Array("../q".utf8))])],
            [TarEntry(name: "x", pax: [("SCHILY.xattr.trusted.overlay.redirect", Array("/etc".utf8))])],
            [TarEntry(name: "x", pax: [("uid", Array("4294967295".utf8))])],
            [TarEntry(name: "x", pax: [("uid", Array("-1".utf8))])],
        ] as [[TarEntry]])
    func hostile(entries: [TarEntry]) async throws {
        let directory = try TemporaryDirectory()
        let error = await imageError { _ = try await unpacked(entries, in: directory) }
        guard case .hostileLayer? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.contains("\n") == false)
        #expect(try directory.store().list().isEmpty)
        for place in ["layers", "tmp", "refs"] {
            #expect(try listDirectory("\(directory.path)/images/\(place)").isEmpty, "\(place)")
        }
        #expect(!fileExists("\(directory.path)/escaped"))
        #expect(try listDirectory(directory.path).allSatisfy { $0 == "images" || $0.hasPrefix("layout-") })
    }

    @Test("a symbolic link leads writers to where it leads in the container, not on the host")
    func confined() async throws {
        let directory = try TemporaryDirectory()
        let victim = try directory.file("victim", Array("safe".utf8))
        let layer = try await unpacked(
            [
                .directory("etc"), .symlink("evil", to: "/etc"), .file("evil/made", "in the layer"),
                .symlink("up", to: "../../../../../.."), .file("up/top", "in the root"),
                // The last part is replaced, never followed.
                .symlink("file", to: victim), .file("file", "plain"), .file("/absolute", "a"),
            ], in: directory)
        #expect(try readText("\(layer)/etc/made") == "in the layer")
        #expect(try readText("\(layer)/top") == "in the root")
        #expect(try readText("\(layer)/absolute") == "a")
        #expect(status("\(layer)/file").map { $0.st_mode & S_IFMT } == S_IFREG)
        #expect(try readText(victim) == "safe")
    }

    @Test("a later entry replaces an earlier one, also a directory full of things")
    func replacement() async throws {
        let directory = try TemporaryDirectory()
        let deep = (1...60).map { String(repeating: "x/", count: $0) }.map { TarEntry.directory("tree/\($0)") }
        let layer = try await unpacked(
            [.directory("tree")] + deep + [
                .file("tree/x/f", ""), .file("tree", "now a file"), .file("f", "1"), .file("f", "2"),
                .directory("keep"),
                .file("keep/x", "k"), .directory("keep", mode: 0o700),
            ], in: directory)
        #expect(try readText("\(layer)/tree") == "now a file")
        #expect(try readText("\(layer)/f") == "2")
        #expect(try readText("\(layer)/keep/x") == "k")
        #expect(status("\(layer)/keep").map { $0.st_mode & 0o777 } == 0o700)
        #expect(try listDirectory(layer) == ["f", "keep", "tree"])
    }

    @Test("a bomb is stopped: too many entries, too many bytes, too high a ratio")
    func bombs() async throws {
        let zeros = [UInt8](repeating: 0, count: 80 << 20)
        let cases: [([TarEntry], Compression, UnpackLimits, String)] = [
            ((0..<50).map { .file("f\($0)", "") }, .plain, UnpackLimits(entries: 49), "entries"),
            (
                [TarEntry(name: "f", content: [UInt8](repeating: 1, count: 70_000))], .plain,
                UnpackLimits(bytes: 65_536), "65536"
            ),
            ([TarEntry(name: "f", content: zeros)], .zstd, UnpackLimits(), "times"),
        ]
        for (entries, compression, limits, says) in cases {
            let directory = try TemporaryDirectory()
            let error = await imageError {
                _ = try await unpacked(entries, compression: compression, limits: limits, in: directory)
            }
            guard case .layerTooLarge? = error else {
                Issue.record("\(says): \(String(describing: error))")
                continue
            }
            #expect(error?.description.contains(says) == true)
            #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
        }
    }

    @Test("what is no archive, or only the beginning of one, is damaged", arguments: Compression.allCases)
    func damaged(compression: Compression) async throws {
        let directory = try TemporaryDirectory()
        let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        let whole = tar([TarEntry(name: "f", content: content)])
        for bytes in [Array(whole.prefix(100_000)), Array("no archive at all, but longer than a header".utf8)] {
            let error = await imageError {
                _ = try await unpacked(tar: bytes, compression: compression, in: directory)
            }
            guard case .damagedLayer? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }

    @Test("a cut gzip or zstd stream is damaged although its digest is right", arguments: [Compression.gzip, .zstd])
    func cutStream(compression: Compression) async throws {
        let directory = try TemporaryDirectory()
        var fixture = try ImageFixture(layers: [[.file("f", String(repeating: "abc", count: 9999))]], in: directory)
        let whole = try #require(fixture.blobs[fixture.layers[0].digest])
        let cut = Array(whole.dropLast(20))
        fixture.layers[0] = Descriptor(mediaType: compression.mediaType, digest: digest(cut), size: Int64(cut.count))
        fixture.blobs[digest(cut)] = cut
        fixture.seal()
        try fixture.writeLayout("\(directory.path)/l")
        let error = await imageError {
            _ = try await directory.store().importImages(from: "\(directory.path)/l", name: try ImageReference("x"))
        }
        guard case .damagedLayer? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("a layer whose content is not what the configuration says is refused")
    func wrongDiffID() async throws {
        let directory = try TemporaryDirectory()
        var fixture = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        fixture.diffIDs = [digest([1, 2, 3])]
        fixture.seal()
        try fixture.writeLayout("\(directory.path)/l")
        let error = await imageError {
            _ = try await directory.store().importImages(from: "\(directory.path)/l", name: try ImageReference("x"))
        }
        guard case .wrongDigest(_, let expected, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(expected == digest([1, 2, 3]))
        #expect(try directory.store().list().isEmpty)
    }

    @Test("a full disk is an error that names the path, and leaves nothing")
    func diskFull() async throws {
        let directory = try TemporaryDirectory()
        let content = [UInt8](repeating: 7, count: 4 << 20)
        let fixture = try ImageFixture(
            layers: [[TarEntry(name: "big", content: content)]], compression: .zstd, in: directory)
        try fixture.writeLayout("\(directory.path)/l")
        let mount = try DetachedMount(type: "tmpfs", options: [("size", "2m")])
        let small = "/proc/self/fd/\(mount.descriptor.number)"
        let error = await imageError {
            let store = try ImageStore(directory: "\(small)/images")
            _ = try await store.importImages(from: "\(directory.path)/l", name: try ImageReference("x"))
        }
        guard case .diskFull(let path)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(path.hasSuffix("/big"))
        #expect(try listDirectory("\(small)/images/tmp").isEmpty)
        #expect(try listDirectory("\(small)/images/layers").isEmpty)
    }
}
