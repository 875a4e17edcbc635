import Glibc
import Linux
import OCI
import Testing

@testable import Images

@Suite struct RegistriesTests {
    static let example = """
        mirrors:
          docker.io:
            endpoint:
              - "https://mirror.example.com:5000"
              - "http://plain.example.com/cache/v2"
            rewrite:
              "^library/(.*)": "hub/$1"
          "registry.example.com":
            endpoint: ["http://10.0.0.1:5000"]
        configs:
          "mirror.example.com:5000":
            auth:
              username: me
              password: secret
            tls:
              ca_file: /etc/ca.pem
          "registry.example.com":
            auth: {auth: "dXNlcjpwYXNz"}
            tls: {cert_file: /c, key_file: /k, insecure_skip_verify: true}
        """

    @Test("k3s's file is understood")
    func understood() throws {
        let registries = try Registries(yaml: Self.example, file: "registries.yaml")
        #expect(registries.mirrors["docker.io"]?.endpoints.count == 2)
        #expect(registries.servers["mirror.example.com:5000"]?.credentials?.username == "me")
        #expect(registries.servers["mirror.example.com:5000"]?.caFile == "/etc/ca.pem")
        let server = try #require(registries.servers["registry.example.com"])
        #expect(server.credentials == RegistryCredentials(username: "user", password: "pass"))
        #expect(server.insecureSkipVerify)
    }

