import Glibc
import JSONTree
import Linux

/// Docker's `config.json`, as far as it says who one is to a registry.
public struct DockerConfig: Sendable, Hashable {
    /// By server, as `docker login` writes it: `https://index.docker.io/v1/`, `quay.io`, `localhost:5000`.
    public var auths: [String: RegistryCredentials] = [:]
    /// By server: the program `docker-credential-<name>` knows.
    public var credentialHelpers: [String: String] = [:]
    /// The helper for every other server.
    public var credentialsStore: String?
    /// Where all this was read; for messages.
    public var file = ""

    public init() {}

    /// Parses the file's bytes; other members (`HttpHeaders`, `plugins` …) are Docker's own business.
    public init(_ bytes: [UInt8], file: String) throws(ImageError) {
        self.file = file
        let tree: JSONValue
        do { tree = try JSONValue.parse(bytes) } catch { throw .configuration(file, reason: "\(error)") }
        guard let root = tree.objectValue else { throw .configuration(file, reason: "expected an object") }
        func object(_ key: String) throws(ImageError) -> JSONObject {
            guard let value = root[key], !value.isNull else { return JSONObject() }
            guard let object = value.objectValue else {
                throw .configuration(file, reason: "\(key): expected an object")
            }
            return object
        }
        for (server, value) in try object("auths") {
            var credentials = RegistryCredentials(
                username: value["username"]?.stringValue ?? "", password: value["password"]?.stringValue ?? "",
                identityToken: value["identitytoken"]?.stringValue ?? "")
            if let basic = value["auth"]?.stringValue, !basic.isEmpty {
                guard let pair = RegistryCredentials(basic: basic) else {
                    throw .configuration(file, reason: "auths[\"\(server)\"].auth: no base64 of user:password")
                }
                credentials.username = pair.username
                credentials.password = pair.password
            }
            if !credentials.isEmpty { auths[Self.host(server)] = credentials }
        }
        for (server, value) in try object("credHelpers") {
            guard let helper = value.stringValue else {
                throw .configuration(file, reason: "credHelpers[\"\(server)\"]: expected a string")
            }
            credentialHelpers[Self.host(server)] = helper
        }
        if let store = root["credsStore"]?.stringValue, !store.isEmpty { credentialsStore = store }
    }

    /// Reads the file; nil means the usual one, which may be absent.
    public static func load(path: String? = nil) throws(ImageError) -> DockerConfig {
        let usual = variable("DOCKER_CONFIG") ?? variable("HOME").map { "\($0)/.docker" }
        guard let file = path ?? usual.map({ "\($0)/config.json" }) else { return DockerConfig() }
        guard let bytes = try readIfPresent(file, limit: 4 << 20) else {
            if path != nil { throw .configuration(file, reason: "no such file") }
            return DockerConfig()
        }
        return try DockerConfig(bytes, file: file)
    }

    /// Credentials for a server that goes by any of `names`. May run a helper.
    func credentials(for names: [String]) throws(ImageError) -> RegistryCredentials? {
        for name in names {
            if let helper = credentialHelpers[name] {
                return try CredentialHelper(name: helper, configuration: file).get(Self.serverName(name))
            }
        }
        if let stored = names.lazy.compactMap({ auths[$0] }).first { return stored }
        guard let credentialsStore, let name = names.last else { return nil }
        return try CredentialHelper(name: credentialsStore, configuration: file).get(Self.serverName(name))
    }

    /// Docker Hub's key is a URL for historical reasons.
    private static func serverName(_ host: String) -> String {
        host == "docker.io" || host == "index.docker.io" ? "https://index.docker.io/v1/" : host
    }

