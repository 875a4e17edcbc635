import Glibc
import JSONTree
import Linux
import Netlink
import PodNetwork

/// `swiftlet-cni`: PodNetwork as a CNI plugin that any runtime can call. It makes interfaces, so it comes first in a chain;
/// it gives addresses itself. Each call is a process of its own, and calls for one network wait for each other.
public struct SwiftletPlugin {
    /// What the process has to say and how it ends.
    public struct Answer: Sendable {
        /// For standard output; empty where the command has no answer.
        public var output: [UInt8] = []
        /// For standard error.
        public var remarks = ""
        public var exitCode: Int32 = 0
    }

    public static let version = "0.1.0"
    private static let usage = """
        CNI swiftlet-cni plugin v\(version); supported versions \(CNIVersion.list(PluginCall.versions))
        A container runtime calls it (https://www.cni.dev/docs/spec); configuration: docs/cni.md.
        `swiftlet-cni --remove DIRECTORY` removes what all containers of a network share, once they are gone; DIRECTORY is \
        the network's dataDir, /var/lib/cni/swiftlet/NAME unless it says otherwise.

        """

    /// Does what the environment asks for, in the caller's network namespace.
    /// - Parameters:
    ///   - environment: by name.
    ///   - input: reads standard input to its end; called at most once.
    public static func run(
        environment: [String: String], input: () throws(SystemError) -> [UInt8]
    ) -> Answer {
        if environment["CNI_COMMAND"] ?? "" == "" { return Answer(remarks: usage) }
        var bytes: [UInt8] = []
        do throws(CNIError) {
            do {
                bytes = try input()
            } catch {
                throw CNIError(.inputOutput, "cannot read standard input", details: "\(error)")
            }
            let answer = try Self.answer(try PluginCall(environment: environment, input: bytes))
            return Answer(output: answer.map(Self.line) ?? [])
        } catch {
            // In the version of the question, where it has one.
            let version = (try? JSONValue.parse(bytes))?["cniVersion"]?.stringValue.flatMap { CNIVersion(rawValue: $0) }
            return Answer(output: Self.line(error.document(version ?? .v110)), exitCode: 1)
        }
    }

    private static func line(_ value: JSONValue) -> [UInt8] { value.encoded() + [UInt8(ascii: "\n")] }

    private static func answer(_ call: PluginCall) throws(CNIError) -> JSONValue? {
        if call.command == .version {
            return [
                "cniVersion": .string(call.version.rawValue),
                "supportedVersions": .array(PluginCall.versions.map { .string($0.rawValue) }),
            ]
        }
        let configuration = try SwiftletPluginConfiguration(call)
        switch call.command {
        case .add: return try add(call, configuration).document(call.version)
        case .delete: try delete(call, configuration)
        case .check: try PluginCheck(call, configuration).run()
        case .collect: try collect(call, configuration)
        case .status: try status(configuration)
        case .version: break
        }
        return nil
    }

    static func open(_ configuration: SwiftletPluginConfiguration) throws(CNIError) -> PodNetwork {
        do {
            return try takeOver(configuration)
        } catch {
            throw CNIError(network: error)
        }
    }

    /// Takes the network over, in turn with other calls.
    private static func takeOver(
        _ configuration: SwiftletPluginConfiguration
    ) throws(PodNetworkError) -> PodNetwork {
        let host: OwnedDescriptor
        do {
            host = try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
        } catch {
            throw .system(error)
        }
        return try PodNetwork(
            configuration: configuration.network, directory: configuration.directory, in: host, isBrief: true)
    }

    private static func add(
        _ call: PluginCall, _ configuration: SwiftletPluginConfiguration
    ) throws(CNIError) -> CNIResult {
        if call.request["prevResult"].map({ !$0.isNull }) == true {
            throw CNIError(
                .invalidConfiguration, "swiftlet-cni makes the container's interface and must be the first plugin",
                details: "there is a prevResult")
        }
        let namespace = try call.openNamespace()
        let inside = try Inside(namespace)
        let network = try open(configuration)
        try refuseSecondInterface(call, network, inside)
        let address: PodAddress
        do {
            address = try attach(call, configuration, network, namespace, inside)
        } catch {
            throw CNIError(network: error)
        }
        return result(call, configuration, address)
    }

    private static func attach(
        _ call: PluginCall, _ configuration: SwiftletPluginConfiguration, _ network: PodNetwork,
        _ namespace: borrowing OwnedDescriptor, _ inside: borrowing Inside
    ) throws(PodNetworkError) -> PodAddress {
        func attach() throws(PodNetworkError) -> PodAddress {
            try network.attach(
                uid: call.uid, name: call.displayName, networkNamespace: namespace, routeSocket: inside.socket,
                request: configuration.request)
        }
        do {
            return try attach()
        } catch {
            switch error {
            case .addressesExhausted, .addressTaken, .macTaken, .hostPortTaken:
                // A runtime that lost its memory, or a reboot, leaves leases that have no interface any more.
                guard try network.releaseUnused() else { throw error }
                return try attach()
            default: throw error
            }
        }
    }

