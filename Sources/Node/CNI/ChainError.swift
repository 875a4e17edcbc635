import Linux

/// Why a network's plugins could not be called, or what they said instead of doing what they were asked.
public enum ChainError: Error, Sendable, CustomStringConvertible {
    /// The directory has no network configuration.
    case noConfiguration(String)
    /// A network configuration that cannot be used: its file, or the network's name, and why.
    case configuration(String, CNIError)
    /// None of the directories has the plugin's program.
    case pluginMissing(String, directories: [String])
    /// The plugin cannot speak a version that the configuration offers: what it can.
    case pluginVersion(String, offered: [CNIVersion], supported: [String])
    /// The network has no plugin that takes what the pod asks for: the capability.
    case capabilityMissing(String, network: String)
    /// The plugins gave the pod an interface, but no address.
    case noAddress(network: String)
    /// The plugin answered with an error.
    case refused(plugin: String, command: String, CNIError)
    /// The plugin was killed after so many seconds.
    case timedOut(plugin: String, command: String, seconds: Int)
    /// The plugin ended by a signal, or said what is no answer: why, and what it wrote to standard error.
    case unintelligible(plugin: String, command: String, String)
    /// A container's id or interface name that the specification does not allow.
    case invalidAttachment(String)
    /// The container has this interface already.
    case attachedAlready(containerID: String, interface: String)
    /// CHECK of an attachment that has no record.
    case notAttached(containerID: String, interface: String)
    /// The record of an attachment cannot be read.
    case record(String)
    case system(SystemError)
    /// Several at once, of a cleaning up that goes on after the first.
    case several([ChainError])

    /// The plugin's own error, where there is one.
    public var pluginError: CNIError? {
        switch self {
        case .refused(_, _, let error): error
        case .several(let errors): errors.lazy.compactMap(\.pluginError).first
        default: nil
        }
    }

    public var description: String {
        switch self {
        case .noConfiguration(let directory): "no network configuration (.conflist, .conf, .json) in \(directory)"
        case .configuration(let place, let error): "\(place): \(error)"
        case .pluginMissing(let type, let directories):
            "CNI plugin '\(type)' not found in \(directories.joined(separator: ":"))"
        case .pluginVersion(let type, let offered, let supported):
            "CNI plugin '\(type)' speaks \(supported.joined(separator: ", ")), the network's configuration only "
                + CNIVersion.list(offered)
        case .capabilityMissing(let capability, let network):
            "no plugin of network '\(network)' has the capability '\(capability)', which the pod needs"
        case .noAddress(let network): "network '\(network)' gave the pod no address"
        case .refused(let plugin, let command, let error): "CNI plugin '\(plugin)', \(command): \(error)"
        case .timedOut(let plugin, let command, let seconds):
            "CNI plugin '\(plugin)', \(command): did not end within \(seconds) s and was killed"
        case .unintelligible(let plugin, let command, let why): "CNI plugin '\(plugin)', \(command): \(why)"
        case .invalidAttachment(let why): why
        case .attachedAlready(let id, let interface):
            "container \(id) has interface \(interface) in this network already"
        case .notAttached(let id, let interface): "container \(id) has no interface \(interface) in this network"
        case .record(let why): why
        case .system(let error): "\(error)"
        case .several(let errors): errors.map(\.description).joined(separator: "; ")
        }
    }
}
