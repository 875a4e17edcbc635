import Glibc
import JSONTree
import Linux
import OCI
import Testing

@testable import Images

@Suite struct ImportTests {
    @Test("an OCI archive is imported, compressed or not", arguments: Compression.allCases)
    func archive(compression: Compression) async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        try image.writeLayout("\(directory.path)/l", referenceName: "reg.example.com/team/app:7")
        try run("tar", ["-C", "\(directory.path)/l", "-cf", "\(directory.path)/l.tar", "."])
        let path = try directory.file(
            "archive", compression.compress(readFile("\(directory.path)/l.tar"), in: directory))
        let images = try await directory.store().importImages(from: path)
        #expect(images.map { $0.references.map(\.description) } == [["reg.example.com/team/app:7"]])
        #expect(images.first?.config.user == "1000:1000")
        #expect(images.first?.manifestDigest == image.manifestDigest)
        #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
    }

    @Test("what docker save writes is imported under its names, or the one that is given")
    func dockerArchive() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(
            layers: [[.file("f", "1")], [.file("g", "2")]], compression: .plain, in: directory)
        let config = try Manifest(image.manifest).config.digest
        var entries = [
            TarEntry(name: "\(config.hex).json", content: image.blobs[config] ?? []), .directory("a"),
            TarEntry(name: "a/layer.tar", content: image.blobs[image.layers[0].digest] ?? []), .directory("b"),
            // Old versions of docker write a repeated layer as a link.
            TarEntry(name: "real.tar", content: image.blobs[image.layers[1].digest] ?? []),
            .symlink("b/layer.tar", to: "../real.tar"),
        ]
        entries.append(
            .file(
                "manifest.json",
                #"[{"Config":"\#(config.hex).json","RepoTags":["app:1","quay.io/x/app:2"],"Layers":["a/layer.tar","b/layer.tar"]}]"#
            ))
        let path = try directory.file("save.tar", tar(entries))
        let store = try directory.store()
        let images = try await store.importImages(from: path)
        #expect(images.first?.references.map(\.description) == ["docker.io/library/app:1", "quay.io/x/app:2"])
        #expect(images.first?.id == config)
        let again = try await store.importImages(from: path, name: ImageReference("other"))
        #expect(again.first?.id == config)
        #expect(try store.resolve(ImageReference("other"))?.layers.count == 2)
    }

    @Test("skopeo's archives of both kinds are imported", arguments: ["docker-archive", "oci-archive"])
    func skopeo(kind: String) async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        try image.writeLayout("\(directory.path)/l", referenceName: "t")
        try run(
            "skopeo",
            ["copy", "-q", "oci:\(directory.path)/l:t", "\(kind):\(directory.path)/a.tar:example.com/app:1"])
        let images = try await directory.store().importImages(from: "\(directory.path)/a.tar")
        #expect(images.first?.references.map(\.description) == ["example.com/app:1"])
        #expect(images.first?.config.diffIDs == image.diffIDs)
    }

    @Test("an image without a name wants one; several cannot all have the same")
    func names() async throws {
        let directory = try TemporaryDirectory()
        let image = try ImageFixture(layers: [[.file("f", "1")]], in: directory)
        try image.writeLayout("\(directory.path)/l", referenceName: "latest")
        let store = try directory.store()
        let error = await imageError { _ = try await store.importImages(from: "\(directory.path)/l") }
        #expect(error?.description.contains("--name") == true)
        let other = try ImageFixture(layers: [[.file("g", "1")]], in: directory)
        try other.writeLayout("\(directory.path)/l")
        let entries = [image, other].map { image -> JSONValue in
            [
                "mediaType": .string(MediaType.manifest), "digest": .string(image.manifestDigest.description),
                "size": JSONValue(image.manifest.count),
            ]
        }
        let index: JSONValue = ["schemaVersion": 2, "manifests": .array(entries)]
        try writeFileAtomically("\(directory.path)/l/index.json", index.encoded())
        let several = await imageError {
            _ = try await store.importImages(from: "\(directory.path)/l", name: ImageReference("x"))
        }
        #expect(several?.description.contains("several images") == true)
        #expect(try store.list().isEmpty)
    }

    @Test(
        "what is no image is refused with its path",
        arguments: [
            "absent", "empty", "text", "directory", "hostile", "fifo", "layer fifo", "device", "truncated", "wrong",
        ])
    func refused(what: String) async throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/it"
        let image = try ImageFixture(
            layers: [[.file("f", String(repeating: "x", count: 5000))]], compression: .plain, in: directory)
        switch what {
        case "empty": _ = try directory.file("it", [])
        case "text": _ = try directory.file("it", Array("hello".utf8))
        case "directory": try makeDirectories(path)
        case "hostile":
            _ = try directory.file("it", tar([.file("../index.json", "x")]))
        case "fifo":
            // A FIFO in place of a file must not hold anybody up.
            try image.writeLayout(path)
            try check(unlink("\(path)/index.json"), "unlink")
            try check(mkfifo("\(path)/index.json", 0o600), "mkfifo")
        case "layer fifo":
            try image.writeLayout(path)
            let blob = "\(path)/blobs/sha256/\(image.layers[0].digest.hex)"
            try check(unlink(blob), "unlink")
            try check(mkfifo(blob, 0o600), "mkfifo")
        case "device":
            // Opening some devices does things (a watchdog, a tape): none is made, so none is opened.
            _ = try directory.file("it", tar([TarEntry(name: "index.json", type: "3", device: (1, 5))]))
        case "truncated", "wrong":
            try image.writeLayout(path)
            let blob = "\(path)/blobs/sha256/\(image.layers[0].digest.hex)"
            var bytes = try readFile(blob)
            if what == "wrong" { bytes[600] ^= 1 } else { bytes.removeLast(1000) }
            try writeFileAtomically(blob, bytes)
        default: break
        }
        let error = await imageError {
            _ = try await directory.store().importImages(from: path, name: ImageReference("x"))
        }
        let description = try #require(error?.description)
        let namesLayer = ["truncated", "wrong", "layer fifo"].contains(what)
        #expect(description.contains(path) || namesLayer, "\(description)")
        #expect(!description.contains("\n"))
        #expect(try directory.store().list().isEmpty)
        #expect(try listDirectory("\(directory.path)/images/tmp").isEmpty)
        #expect(try listDirectory("\(directory.path)/images/layers").isEmpty)
    }
}