    @Test("mirrors come first, with rewritten names; the registry itself comes last")
    func endpoints() throws {
        let registries = try Registries(yaml: Self.example, file: "registries.yaml")
        let endpoints = try registries.endpoints(for: ImageReference("nginx"))
        #expect(
            endpoints.map { $0.address("manifests/latest").description } == [
                "https://mirror.example.com:5000/v2/hub/nginx/manifests/latest?ns=docker.io",
                "http://plain.example.com/cache/v2/hub/nginx/manifests/latest?ns=docker.io",
                "https://registry-1.docker.io/v2/library/nginx/manifests/latest",
            ])
    }

    @Test("only loopback registries are spoken to in plain HTTP unasked")
    func plain() throws {
        func schemes(_ text: String) throws -> [Bool] {
            try Registries().endpoints(for: ImageReference(text)).map(\.base.isSecure)
        }
        #expect(try schemes("localhost:5000/a") == [true, false])
        #expect(try schemes("127.3.2.1:5000/a") == [true, false])
        #expect(try schemes("[::1]:5000/a") == [true, false])
        #expect(try schemes("10.0.0.1:5000/a") == [true])
        #expect(try schemes("127.example.com/a") == [true])
        let registries = try Registries(yaml: "mirrors: {'*': {endpoint: ['http://10.1.1.1']}}", file: "f")
        #expect(try registries.endpoints(for: ImageReference("quay.io/a")).map(\.base.isSecure) == [false, true])
    }

    @Test(
        "a mistake in the file is an error with its line",
        arguments: [
            ("mirror: {}", "f:1"), ("mirrors:\n  a:\n    endpoints: []", "f:3"),
            ("mirrors:\n  a:\n    endpoint: http://x", "f:3"), ("mirrors:\n  a:\n    endpoint: [x]", "f:3"),
            ("configs:\n  a:\n    auth:\n      user: x", "f:4"), ("configs: []", "f:1"),
            ("configs:\n  a:\n    tls: {insecure_skip_verify: maybe}", "f:3"),
            ("configs:\n  a:\n    tls: {cert_file: /x}", "f:3"), ("mirrors:\n  a: {}\n  a: {}", "f"),
            ("mirrors:\n  a:\n    rewrite: {'(': x}", "f:3"), ("a: [", "f"),
            ("configs:\n  a:\n    auth: {auth: '%%'}", "f:3"),
        ])
    func mistakes(yaml: String, place: String) {
        let error = #expect(throws: ImageError.self) { try Registries(yaml: yaml, file: "f") }
        #expect(error?.description.hasPrefix("\(place):") == true, "\(String(describing: error))")
        #expect(error?.description.contains("\n") == false)
    }

    @Test("an empty file changes nothing; one that was named must be there")
    func absent() throws {
        #expect(try Registries(yaml: "# nothing\n", file: "f") == Registries())
        #expect(throws: ImageError.configuration("/nonexistent/r.yaml", reason: "no such file")) {
            try Registries.load(path: "/nonexistent/r.yaml")
        }
    }

    @Test("docker's config.json is understood, Docker Hub's key too")
    func dockerConfig() throws {
        let text = """
            {"auths": {"https://index.docker.io/v1/": {"auth": "aHViOnB3"}, "quay.io": {"username": "q", "password": "p"},
             "token.io": {"identitytoken": "t"}, "empty.io": {}}, "HttpHeaders": {"x": "y"}}
            """
        let config = try DockerConfig(Array(text.utf8), file: "config.json")
        let registries = Registries(dockerConfig: config)
        func username(_ host: String) throws -> String? {
            try registries.credentials(WebAddress(isSecure: true, host: host))?.username
        }
        #expect(try username("registry-1.docker.io") == "hub")
        #expect(try username("quay.io") == "q")
        #expect(try username("empty.io") == nil)
        #expect(try username("evil.io") == nil)
        #expect(try registries.credentials(WebAddress(isSecure: true, host: "token.io"))?.identityToken == "t")
    }

    @Test(
        "a broken config.json is an error that names the file and the place",
        arguments: [
            ("{", "line 1"), ("[]", "object"), (#"{"auths": []}"#, "auths"),
            (#"{"auths": {"a": {"auth": "!"}}}"#, #"auths["a"].auth"#), (#"{"credHelpers": {"a": 1}}"#, "credHelpers"),
        ])
    func brokenDockerConfig(text: String, names: String) {
        let error = #expect(throws: ImageError.self) { try DockerConfig(Array(text.utf8), file: "config.json") }
        #expect(error?.description.hasPrefix("config.json: ") == true)
        #expect(error?.description.contains(names) == true)
    }

    @Test("a credential helper that is not there, or whose name is a path, is a clear error")
    func helpers() throws {
        for (name, says) in [("no-such-helper-xyz", "is not in PATH"), ("../../bin/sh", "is no name")] {
            var config = DockerConfig()
            config.credentialHelpers = ["quay.io": name]
            let registries = Registries(dockerConfig: config)
            let error = #expect(throws: ImageError.self) {
                try registries.credentials(WebAddress(isSecure: true, host: "quay.io"))
            }
            #expect(error?.description.contains(says) == true)
        }
    }

    @Test("a credential helper is asked by its protocol; what it does not know is no error, what fails is")
    func helperProtocol() throws {
        let directory = try TemporaryDirectory()
        let script = """
            #!/bin/sh
            read server
            case "$1 $server" in
              "get quay.io") echo '{"ServerURL":"quay.io","Username":"u","Secret":"s"}';;
              "get token.io") echo '{"Username":"<token>","Secret":"t"}';;
              "get other.io") echo 'credentials not found in native keychain'; exit 1;;
              *) echo "locked"; exit 1;;
            esac
            """
        let program = try directory.file("docker-credential-test", Array(script.utf8))
        try check(chmod(program, 0o755), "chmod")
        func get(_ server: String) throws -> RegistryCredentials? {
            try CredentialHelper(name: "test", configuration: "f", directories: "relative:\(directory.path)").get(
                server)
        }
        #expect(try get("quay.io") == RegistryCredentials(username: "u", password: "s"))
        #expect(try get("token.io")?.identityToken == "t")
        #expect(try get("other.io") == nil)
        let error = #expect(throws: ImageError.self) { try get("broken.io") }
        #expect(error?.description.contains("locked") == true)
    }

    @Test("base64 goes both ways", arguments: ["", "a", "ab", "abc", "user:pässwörd", "\u{0}\u{1}"])
    func base64(text: String) {
        #expect(Base64.decoded(Base64.encoded(Array(text.utf8))) == Array(text.utf8))
        #expect(Base64.decoded("a") == nil)
        #expect(Base64.decoded("a=b") == nil)
        #expect(Base64.encoded(Array("user:pass".utf8)) == "dXNlcjpwYXNz")
    }

    @Test("challenges are read as RFC 7235 has them")
    func challenges() {
        let header = #"Bearer realm="https://a/t?x=1,2",service="s \"q\"",scope="repository:a:pull", Basic realm=b"#
        #expect(
            AuthChallenge.parse([header]) == [
                AuthChallenge(
                    scheme: "bearer",
                    parameters: ["realm": "https://a/t?x=1,2", "service": "s \"q\"", "scope": "repository:a:pull"]),
                AuthChallenge(scheme: "basic", parameters: ["realm": "b"]),
            ])
        #expect(AuthChallenge.parse(["Basic"]) == [AuthChallenge(scheme: "basic")])
        #expect(AuthChallenge.parse([]).isEmpty)
    }

    @Test("redirects lead where RFC 3986 says")
    func addresses() throws {
        let base = try #require(WebAddress("https://a.io/v2/x/blobs/d?ns=b"))
        #expect(base.following("/y?z=1")?.description == "https://a.io/y?z=1")
        #expect(base.following("http://b.io:80/q")?.description == "http://b.io/q")
        #expect(base.following("//c.io/q")?.description == "https://c.io/q")
        #expect(base.following("e")?.description == "https://a.io/v2/x/blobs/e")
        #expect(base.following("ftp://c.io/q") == nil)
        #expect(WebAddress("https://user:pw@a.io/") == nil)
        #expect(WebAddress("https://a.io/\r\nX: y") == nil)
        #expect(WebAddress("https://[::1]:5000/v2")?.authority == "[::1]:5000")
    }
}
