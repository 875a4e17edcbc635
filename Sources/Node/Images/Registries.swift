import Linux
import Yams

/// Which servers are asked for a registry's images, and as whom: `registries.yaml` as k3s users know it
/// (https://docs.k3s.io/installation/private-registry), and Docker's `config.json`.
public struct Registries: Sendable, Hashable {
    /// Where `registries.yaml` is looked for when nobody says otherwise.
    public static let defaultPath = "/etc/swiftlet/registries.yaml"

    /// Other servers for a registry's images, tried in order before the registry itself.
    public struct Mirror: Sendable, Hashable {
        /// URLs; without a path, `/v2` is meant.
        public var endpoints: [String]
        /// Regular expressions on the repository and what replaces the match (`$1` …); the first that matches counts.
        public var rewrites: [Rewrite]

        public init(endpoints: [String], rewrites: [Rewrite] = []) {
            self.endpoints = endpoints
            self.rewrites = rewrites
        }
    }

    public struct Rewrite: Sendable, Hashable {
        public var pattern: String
        public var replacement: String

        public init(pattern: String, replacement: String) {
            self.pattern = pattern
            self.replacement = replacement
        }
    }

    /// How one server is spoken to.
    public struct Server: Sendable, Hashable {
        public var credentials: RegistryCredentials?
        /// A file of PEM certificates that vouch for the server, besides the system's.
        public var caFile: String?
        /// The client's own certificate and key, PEM.
        public var certFile: String?
        public var keyFile: String?
        public var insecureSkipVerify = false

        public init(credentials: RegistryCredentials? = nil) { self.credentials = credentials }
    }

    /// By registry; `*` is for all that have none of their own.
    public var mirrors: [String: Mirror]
    /// By server, `host` or `host:port`.
    public var servers: [String: Server]
    /// Credentials where ``servers`` has none.
    public var dockerConfig: DockerConfig

    public init(
        mirrors: [String: Mirror] = [:], servers: [String: Server] = [:], dockerConfig: DockerConfig = DockerConfig()
    ) {
        self.mirrors = mirrors
        self.servers = servers
        self.dockerConfig = dockerConfig
    }

    /// Reads both files. A file that was named must exist; the usual ones may be absent.
    ///
    /// - Parameters:
    ///   - path: `registries.yaml`; nil for ``defaultPath``.
    ///   - dockerConfig: `config.json`; nil for the one in `$DOCKER_CONFIG` or `$HOME/.docker`.
    public static func load(path: String? = nil, dockerConfig: String? = nil) throws(ImageError) -> Registries {
        var registries = Registries()
        if let bytes = try readIfPresent(path ?? defaultPath, limit: 4 << 20) {
            registries = try Registries(
                yaml: String(decoding: bytes, as: UTF8.self), file: path ?? defaultPath)
        } else if let path {
            throw .configuration(path, reason: "no such file")
        }
        registries.dockerConfig = try DockerConfig.load(path: dockerConfig)
        return registries
    }

    /// A server's settings, by its `host:port` or, on the scheme's own port, its `host`.
    func server(_ address: WebAddress) -> Server? {
        servers[address.authority] ?? servers[address.registry]
            ?? aliases(address).lazy.compactMap { servers[$0] }.first
    }

    /// The credentials for a server. May run a credential helper, which takes as long as it takes.
    func credentials(_ address: WebAddress) throws(ImageError) -> RegistryCredentials? {
        if let credentials = server(address)?.credentials { return credentials }
        return try dockerConfig.credentials(for: [address.registry, address.authority] + aliases(address))
    }

    /// Docker Hub's servers go by its name, too.
    private func aliases(_ address: WebAddress) -> [String] {
        address.host == Self.dockerHubServer ? ["docker.io", "index.docker.io"] : []
    }

    static let dockerHubServer = "registry-1.docker.io"
}

/// A server to ask for one repository.
struct Endpoint: Sendable, Hashable {
    /// With the path that the API's paths are appended to, normally `/v2`.
    let base: WebAddress
    /// The repository's name there.
    let repository: String
    /// For mirrors: the registry that is meant (`?ns=`, as containerd tells it to pull-through caches).
    let namespace: String?

    /// The address of `suffix` (`manifests/latest`) of the repository.
    func address(_ suffix: String) -> WebAddress {
        var address = base
        address.path += "/\(repository)/\(suffix)"
        address.query = namespace.map { "ns=\(WebAddress.encoded($0))" }
        return address
    }
}

extension Registries {
    /// Who is asked for `reference`, in order: its mirrors, then the registry itself. A loopback registry is tried by
    /// HTTPS and then by plain HTTP, as Docker does.
    func endpoints(for reference: ImageReference) throws(ImageError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        if let mirror = mirrors[reference.registry] ?? mirrors["*"] {
            let repository = try mirror.rewritten(reference.repository)
            for text in mirror.endpoints {
                guard var address = WebAddress(text) else {
                    throw .configuration("mirrors.\(reference.registry)", reason: "\"\(text)\" is no http or https URL")
                }
                while address.path.hasSuffix("/") { address.path.removeLast() }
                if address.path.isEmpty { address.path = "/v2" }
                let isItself = address.registry == reference.registry
                endpoints.append(
                    Endpoint(
                        base: address, repository: repository, namespace: isItself ? nil : reference.registry))
            }
        }
        let host = reference.registry == ImageReference.defaultRegistry ? Self.dockerHubServer : reference.registry
        guard let (name, port) = WebAddress.authority(Substring(host)) else {
            throw .invalidReference(reference.description, "\"\(host)\" is no host")
        }
        for isSecure in WebAddress.isLoopback(name) ? [true, false] : [true] {
            let base = WebAddress(isSecure: isSecure, host: name, port: port, path: "/v2")
            let known = endpoints.contains { $0.base == base && $0.repository == reference.repository }
            // Plain HTTP that the file asks for is not preceded by HTTPS to the same port.
            let asked = isSecure && endpoints.contains { $0.base.authority == base.authority && !$0.base.isSecure }
            if !known && !asked {
                endpoints.append(Endpoint(base: base, repository: reference.repository, namespace: nil))
            }
        }
        return endpoints
    }
}

extension Registries.Mirror {
    func rewritten(_ repository: String) throws(ImageError) -> String {
        for rewrite in rewrites {
            let expression: Regex<AnyRegexOutput>
            do {
                expression = try Regex(rewrite.pattern)
            } catch {
                throw .configuration("rewrite", reason: "\"\(rewrite.pattern)\" is no regular expression")
            }
            guard repository.firstMatch(of: expression) != nil else { continue }
            return repository.replacing(expression) { Self.expand(rewrite.replacement, $0.output) }
        }
        return repository
    }

    /// `$1` and `${1}` as Go's regexp has them; `$$` is a dollar.
    private static func expand(_ template: String, _ output: AnyRegexOutput) -> String {
        var result = ""
        var rest = Substring(template)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            if rest.first == "$" {
                result += "$"
                rest = rest.dropFirst()
                continue
            }
            let braced = rest.first == "{"
            let digits = (braced ? rest.dropFirst() : rest).prefix { $0.isASCII && $0.isNumber }
            if let number = Int(digits), output.indices.contains(number) { result += output[number].substring ?? "" }
            rest = rest[digits.endIndex...]
            if braced, rest.first == "}" { rest = rest.dropFirst() }
        }
        return result + rest
    }
}
