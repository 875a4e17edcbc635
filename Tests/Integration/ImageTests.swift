// Images as a person brings them: files of each kind, a registry, and what goes wrong with them.
import Glibc
import Linux
import TestSupport
import Testing

extension Node {
    /// Runs a registry on loopback inside the host, with the busybox image in it, and returns its port.
    fileprivate func startRegistry() async throws -> Int {
        let images = "\(TestImages.repository)/scripts/lib/images"
        _ = try host.start(
            [images, "registry", "\(host.directory)/registry", "5001"], log: "\(host.directory)/registry.log")
        try await eventually("the registry answers") {
            try await host.run(["curl", "-fs", "http://127.0.0.1:5001/v2/"]).succeeded
        }
        try await host.run([
            images, "push", TestImages.layout("busybox"), "busybox", "127.0.0.1:5001/library/busybox:1",
        ])
        .orFail()
        return 5001
    }

    fileprivate func sees(_ image: String) async throws -> Bool {
        try await swiftlet("image", "ls", "-o", "json").orFail().output.replacing("\\/", with: "/").contains(image)
    }
}

extension NodeTests {
    @Suite("Images") struct Images {
        @Test(arguments: ["oci-archive", "docker-archive", "oci"])
        func areImportedFromFilesOfEachKind(_ kind: String) async throws {
            try await Node.with(images: []) { node in
                let target = "\(node.host.directory)/image"
                let layout = try TestImages.layout("busybox")
                try await node.host.run([
                    "skopeo", "--insecure-policy", "copy", "-q", "oci:\(layout):busybox",
                    "\(kind):\(target):\(kind == "docker-archive" ? "busybox:1" : "one")",
                ]).orFail()
                try await node.swiftlet("image", "import", "--name", Node.busybox, target).orFail()
                #expect(try await node.sees("images.test/busybox"))
                try await ContainerCase("runs", "echo \(kind)", kind).check(on: node)
            }
        }

        @Test func arePulledByTagAndByDigest() async throws {
            try await Node.with(images: []) { node in
                let name = "127.0.0.1:\(try await node.startRegistry())/library/busybox"
                let pull = try await node.swiftlet("image", "pull", "\(name):1").orFail()
                #expect(!(pull.output + pull.errors).contains("\u{1b}"), "plain lines where there is no terminal")
                let digest = try await node.host.run([
                    "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://\(name):1",
                ]).orFail().trimmed
                try await node.swiftlet("image", "rm", "\(name):1").orFail()
                try await node.swiftlet("image", "pull", "\(name)@\(digest)").orFail()
                let manifest = Node.manifest("case", "echo pulled").replacing(Node.busybox, with: "\(name)@\(digest)")
                try await node.runPod(manifest).orFail()
                try await node.wait(for: "case", phase: "Succeeded")
                #expect(try await node.pod("case")?.container("main")?["imageID"]?.stringValue?.isEmpty == false)
            }
        }

        @Test func aTagOrADigestThatTheRegistryLacksIsNamed() async throws {
            try await Node.with(images: []) { node in
                let name = "127.0.0.1:\(try await node.startRegistry())/library/busybox"
                for missing in ["\(name):missing", "\(name)@sha256:\(String(repeating: "0", count: 64))", "\(name)x:1"]
                {
                    let pull = try await node.swiftlet("image", "pull", missing)
                    #expect(!pull.succeeded && pull.errors.contains(missing), "\(pull)")
                }
            }
        }

        @Test func aBlobThatIsNotWhatItsDigestSaysIsRefused() async throws {
            try await Node.with(images: []) { node in
                let name = "127.0.0.1:\(try await node.startRegistry())/library/busybox:1"
                // One byte of the largest blob, in the registry's own storage; the size stays.
                try await node.host.shell(
                    """
                    blob=$(find \(node.host.directory)/registry/storage -name data -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d' ' -f2)
                    printf X | dd of=$blob bs=1 seek=1000 conv=notrunc status=none
                    """
                ).orFail()
                let pull = try await node.swiftlet("image", "pull", name)
                #expect(!pull.succeeded && pull.errors.contains("sha256:"), "\(pull)")
                #expect(try await !node.sees("library/busybox"))
            }
        }

