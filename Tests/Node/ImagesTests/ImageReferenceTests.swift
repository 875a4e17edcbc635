import OCI
import Testing

@testable import Images

@Suite struct ImageReferenceTests {
    static let hex = String(repeating: "a1", count: 32)

    @Test(
        "a name means what it means to docker",
        arguments: [
            ("nginx", "docker.io", "library/nginx", "latest", false),
            ("nginx:1.27", "docker.io", "library/nginx", "1.27", false),
            ("org/app", "docker.io", "org/app", "latest", false),
            ("docker.io/nginx", "docker.io", "library/nginx", "latest", false),
            ("index.docker.io/org/app:x", "docker.io", "org/app", "x", false),
            ("quay.io/a/b/c:v1", "quay.io", "a/b/c", "v1", false),
            ("localhost/app", "localhost", "app", "latest", false),
            ("localhost:5000/app", "localhost:5000", "app", "latest", false),
            ("reg:5000/app:1", "reg:5000", "app", "1", false),
            ("[::1]:5000/app", "[::1]:5000", "app", "latest", false),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000", "a/b", "latest", false),
            ("app:5000", "docker.io", "library/app", "5000", false),
            ("Reg/app", "Reg", "app", "latest", false),
            ("a__b/c-d.e_f--g", "docker.io", "a__b/c-d.e_f--g", "latest", false),
            ("nginx@sha256:\(hex)", "docker.io", "library/nginx", nil, true),
            ("quay.io/a/b:t@sha256:\(hex)", "quay.io", "a/b", "t", true),
        ] as [(String, String, String, String?, Bool)])
    func meaning(text: String, registry: String, repository: String, tag: String?, hasDigest: Bool) throws {
        let reference = try ImageReference(text)
        #expect(reference.registry == registry)
        #expect(reference.repository == repository)
        #expect(reference.tag == tag)
        #expect((reference.digest != nil) == hasDigest)
        #expect(try ImageReference(reference.description) == reference)
    }

    @Test(
        "what no registry could know is refused",
        arguments: [
            "", " ", "nginx latest", "Nginx", "org/App", "a//b", "/a", "a/", "a:", "a:b:c", "a@", "a@sha256:12", "-a",
            "a-", "a..b", "a___b", "a._b", "re g/app", "reg:0/app", "reg:99999/app", "reg:x/app", "[::1/app", "[x]/app",
            "-reg.io/app", "a:" + String(repeating: "x", count: 129), "a:.b", "nginx\u{0}", "ünicode",
            "a@md5:d41d8cd98f00b204e9800998ecf8427e", "a@sha256:" + String(repeating: "A1", count: 32), hex,
            "../../etc/passwd", String(repeating: "a/", count: 130) + "a", "docker.io/", "a?b", "http://x/y",
        ])
    func refusal(text: String) {
        #expect(throws: ImageError.self) { try ImageReference(text) }
    }

    @Test("a refusal quotes the name and says why")
    func message() {
        #expect(throws: ImageError.invalidReference("Nginx", "repository names are lower-case")) {
            try ImageReference("Nginx")
        }
    }
}
