import Glibc
import JSONTree
import Linux
import OCI
import Testing

@testable import Images

@Suite struct StoreTests {
    /// Imports an image with one file of its own and one layer that all share.
    private func imported(_ name: String, in directory: TemporaryDirectory) async throws -> Image {
        let image = try ImageFixture(
            layers: [[.file("shared", "base")], [.file(name, name)]], environment: ["NAME=\(name)"], in: directory)
        let layout = "\(directory.path)/layout-\(name)"
        try image.writeLayout(layout)
        let images = try await directory.store().importImages(from: layout, name: try ImageReference(name))
        return try #require(images.first)
    }

    @Test("images share layers, and one that goes leaves the other's alone")
    func sharing() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let one = try await imported("one", in: directory)
        let two = try await imported("two", in: directory)
        #expect(one.layers[0] == two.layers[0])
        #expect(try listDirectory("\(directory.path)/images/layers").filter { !$0.hasSuffix(".json") }.count == 3)
        let removal = try store.remove(ImageReference("one"))
        #expect(removal.layers == 1)
        #expect(removal.images == [one.manifestDigest])
        #expect(try store.resolve(ImageReference("one")) == nil)
        #expect(try store.resolve(ImageReference("two")) == two)
        #expect(try readText("\(two.layers[0])/shared") == "base")
        #expect(!fileExists(one.layers[1]))
    }

    @Test("what is pinned stays until the pin goes, also without a name and after a prune")
    func pins() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        try store.pin(image, owner: "pod-1")
        try store.pin(image, owner: "pod-1")
        try store.pin(image, owner: "pod-2")
        let removal = try store.remove(image)
        #expect(removal.references == ["docker.io/library/web:latest"])
        #expect(removal.keptBy == ["pod-1", "pod-2"])
        #expect(removal.layers == 0)
        #expect(try store.prune().layers == 0)
        #expect(image.layers.allSatisfy { fileExists($0) })
        #expect(try store.list().map(\.id) == [image.id])
        try store.unpin(owner: "pod-1")
        #expect(try store.prune().layers == 0)
        try store.unpin(owner: "pod-2")
        try store.unpin(owner: "pod-3")
        #expect(try store.prune().layers == 2)
        #expect(try store.list().isEmpty)
        #expect(try store.owners().isEmpty)
    }

    @Test("several who clear up after one dead pull at once do not get in each other's way")
    func sweepingTogether() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let transactions = "\(directory.path)/images/tmp"
        for round in 0..<10 {
            let dead = "\(transactions)/1-\(round)"
            for layer in 0..<40 { try makeDirectories("\(dead)/layer/usr/\(layer)/share/doc") }
            try writeFileAtomically("\(dead)/lock", [])
            try writeFileAtomically("\(dead)/claims.json", Array("[]".utf8))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 { group.addTask { try await onOwnThread { try store.sweep() } } }
                try await group.waitForAll()
            }
            // Whoever found it locked has left it to the one who clears up, and that one is done.
            #expect(try listDirectory(transactions).isEmpty)
        }
    }

    @Test("an image that went between resolve and pin cannot be pinned")
    func pinTooLate() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        _ = try store.remove(image)
        let error = #expect(throws: ImageError.self) { try store.pin(image, owner: "pod") }
        guard case .notFound? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try store.owners().isEmpty)
    }

    @Test("an owner cannot be a path", arguments: ["", "../x", "a/b", ".hidden", String(repeating: "a", count: 129)])
    func owners(name: String) async throws {
        let directory = try TemporaryDirectory()
        #expect(throws: ImageError.self) { try directory.store().unpin(owner: name) }
    }

    @Test("what a living pull claims is not collected, what a dead one left is")
    func claims() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        let stored = StoredImage(manifest: image.manifestDigest, config: image.id, layers: image.config.diffIDs)
        let transaction = try Transaction(store)
        try transaction.claim(stored)
        _ = try store.remove(image)
        #expect(image.layers.allSatisfy { fileExists($0) })
        _ = try directory.file("images/tmp/1-2/half/file", [1])
        #expect(try store.prune().layers == 0)
        #expect(!fileExists("\(directory.path)/images/tmp/1-2"))
        #expect(fileExists(transaction.directory))
        try transaction.end()
        #expect(try store.prune().layers == 2)
    }

    @Test("a prune takes downloads that nobody goes on with, and all locks; a second one finds nothing")
    func prune() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        _ = try await imported("web", in: directory)
        _ = try directory.file("images/partial/sha256-\(String(repeating: "a", count: 64))", [1, 2, 3])
        _ = try directory.file("images/layers/0123456789abcdef/half", [1])
        #expect(try store.usage().partialBytes == 3)
        _ = try store.prune()
        #expect(try store.usage().partialBytes == 0)
        #expect(!fileExists("\(directory.path)/images/layers/0123456789abcdef"))
        #expect(try listDirectory("\(directory.path)/images/locks").isEmpty)
        #expect(try store.prune() == Removal())
        #expect(try store.list().count == 1)
        #expect(try store.usage().layers == 2)
    }

    @Test("a store of a newer version is left alone")
    func newerFormat() async throws {
        let directory = try TemporaryDirectory()
        _ = try directory.file("images/format.json", Array(#"{"format": 2}"#.utf8))
        let path = "\(directory.path)/images"
        #expect(throws: ImageError.newerFormat(path, found: 2, supported: 1)) { try directory.store() }
    }

    @Test("a record that cannot be read stops a collection, which would otherwise remove what it keeps")
    func damagedPin() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        _ = try directory.file("images/pins/pod.json", Array("{".utf8))
        let error = #expect(throws: ImageError.self) { try store.remove(image) }
        guard case .damagedStore? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(image.layers.allSatisfy { fileExists($0) })
    }

    @Test("an image of which something is missing is not there, and the next import heals it")
    func healing() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        try removeTree(image.layers[1])
        #expect(try store.resolve(ImageReference("web")) == nil)
        #expect(try await imported("web", in: directory).layers == image.layers)
        #expect(fileExists(image.layers[1]))
    }

    @Test("an id's beginning finds an image, an ambiguous one is an error")
    func find() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        #expect(try store.find(image.id.short)?.id == image.id)
        #expect(try store.find(image.id.description)?.id == image.id)
        #expect(try store.find("web")?.id == image.id)
        #expect(try store.find("other") == nil)
    }

    @Test("a layer whose short name is taken by another is refused, not mixed up")
    func collision() async throws {
        let directory = try TemporaryDirectory()
        let store = try directory.store()
        let image = try await imported("web", in: directory)
        let record = "\(image.layers[1]).json"
        let tree: JSONValue = [
            "diffID": .string("sha256:" + String(repeating: "0", count: 64)), "size": 1, "entries": 1,
        ]
        try writeFileAtomically(record, tree.encoded())
        #expect(throws: ImageError.self) { try store.resolve(ImageReference("web")) }
    }
}
