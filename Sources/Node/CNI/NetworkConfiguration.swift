import JSONTree
import Linux

/// A network as its administrator wrote it: a list of plugins that one attachment passes through ("Network configuration
/// format"). A file with a single plugin, which versions before 1.0.0 allowed, is a list of one.
public struct NetworkConfiguration: Sendable, Hashable {
    /// Identifies the network on this host.
    public let name: String
    /// The versions that the file offers and that are spoken here, lowest first; at least one.
    public let versions: [CNIVersion]
    public let disableCheck: Bool
    public let disableGC: Bool
    /// At least one, in the order of ADD.
    public let plugins: [PluginConfiguration]
    /// The file as it is, for the record of an attachment.
    let document: JSONValue

    /// The latest version that is offered.
    public var version: CNIVersion { versions.last ?? .v040 }

    /// Reads the bytes of a `.conflist`, `.conf` or `.json` file.
    public init(_ bytes: [UInt8]) throws(CNIError) {
        let value: JSONValue
        do {
            value = try JSONValue.parse(bytes)
        } catch {
            throw CNIError(.undecodable, "not JSON", details: "\(error)")
        }
        do {
            try self.init(value)
        } catch let error as CNIError {
            throw error
        } catch {
            throw CNIError(.invalidConfiguration, "invalid network configuration", details: "\(error)")
        }
    }

    /// Throws ``CNIError`` or `FieldError`.
    private init(_ value: JSONValue) throws {
        let reader = try DocumentReader(value)
        name = try reader.required("name")
        guard CNINames.isIdentifier(name) else {
            throw FieldError.invalid(
                JSONPath().field("name"), .string(name),
                "must start with a letter or digit and have only letters, digits, '_', '.' and '-'")
        }
        versions = try Self.versions(reader)
        disableCheck = try reader.flag("disableCheck") ?? false
        disableGC = try reader.flag("disableGC") ?? false
        if reader["plugins"] == nil {
            plugins = [try PluginConfiguration(reader, value)]
        } else {
            var plugins: [PluginConfiguration] = []
            for (plugin, value) in zip(try reader.objects("plugins"), try reader.list("plugins")) {
                plugins.append(try PluginConfiguration(plugin, value))
            }
            guard !plugins.isEmpty else { throw FieldError.required(JSONPath().field("plugins"), "at least one") }
            self.plugins = plugins
        }
        document = value
    }

    private static func versions(_ reader: DocumentReader) throws -> [CNIVersion] {
        let single = try reader.text("cniVersion")
        let offered = try reader.strings("cniVersions") + (single.map { [$0] } ?? [])
        let known = Set(offered.compactMap { CNIVersion(rawValue: $0) }).sorted()
        guard !known.isEmpty else {
            // The specification: an absent version means 0.1.0.
            let found = offered.isEmpty ? "none, which means 0.1.0" : offered.joined(separator: ", ")
            throw CNIError(
                .incompatibleVersion, "incompatible CNI version",
                details: "cniVersion is \(found); need one of \(CNIVersion.list(CNIVersion.allCases))")
        }
        return known
    }

    /// Whether any plugin takes `capability` from the runtime.
    public func has(_ capability: String) -> Bool { plugins.contains { $0.capabilities.contains(capability) } }
}

/// One plugin of a network ("Plugin configuration objects").
public struct PluginConfiguration: Sendable, Hashable {
    /// The file name of the plugin's program.
    public let type: String
    /// What it takes from the runtime: the keys of `capabilities` that are true.
    public let capabilities: Set<String>
    let document: JSONObject

    init(_ reader: DocumentReader, _ value: JSONValue) throws(FieldError) {
        type = try reader.required("type")
        guard CNINames.isPlugin(type) else {
            throw .invalid(reader.path.field("type"), .string(type), "must be the name of a file")
        }
        var capabilities: Set<String> = []
        if let wanted = try reader.object("capabilities") {
            for key in value["capabilities"]?.objectValue?.keys ?? [] where try wanted.flag(key) == true {
                capabilities.insert(key)
            }
        }
        self.capabilities = capabilities
        document = value.objectValue ?? [:]
    }

    /// What the plugin is sent ("Deriving execution configuration from plugin configuration").
    /// - Parameters:
    ///   - runtime: what the runtime has for capabilities; the plugin gets those that it takes.
    ///   - previous: the result of the plugin before, or of the whole chain.
    func request(
        network: String, version: CNIVersion, runtime: JSONObject = [:], previous: JSONValue? = nil
    ) -> JSONObject {
        var request = document
        request["capabilities"] = nil
        // A list's own keys have no place here; a file with one plugin has them beside the plugin's.
        for key in ["cniVersions", "disableCheck", "disableGC"] { request[key] = nil }
        request["cniVersion"] = .string(version.rawValue)
        request["name"] = .string(network)
        let taken = runtime.filter { capabilities.contains($0.key) }
        request["runtimeConfig"] = taken.isEmpty ? nil : .object(JSONObject(taken.map { ($0.key, $0.value) }))
        request["prevResult"] = previous
        return request
    }
}

extension NetworkConfiguration {
    /// The network of a directory: its lexically first `.conflist`, `.conf` or `.json` file, as Kubernetes' runtimes have
    /// it. A first file that is wrong is an error: going on to the next would put pods into another network.
    public static func load(from directory: String) throws(ChainError) -> NetworkConfiguration {
        let names: [String]
        do {
            names = try listDirectory(directory)
        } catch {
            if error.errno == ENOENT { throw .noConfiguration(directory) }
            throw .system(error)
        }
        let wanted = names.first { name in
            !name.hasPrefix(".") && [".conflist", ".conf", ".json"].contains { name.hasSuffix($0) }
        }
        guard let wanted else { throw .noConfiguration(directory) }
        let path = "\(directory)/\(wanted)"
        let bytes: [UInt8]
        do {
            bytes = try readFile(path, limit: 4 << 20)
        } catch {
            throw .system(error)
        }
        do {
            return try NetworkConfiguration(bytes)
        } catch {
            throw .configuration(path, error)
        }
    }
}