        /// However early or late the import is killed: either all of the image is there or nothing, and the next works.
        @Test func aKilledImportIsNeverTakenForAnImage() async throws {
            try await Node.with(images: []) { node in
                let layout = try TestImages.layout("busybox")
                for round in 0..<20 {
                    let name = "images.test/killed:\(round)"
                    let program = try node.host.start(
                        [Node.binary, "image", "import", "--name", name, layout] + node.directories,
                        log: "\(node.host.directory)/import.log")
                    try await Task.sleep(nanoseconds: UInt64(round) * 5_000_000)
                    _ = try await program.stop(SIGKILL)
                    if try await node.sees(name) {
                        try await node.swiftlet("image", "rm", name).orFail()
                    }
                }
                try await node.swiftlet("image", "import", "--name", Node.busybox, layout).orFail()
                let sum = try await node.host.shell("md5sum <$(command -v busybox)").orFail().trimmed
                try await ContainerCase("whole", "md5sum </bin/busybox", sum).check(on: node)
                try await node.swiftlet("pod", "rm", "-f", "case").orFail()
                try await node.swiftlet("image", "rm", Node.busybox).orFail()
                try await node.swiftlet("image", "prune").orFail()
                let rest = try await node.host.shell("find \(node.data)/images -type f -size +4k").orFail().output
                #expect(rest.isEmpty, "nothing of the killed imports may stay: \(rest)")
            }
        }

        /// Layers that try to write outside of their image.
        @Test(arguments: [
            "tar -cPf layer.tar --transform 's,.*,../../../../../../../../../../..DIR/escaped,' file",
            "tar -cPf layer.tar --transform 's,.*,DIR/escaped,' file",
            "ln -s DIR link; tar -cf layer.tar link; tar -rPf layer.tar --transform 's,.*,link/escaped,' file",
            "ln -s ../../../../../../../../../../..DIR link; tar -cf layer.tar link; tar -rPf layer.tar --transform 's,.*,link/escaped,' file",
        ])
        func aHostileLayerWritesNothingOutside(_ recipe: String) async throws {
            try await Node.with(images: []) { node in
                let directory = "\(node.host.directory)/victim"
                try await node.host.shell(
                    """
                    set -e; mkdir \(directory) \(node.host.directory)/evil; cd \(node.host.directory)/evil; echo bad >file
                    \(recipe.replacing("DIR", with: directory))
                    umoci init --layout layout; umoci new --image layout:evil; umoci raw add-layer --image layout:evil layer.tar
                    """
                ).orFail()
                let outcome = try await node.swiftlet(
                    "image", "import", "--name", "images.test/evil:1", "\(node.host.directory)/evil/layout")
                #expect(try listDirectory(directory) == [])
                let errors = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
                #expect(errors.count == (outcome.succeeded ? 0 : 1), "\(outcome)")
            }
        }

        @Test(arguments: ["head -c 100000 archive >cut && mv cut archive", "echo nonsense >archive", ": >archive"])
        func aBrokenArchiveIsNamed(_ harm: String) async throws {
            try await Node.with(images: []) { node in
                let archive = "\(node.host.directory)/archive"
                let layout = try TestImages.layout("busybox")
                try await node.host.run([
                    "skopeo", "--insecure-policy", "copy", "-q", "oci:\(layout):busybox", "oci-archive:\(archive):one",
                ]).orFail()
                try await node.host.shell("cd \(node.host.directory) && \(harm)").orFail()
                let outcome = try await node.swiftlet("image", "import", "--name", Node.busybox, archive)
                #expect(!outcome.succeeded && outcome.errors.contains(archive), "\(outcome)")
                #expect(try await !node.sees("images.test"))
            }
        }
    }
}
