import Glibc
import JSONTree
import Linux
import OCI
import Testing

@testable import Images

/// Debian's docker-registry on a loopback port, with what skopeo pushed to it.
private final class RealRegistry: Sendable {
    let port: UInt16
    private let daemon: Daemon

    init(in directory: TemporaryDirectory, extra: String = "", http: String = "") throws {
        port = try freePort()
        let yaml = """
            version: 0.1
            log: {level: error}
            storage: {filesystem: {rootdirectory: \(directory.path)/registry}}
            http: {addr: '127.0.0.1:\(port)'\(http)}
            \(extra)
            """
        let file = try directory.file("registry.yml", Array(yaml.utf8))
        daemon = try Daemon("/usr/bin/docker-registry", ["serve", file], log: "\(directory.path)/registry.log")
        try waitForListener(port)
    }

    var host: String { "127.0.0.1:\(port)" }

    func push(_ image: ImageFixture, as name: String, in directory: TemporaryDirectory, _ options: [String] = []) throws
    {
        let layout = "\(directory.path)/push-\(UInt32.random(in: 0 ... .max))"
        try image.writeLayout(layout, referenceName: "t")
        try run(
            "skopeo",
            ["copy", "-q", "--dest-tls-verify=false", "--insecure-policy"] + options
                + ["oci:\(layout):t", "docker://\(host)/\(name)"])
    }
}

@Suite struct RealRegistryTests {
    private static let layers: [[TarEntry]] = [
        [.directory("bin"), .file("bin/sh", "#!", mode: 0o755)],
        [.file("etc/conf", "x = 1"), .symlink("l", to: "bin/sh")],
        [.file("bin/.wh.sh", "")],
    ]

