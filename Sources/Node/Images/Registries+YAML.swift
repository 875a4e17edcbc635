import Yams

extension Registries {
    /// Parses `registries.yaml`. Strict: an unknown key or a wrong type is an error with its line.
    public init(yaml: String, file: String) throws(ImageError) {
        self.init()
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw .configuration(file, reason: "no YAML: \(error)".replacing("\n", with: " "))
        }
        guard let root, root.null == nil else { return }
        let reader = SettingsReader(file: file)
        for (section, node) in try reader.members(root, "", known: ["mirrors", "configs"]) {
            for (name, node) in try reader.members(node, section) {
                let path = "\(section).\(name)"
                if section == "mirrors" {
                    mirrors[name] = try reader.mirror(node, path)
                } else {
                    servers[name] = try reader.server(node, path)
                }
            }
        }
    }
}

/// Walks the nodes of a settings file and names the line of what it cannot take.
private struct SettingsReader {
    let file: String

    func wrong(_ node: Node, _ path: String, _ what: String) -> ImageError {
        .configuration(node.mark.map { "\(file):\($0.line)" } ?? file, reason: path.isEmpty ? what : "\(path): \(what)")
    }

    /// The members of a mapping, in order; null is an empty one. With `known`, other keys are errors.
    func members(_ node: Node, _ path: String, known: [String]? = nil) throws(ImageError) -> [(String, Node)] {
        if node.null != nil { return [] }
        guard let mapping = node.mapping else { throw wrong(node, path, "expected a mapping") }
        var members: [(String, Node)] = []
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw wrong(key, path, "expected a name") }
            if let known, !known.contains(name) {
                throw wrong(key, path, "unknown key \"\(name)\" (known: \(known.joined(separator: ", ")))")
            }
            members.append((name, value))
        }
        return members
    }

    func text(_ node: Node, _ path: String) throws(ImageError) -> String {
        guard let scalar = node.scalar else { throw wrong(node, path, "expected a string") }
        return scalar.string
    }

    func flag(_ node: Node, _ path: String) throws(ImageError) -> Bool {
        guard let flag = node.bool else { throw wrong(node, path, "expected true or false") }
        return flag
    }

    func mirror(_ node: Node, _ path: String) throws(ImageError) -> Registries.Mirror {
        var mirror = Registries.Mirror(endpoints: [])
        for (key, node) in try members(node, path, known: ["endpoint", "rewrite"]) {
            if key == "endpoint" {
                guard node.null == nil else { continue }
                guard let list = node.sequence else { throw wrong(node, "\(path).endpoint", "expected a list of URLs") }
                for element in list {
                    let url = try text(element, "\(path).endpoint")
                    guard WebAddress(url) != nil else {
                        throw wrong(element, "\(path).endpoint", "\"\(url)\" is no http or https URL")
                    }
                    mirror.endpoints.append(url)
                }
            } else {
                for (pattern, replacement) in try members(node, "\(path).rewrite") {
                    guard (try? Regex(pattern)) != nil else {
                        throw wrong(node, "\(path).rewrite", "\"\(pattern)\" is no regular expression")
                    }
                    mirror.rewrites.append(
                        .init(pattern: pattern, replacement: try text(replacement, "\(path).rewrite")))
                }
            }
        }
        return mirror
    }

    func server(_ node: Node, _ path: String) throws(ImageError) -> Registries.Server {
        var server = Registries.Server()
        for (key, node) in try members(node, path, known: ["auth", "tls"]) {
            if key == "auth" {
                server.credentials = try credentials(node, "\(path).auth")
                continue
            }
            for (key, node) in try members(
                node, "\(path).tls", known: ["ca_file", "cert_file", "key_file", "insecure_skip_verify"])
            {
                switch key {
                case "ca_file": server.caFile = try text(node, "\(path).tls.ca_file")
                case "cert_file": server.certFile = try text(node, "\(path).tls.cert_file")
                case "key_file": server.keyFile = try text(node, "\(path).tls.key_file")
                default: server.insecureSkipVerify = try flag(node, "\(path).tls.insecure_skip_verify")
                }
            }
            guard (server.certFile == nil) == (server.keyFile == nil) else {
                throw wrong(node, "\(path).tls", "cert_file and key_file belong together")
            }
        }
        return server
    }

    private func credentials(_ node: Node, _ path: String) throws(ImageError) -> RegistryCredentials? {
        var credentials = RegistryCredentials(username: "", password: "")
        for (key, node) in try members(node, path, known: ["username", "password", "auth", "identity_token"]) {
            let text = try text(node, "\(path).\(key)")
            switch key {
            case "username": credentials.username = text
            case "password": credentials.password = text
            case "identity_token": credentials.identityToken = text
            default:
                guard let pair = RegistryCredentials(basic: text) else {
                    throw wrong(node, "\(path).auth", "no base64 of user:password")
                }
                credentials.username = pair.username
                credentials.password = pair.password
            }
        }
        return credentials.isEmpty ? nil : credentials
    }
}