    /// The specification: an interface of this name in the container is an error. What an ADD left that was killed halfway,
    /// or that a reboot left, is replaced.
    private static func refuseSecondInterface(
        _ call: PluginCall, _ network: PodNetwork, _ inside: borrowing Inside
    ) throws(CNIError) {
        if try inside.link(call.interface) != nil {
            throw CNIError(
                .invalidEnvironment, "CNI_IFNAME: the container has an interface of this name already",
                details: "'\(call.interface)' in \(call.networkNamespacePath)")
        }
        guard let lease = network.address(uid: call.uid), try hostHas(lease.hostInterface) else { return }
        throw CNIError(
            .invalidEnvironment, "CNI_CONTAINERID, CNI_IFNAME: already in this network, DEL has to come first",
            details: "'\(call.interface)' of \(call.containerID)")
    }

    private static func hostHas(_ interface: String) throws(CNIError) -> Bool {
        do {
            var routes = try RouteSocket(in: try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY))
            return try routes.link(.name(interface)) != nil
        } catch {
            throw CNIError(network: error)
        }
    }

    private static func result(
        _ call: PluginCall, _ configuration: SwiftletPluginConfiguration, _ given: PodAddress
    ) -> CNIResult {
        var result = CNIResult()
        result.interfaces = [
            .init(name: given.hostInterface, mac: "\(PodNetworkConfiguration.gatewayMAC)", mtu: given.mtu),
            .init(name: call.interface, mac: "\(given.mac)", mtu: given.mtu, sandbox: call.networkNamespacePath),
        ]
        for (address, gateway) in zip(given.addresses, given.gateways) {
            result.ips.append(
                .init(configuration.interfaceAddress(address), gateway: gateway, interface: 1))
            let everywhere: CIDR = address.bitWidth == 32 ? .everyIPv4 : .everyIPv6
            result.routes.append(
                .init(to: InterfaceAddress(everywhere.address, prefixLength: 0), gateway: gateway))
        }
        result.dns = configuration.dns
        return result
    }

    /// Fine for what is not there: the container's namespace is not needed.
    private static func delete(
        _ call: PluginCall, _ configuration: SwiftletPluginConfiguration
    ) throws(CNIError) {
        guard fileExists(configuration.directory) else { return }
        let network = try open(configuration)
        do {
            try network.detach(uid: call.uid)
        } catch {
            throw CNIError(network: error)
        }
    }

    private static func collect(
        _ call: PluginCall, _ configuration: SwiftletPluginConfiguration
    ) throws(CNIError) {
        guard let list = call.request["cni.dev/valid-attachments"]?.arrayValue else {
            // Without it everything would go.
            throw CNIError(.invalidConfiguration, "cni.dev/valid-attachments is missing or no list")
        }
        var live: Set<String> = []
        for element in list {
            guard let containerID = element["containerID"]?.stringValue, let interface = element["ifname"]?.stringValue
            else {
                throw CNIError(
                    .invalidConfiguration, "cni.dev/valid-attachments: need containerID and ifname",
                    details: element.text())
            }
            live.insert(PluginCall.uid(containerID, interface))
        }
        guard fileExists(configuration.directory) else { return }
        do {
            try open(configuration).reconcile(live: live)
        } catch {
            throw CNIError(network: error)
        }
    }

    /// 50 where no ADD could be served; 51 where what the containers there are need could not be had either.
    private static func status(_ configuration: SwiftletPluginConfiguration) throws(CNIError) {
        do throws(PodNetworkError) {
            try takeOver(configuration).checkForFreeAddress()
        } catch {
            switch error {
            case .invalidConfiguration: throw CNIError(network: error)
            case .addressesExhausted, .directoryInUse: throw CNIError(.unavailable, "\(error)")
            default:
                let leases = (try? listDirectory(configuration.directory + "/leases")) ?? []
                throw CNIError(leases.isEmpty ? .unavailable : .unavailableAndLimited, "\(error)")
            }
        }
    }

    /// Removes what all containers of a network share: addresses of the host, routes, tables, a bridge, leases; and puts
    /// forwarding back as it was found, unless another pod network needs it. For `--remove`.
    public static func removeNetwork(directory: String) throws(CNIError) {
        do {
            guard fileExists(directory + "/node.json") else {
                throw CNIError(.invalidConfiguration, "no network of swiftlet-cni", details: directory)
            }
            try PodNetwork.removeEverything(directory: directory, waits: true)
        } catch {
            throw CNIError(network: error)
        }
    }
}

/// The container's side, by a socket of its namespace.
struct Inside: ~Copyable {
    let socket: OwnedDescriptor

    init(_ namespace: borrowing OwnedDescriptor) throws(CNIError) {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let number = cl_socket_in_netns(namespace.number, AF_NETLINK, type, 0 /* NETLINK_ROUTE */)
        guard number >= 0 else {
            throw CNIError(.failed, "no socket in the container's namespace", details: "\(SystemError("socket"))")
        }
        socket = OwnedDescriptor(owning: number)
    }

    func link(_ name: String) throws(CNIError) -> Link? {
        do {
            var routes = try RouteSocket(owning: try socket.duplicate())
            return try routes.link(.name(name))
        } catch {
            throw CNIError(network: error)
        }
    }
}
