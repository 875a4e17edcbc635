import JSONTree
import OCI
import Testing

@testable import Images

@Suite struct DocumentTests {
    static let hex = String(repeating: "0", count: 64)

    @Test(
        "only well-formed digests are digests",
        arguments: [
            "", "sha256:", "sha256:abc", "sha256:" + String(repeating: "g", count: 64),
            "sha256:" + String(repeating: "A", count: 64), "sha256:../" + String(repeating: "a", count: 61),
            "sha512:" + String(repeating: "a", count: 64), "md5:" + String(repeating: "a", count: 32),
            String(repeating: "a", count: 64), "sha256:" + String(repeating: "a", count: 65),
        ])
    func digests(text: String) {
        #expect(Digest(validating: text) == nil)
    }

    @Test("the digest of bytes is the one that sha256sum prints")
    func hashing() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(Digest.of([])?.description == empty)
        let sha512 = Digest.of(Array("abc".utf8), .sha512)?.description ?? ""
        #expect(sha512.hasPrefix("sha512:ddaf35a193617abacc417349ae204131"))
    }

    @Test("a configuration gives what a container needs")
    func config() throws {
        let text = """
            {"architecture":"amd64","os":"linux","created":"2024-01-01T00:00:00Z","config":{"Env":["A=1","B="],
            "Entrypoint":["/e"],"Cmd":null,"WorkingDir":"/w","User":"www","StopSignal":"SIGQUIT","Volumes":{"/v":{}},
            "ExposedPorts":{"80/tcp":{},"53/udp":{},"8000-8001":{}},"Labels":{"a":"b"}},
            "rootfs":{"type":"layers","diff_ids":["sha256:\(Self.hex)"]},"history":[{"created_by":"x"}]}
            """
        let config = try ImageConfig(Array(text.utf8))
        #expect(config.environment == ["A=1", "B="])
        #expect(config.entrypoint == ["/e"])
        #expect(config.command.isEmpty)
        #expect(config.workingDirectory == "/w")
        #expect(config.user == "www")
        #expect(config.stopSignal == "SIGQUIT")
        #expect(config.volumes == ["/v"])
        #expect(config.exposedPorts.map(\.number) == [80, 53, 8000, 8001])
        #expect(config.labels == ["a": "b"])
        #expect(config.diffIDs.map(\.hex) == [Self.hex])
        #expect(config.platform.suitability(for: Platform(os: "linux", architecture: "amd64")) != nil)
    }

    @Test(
        "a configuration with a wrong type is an error that names the field",
        arguments: [
            (#"{"config":{"Env":"A=1"}}"#, "config.Env"), (#"{"config":{"Cmd":[1]}}"#, "config.Cmd[0]"),
            (#"{"config":{"User":1}}"#, "config.User"),
            (#"{"config":{"ExposedPorts":{"x":{}}}}"#, "config.ExposedPorts"),
            (#"{"config":{"Labels":{"a":1}}}"#, "config.Labels.a"),
            (#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#, "rootfs.diff_ids[0]"),
            (#"{"rootfs":{"type":"squashfs"}}"#, "rootfs.type"), (#"{"config":{"Cmd":["a\u0000b"]}}"#, "NUL"),
            ("[]", "image configuration"), ("{", "image configuration"),
        ])
    func wrongConfig(text: String, names: String) {
        let error = #expect(throws: FormatError.self) { try ImageConfig(Array(text.utf8)) }
        #expect(error?.message.contains(names) == true)
    }

    @Test("an index gives the manifest of the host's platform, never an attestation")
    func index() throws {
        func entry(_ fill: String, _ architecture: String, _ variant: String, _ extra: String = "") -> String {
            let digest = "sha256:" + String(repeating: fill, count: 64)
            return """
                {"mediaType":"\(MediaType.manifest)","digest":"\(digest)","size":1,"platform":
                {"os":"linux","architecture":"\(architecture)","variant":"\(variant)"}\(extra)}
                """
        }
        let note = #","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#
        let entries = [
            entry("0", "amd64", "", note), entry("1", "arm", "v7"), entry("2", "amd64", "v3"), entry("3", "amd64", ""),
            entry("4", "arm64", "v8"),
        ]
        let text = #"{"schemaVersion":2,"manifests":[\#(entries.joined(separator: ","))]}"#
        guard case .index(let index) = try ManifestDocument(Array(text.utf8)) else {
            Issue.record("no index")
            return
        }
        let amd64 = Platform(os: "linux", architecture: "amd64")
        #expect(index.manifest(for: amd64)?.digest.hex.first == "3")
        #expect(index.manifest(for: Platform(os: "linux", architecture: "arm64"))?.digest.hex.first == "4")
        #expect(index.manifest(for: Platform(os: "linux", architecture: "riscv64")) == nil)
    }

    @Test(
        "a manifest that is not one is refused",
        arguments: [
            #"{"schemaVersion":1,"name":"x"}"#, #"{"schemaVersion":2}"#, "{}", "[]", "", "null",
            #"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#,
            #"{"schemaVersion":2,"config":{"digest":"sha256:0","size":1},"layers":[]}"#,
            #"{"schemaVersion":2,"config":{"digest":"sha256:\#(hex)","size":-1},"layers":[]}"#,
            #"{"schemaVersion":2,"config":{"digest":"sha256:\#(hex)","size":1},"layers":[{"mediaType":"text/plain","digest":"sha256:\#(hex)","size":1}]}"#,
            #"{"schemaVersion":2,"config":{"digest":"sha256:\#(hex)","size":1},"layers":{}}"#,
        ])
    func wrongManifest(text: String) {
        #expect(throws: FormatError.self) { try ManifestDocument(Array(text.utf8), contentType: MediaType.manifest) }
    }

    @Test("a manifest with more layers than overlayfs could stack is refused")
    func tooManyLayers() {
        let layer = #"{"mediaType":"\#(MediaType.layer)","digest":"sha256:\#(Self.hex)","size":1}"#
        let layers = Array(repeating: layer, count: 501).joined(separator: ",")
        let text = #"{"schemaVersion":2,"config":{"digest":"sha256:\#(Self.hex)","size":1},"layers":[\#(layers)]}"#
        let error = #expect(throws: FormatError.self) { try Manifest(Array(text.utf8)) }
        #expect(error?.message == "layers: 501 elements, more than 500")
    }
}
