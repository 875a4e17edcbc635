import Glibc
import JSONTree
import Linux

/// How a plugin was called: the environment and standard input, checked ("Execution Protocol").
struct PluginCall {
    let command: CNICommand
    /// Empty where the command has none.
    let containerID: String
    /// Empty where DEL has none.
    let networkNamespacePath: String
    let interface: String
    /// `CNI_ARGS`; what is no pair is passed over.
    let arguments: [CNIArgument]
    /// Whether the container's namespace may be the plugin's own (`CNI_NETNS_OVERRIDE`).
    let allowsOwnNamespace: Bool
    let request: JSONValue
    let version: CNIVersion
    /// The network's name; empty for VERSION.
    let network: String

    /// What the plugin speaks.
    static let versions: [CNIVersion] = [.v040, .v100, .v110]

    /// - Parameters:
    ///   - environment: by name.
    ///   - input: what was on standard input.
    init(environment: [String: String], input: [UInt8]) throws(CNIError) {
        let name = environment["CNI_COMMAND"] ?? ""
        guard let command = CNICommand(rawValue: name) else {
            throw CNIError(.invalidEnvironment, "CNI_COMMAND is unknown", details: "'\(name)'")
        }
        self.command = command
        request = try Self.parse(input, command)
        version = try Self.version(of: request, command)
        network = try Self.network(of: request, command)
        containerID = environment["CNI_CONTAINERID"] ?? ""
        networkNamespacePath = environment["CNI_NETNS"] ?? ""
        interface = environment["CNI_IFNAME"] ?? ""
        arguments = Self.pairs(environment["CNI_ARGS"] ?? "")
        allowsOwnNamespace = ["1", "true"].contains(environment["CNI_NETNS_OVERRIDE"]?.lowercased())
        try checkEnvironment()
    }

    private static func parse(_ bytes: [UInt8], _ command: CNICommand) throws(CNIError) -> JSONValue {
        // Old runtimes send nothing with VERSION.
        if bytes.isEmpty && command == .version { return .object([:]) }
        let value: JSONValue
        do {
            value = try JSONValue.parse(bytes)
        } catch {
            throw CNIError(.undecodable, "cannot decode the network configuration", details: "\(error)")
        }
        guard value.objectValue != nil else {
            throw CNIError(
                .undecodable, "cannot decode the network configuration",
                details: "expected an object, got \(value.kindName)")
        }
        return value
    }

    private static func version(of request: JSONValue, _ command: CNICommand) throws(CNIError) -> CNIVersion {
        let text = request["cniVersion"]?.stringValue
        if let version = text.flatMap({ CNIVersion(rawValue: $0) }), versions.contains(version) {
            let needed: CNIVersion =
                switch command {
                case .collect, .status: .v110
                default: .v040
                }
            if version >= needed { return version }
            throw CNIError(
                .incompatibleVersion, "incompatible CNI versions",
                details: "\(command.rawValue) came with \(needed), the configuration has \(version)")
        }
        if command == .version { return versions.last ?? .v110 }
        throw CNIError(
            .incompatibleVersion, "incompatible CNI versions",
            details: "the configuration has \(text ?? "none"), the plugin supports \(CNIVersion.list(versions))")
    }

    private static func network(of request: JSONValue, _ command: CNICommand) throws(CNIError) -> String {
        if command == .version { return "" }
        let name = request["name"]?.stringValue ?? ""
        guard CNINames.isIdentifier(name) else {
            throw CNIError(
                .invalidConfiguration, name.isEmpty ? "name is missing" : "name is invalid",
                details: name.isEmpty ? "" : "'\(name)': letters, digits, '_', '.' and '-', a letter or digit first")
        }
        return name
    }

    private static func pairs(_ text: String) -> [CNIArgument] {
        text.split(separator: ";").compactMap { pair in
            let words = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return words.count == 2 ? CNIArgument(String(words[0]), String(words[1])) : nil
        }
    }

    private func checkEnvironment() throws(CNIError) {
        guard [.add, .delete, .check].contains(command) else { return }
        var missing: [String] = []
        if containerID.isEmpty { missing.append("CNI_CONTAINERID") }
        if interface.isEmpty { missing.append("CNI_IFNAME") }
        if networkNamespacePath.isEmpty && command != .delete { missing.append("CNI_NETNS") }
        guard missing.isEmpty else {
            throw CNIError(
                .invalidEnvironment, "required environment variables are missing: \(missing.joined(separator: ", "))")
        }
        guard CNINames.isIdentifier(containerID), containerID.utf8.count <= 112 else {
            throw CNIError(
                .invalidEnvironment, "CNI_CONTAINERID is invalid",
                details: "'\(containerID)': 1 to 112 letters, digits, '_', '.' and '-', a letter or digit first")
        }
        guard CNINames.isInterface(interface), interface != "lo" else {
            throw CNIError(.invalidEnvironment, "CNI_IFNAME is invalid", details: "'\(interface)'")
        }
    }

    /// Names the interface to the pod network.
    var uid: String { Self.uid(containerID, interface) }

    static func uid(_ containerID: String, _ interface: String) -> String { "\(containerID)/\(interface)" }

    /// For people who read interfaces and rules: the pod's name where the runtime tells it.
    var displayName: String {
        func argument(_ key: String) -> String? { arguments.first { $0.key == key }?.value }
        let name: String
        if let pod = argument("K8S_POD_NAME") {
            name = "\(argument("K8S_POD_NAMESPACE") ?? "default")/\(pod)"
        } else {
            name = "\(network)/\(containerID.prefix(12))"
        }
        return String(
            name.unicodeScalars.filter { $0.isASCII && $0.value > 0x20 && $0.value < 0x7f }.map(Character.init))
    }

    /// The container's namespace, which is not the plugin's own.
    func openNamespace() throws(CNIError) -> OwnedDescriptor {
        let namespace = try Self.open(networkNamespacePath)
        let own = try Self.open("/proc/thread-self/ns/net")
        var (theirs, ours) = (stat(), stat())
        guard fstat(namespace.number, &theirs) == 0, fstat(own.number, &ours) == 0, theirs.st_dev == ours.st_dev else {
            throw CNIError(
                .invalidEnvironment, "CNI_NETNS is no network namespace", details: networkNamespacePath)
        }
        guard theirs.st_ino != ours.st_ino || allowsOwnNamespace else {
            throw CNIError(
                .invalidEnvironment, "CNI_NETNS is the host's own network namespace", details: networkNamespacePath)
        }
        return namespace
    }

    private static func open(_ path: String) throws(CNIError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor(opening: path, flags: O_RDONLY)
        } catch {
            throw CNIError(.invalidEnvironment, "CNI_NETNS cannot be opened", details: "\(error)")
        }
    }
}