    /// `https://quay.io/v2/` → `quay.io`
    private static func host(_ server: String) -> String {
        var rest = Substring(server)
        if let scheme = rest.range(of: "://") { rest = rest[scheme.upperBound...] }
        let host = String(rest.prefix { $0 != "/" })
        return host == "index.docker.io" ? "docker.io" : host
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension Substring {
    /// The first occurrence of `text`.
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}

/// A program that keeps passwords for Docker (github.com/docker/docker-credential-helpers).
struct CredentialHelper {
    let name: String
    /// The file that names it; for messages.
    let configuration: String
    /// As PATH; where programs are looked for.
    var directories = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"

    /// Runs `docker-credential-<name> get` for at most 30 s. nil when it has nothing for the server. Blocks.
    func get(_ server: String) throws(ImageError) -> RegistryCredentials? {
        let program = try path()
        let result: (output: [UInt8], succeeded: Bool)
        do { result = try run(program, input: server + "\n") } catch {
            throw .configuration(configuration, reason: "credential helper \(program): \(error)")
        }
        guard result.succeeded else {
            let message = String(decoding: result.output.prefix(300), as: UTF8.self)
            if message.contains("credentials not found") { return nil }
            throw .configuration(
                configuration, reason: "credential helper \(program) for \(server): \(printable(message))")
        }
        guard let tree = try? JSONValue.parse(result.output), let username = tree["Username"]?.stringValue,
            let secret = tree["Secret"]?.stringValue
        else { throw .configuration(configuration, reason: "credential helper \(program): no Username and Secret") }
        return username == "<token>"
            ? RegistryCredentials(username: "", password: "", identityToken: secret)
            : RegistryCredentials(username: username, password: secret)
    }

    /// Only ever a file of that name in a directory of PATH.
    private func path() throws(ImageError) -> String {
        let known = name.utf8.allSatisfy {
            ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || "._-".utf8.contains($0)
        }
        guard known, !name.isEmpty else {
            throw .configuration(configuration, reason: "\"\(printable(name))\" is no name of a credential helper")
        }
        for directory in directories.split(separator: ":") where directory.first == "/" {
            let path = "\(directory)/docker-credential-\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        throw .configuration(configuration, reason: "credential helper docker-credential-\(name) is not in PATH")
    }

    private func run(_ program: String, input: String) throws(SystemError) -> (output: [UInt8], succeeded: Bool) {
        // A memory file instead of a pipe: a helper that does not read cannot hurt by closing its end.
        let childInput = OwnedDescriptor(owning: try check(cl_memfd_create("server"), "memfd_create"))
        try childInput.writeAll(Array(input.utf8))
        try check(lseek(childInput.number, 0, SEEK_SET), "lseek")
        var ends: [Int32] = [-1, -1]
        try check(pipe(&ends), "pipe")
        let ourOutput = OwnedDescriptor(owning: ends[0])
        let childOutput = OwnedDescriptor(owning: ends[1])
        for end in ends { try check(fcntl(end, F_SETFD, FD_CLOEXEC), "fcntl", "FD_CLOEXEC") }
        let pid = try spawn(
            program, arguments: [program, "get"], environment: currentEnvironment(),
            descriptors: [childInput.number, childOutput.number, -1])
        close(childOutput.release())
        let process = try ProcessDescriptor(pid: pid)
        var status: Int32 = 0
        let deadline = ContinuousClock.now + .seconds(30)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while output.count < 1 << 16 {
            var poller = pollfd(fd: ourOutput.number, events: Int16(POLLIN), revents: 0)
            let left = max(0, (deadline - .now) / .milliseconds(1))
            let ready = poll(&poller, 1, Int32(left))
            if ready < 0 && errno == EINTR { continue }
            let count = ready > 0 ? read(ourOutput.number, &buffer, buffer.count) : -1
            if count <= 0 { break }
            output.append(contentsOf: buffer[..<count])
        }
        let left = max(0, (deadline - .now) / .milliseconds(1))
        if !process.waitForExit(milliseconds: Int32(left)) { try process.signal(SIGKILL) }
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return (output, cl_wifexited(status) && cl_wexitstatus(status) == 0)
    }
}

private func currentEnvironment() -> [String] {
    var result: [String] = []
    var next = environ
    while let entry = next.pointee {
        result.append(String(cString: entry))
        next += 1
    }
    return result
}