    @Test("an image that skopeo pushed is pulled, layer by layer the same", arguments: Compression.allCases)
    func pull(compression: Compression) async throws {
        let directory = try TemporaryDirectory()
        let registry = try RealRegistry(in: directory)
        let image = try ImageFixture(layers: Self.layers, compression: compression, in: directory)
        try registry.push(image, as: "team/app:1", in: directory, ["--preserve-digests"])
        let store = try directory.store()
        let reference = try ImageReference("\(registry.host)/team/app:1")
        let pulled = try await store.pull(reference)
        #expect(pulled.manifestDigest == image.manifestDigest)
        #expect(pulled.config.diffIDs == image.diffIDs)
        #expect(try readText("\(pulled.layers[1])/etc/conf") == "x = 1")
        #expect(status("\(pulled.layers[2])/bin/sh")?.st_rdev == 0)
        #expect(try store.resolve(reference) == pulled)
        #expect(try store.documents(of: pulled).manifest == image.manifest)
        let error = await imageError { _ = try await store.pull(ImageReference("\(registry.host)/team/app:2")) }
        guard case .notFound? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("Docker's schema 2 manifests are understood")
    func schema2() async throws {
        let directory = try TemporaryDirectory()
        let registry = try RealRegistry(in: directory)
        let image = try ImageFixture(layers: Self.layers, in: directory)
        try registry.push(image, as: "app:1", in: directory, ["--format", "v2s2"])
        let pulled = try await directory.store().pull(ImageReference("\(registry.host)/app:1"))
        #expect(pulled.config.diffIDs == image.diffIDs)
        #expect(pulled.config.environment == ["PATH=/bin"])
    }

    @Test("a tag that moved is followed; the old image stays under its digest until it is collected")
    func movedTag() async throws {
        let directory = try TemporaryDirectory()
        let registry = try RealRegistry(in: directory)
        let store = try directory.store()
        let reference = try ImageReference("\(registry.host)/app:1")
        let old = try ImageFixture(layers: [[.file("f", "old")]], in: directory)
        try registry.push(old, as: "app:1", in: directory)
        let first = try await store.pull(reference)
        try store.pin(first, owner: "pod")
        let new = try ImageFixture(layers: [[.file("f", "new")]], in: directory)
        try registry.push(new, as: "app:1", in: directory)
        let second = try await store.pull(reference)
        #expect(try readText("\(second.layers[0])/f") == "new")
        #expect(try store.resolve(reference)?.id == second.id)
        #expect(try store.prune().layers == 0)
        #expect(try readText("\(first.layers[0])/f") == "old")
        try store.unpin(owner: "pod")
        #expect(try store.prune().layers == 1)
        #expect(!fileExists(first.layers[0]))
    }

    @Test("a password is asked for and given, from registries.yaml or config.json")
    func basic() async throws {
        let directory = try TemporaryDirectory()
        // htpasswd of user "me", password "secret" (bcrypt, cost 4).
        let users = try directory.file("users", Array("me:\(Self.bcrypt)\n".utf8))
        let registry = try RealRegistry(in: directory, extra: "auth: {htpasswd: {realm: r, path: \(users)}}")
        let image = try ImageFixture(layers: Self.layers, in: directory)
        try registry.push(image, as: "app:1", in: directory, ["--dest-creds", "me:secret"])
        let reference = try ImageReference("\(registry.host)/app:1")
        let error = await imageError { _ = try await directory.store().pull(reference, from: Registries()) }
        guard case .unauthorized? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let yaml = "configs: {'\(registry.host)': {auth: {username: me, password: secret}}}"
        let auth = #"{"auths": {"\#(registry.host)": {"auth": "\#(Base64.encoded(Array("me:secret".utf8)))"}}}"#
        for registries in [
            try Registries(yaml: yaml, file: "f"),
            Registries(dockerConfig: try DockerConfig(Array(auth.utf8), file: "f")),
        ] {
            let store = try ImageStore(directory: "\(directory.path)/s\(UInt32.random(in: 0 ... .max))")
            #expect(try await store.pull(reference, from: registries).layers.count == 3)
        }
    }

    /// crypt(3) of "secret".
    private static let bcrypt = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

    @Test("TLS with a CA of one's own is trusted when registries.yaml says so, and only then")
    func tls() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        try run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                "/CN=ca", "-keyout", "\(path)/ca.key", "-out", "\(path)/ca.pem",
            ])
        for name in ["server", "client"] {
            try run(
                "openssl",
                [
                    "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(name)",
                    "-keyout", "\(path)/\(name).key", "-out", "\(path)/\(name).csr",
                ])
            let extensions = try directory.file("\(name).ext", Array("subjectAltName=IP:127.0.0.1\n".utf8))
            try run(
                "openssl",
                [
                    "x509", "-req", "-days", "2", "-in", "\(path)/\(name).csr", "-CA", "\(path)/ca.pem", "-CAkey",
                    "\(path)/ca.key", "-CAcreateserial", "-extfile", extensions, "-out", "\(path)/\(name).pem",
                ])
        }
        let registry = try RealRegistry(
            in: directory,
            http: ", tls: {certificate: \(path)/server.pem, key: \(path)/server.key, clientcas: [\(path)/ca.pem]}")
        try makeDirectories("\(path)/certs")
        for (name, target) in [("client.pem", "c.cert"), ("client.key", "c.key"), ("ca.pem", "ca.crt")] {
            try writeFileAtomically("\(path)/certs/\(target)", readFile("\(path)/\(name)"))
        }
        let image = try ImageFixture(layers: Self.layers, in: directory)
        try registry.push(image, as: "app:1", in: directory, ["--dest-cert-dir", "\(path)/certs"])
        let reference = try ImageReference("\(registry.host)/app:1")
        let store = try directory.store()

        let untrusted = await imageError { _ = try await store.pull(reference, from: Registries()) }
        #expect(untrusted?.description.contains("certificate") == true, "\(String(describing: untrusted))")

        let client = "cert_file: \(path)/client.pem, key_file: \(path)/client.key"
        for tls in ["ca_file: \(path)/ca.pem, \(client)", "insecure_skip_verify: true, \(client)"] {
            let registries = try Registries(yaml: "configs: {'\(registry.host)': {tls: {\(tls)}}}", file: "f")
            #expect(try await store.pull(reference, from: registries).layers.count == 3)
        }
        let without = try Registries(yaml: "configs: {'\(registry.host)': {tls: {ca_file: \(path)/ca.pem}}}", file: "f")
        _ = await imageError { _ = try await store.pull(reference, from: without) }
        let absent = try Registries(
            yaml: "configs: {'\(registry.host)': {tls: {ca_file: \(path)/none.pem}}}", file: "f")
        let error = await imageError { _ = try await store.pull(reference, from: absent) }
        #expect(error?.description.contains("\(path)/none.pem") == true)
    }
}
