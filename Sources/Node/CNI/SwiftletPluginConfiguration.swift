import JSONTree
import NFTables
import Netlink
import PodNetwork

/// What `swiftlet-cni` finds in its configuration.
struct SwiftletPluginConfiguration {
    let network: PodNetworkConfiguration
    /// Where leases are.
    let directory: String
    let request: PodNetworkRequest
    let dns: CNIResult.DNS

    /// Every key that has a meaning here: an unknown one is more likely a slip of the pen than a wish.
    private static let keys: Set<String> = [
        "cniVersion", "cniVersions", "name", "type", "capabilities", "disableCheck", "disableGC", "args",
        "runtimeConfig",
        "prevResult", "subnets", "mtu", "mode", "bridge", "ipMasq", "unmasqueraded", "interfacePrefix", "dataDir",
        "dns",
    ]

    init(_ call: PluginCall) throws(CNIError) {
        for (key, value) in call.request.objectValue ?? [:] {
            if Self.keys.contains(key) || key.hasPrefix("cni.dev/") || value.isNull { continue }
            let hint = key == "ipam" ? " (swiftlet-cni gives the addresses itself: use 'subnets')" : ""
            throw CNIError(.unsupportedField, "unsupported field '\(key)'\(hint)", details: "\(key): \(value.text())")
        }
        do throws(FieldError) {
            let reader = try DocumentReader(call.request)
            network = try Self.network(reader, call.network)
            directory = try reader.text("dataDir") ?? "/var/lib/cni/swiftlet/\(call.network)"
            guard directory.hasPrefix("/") else {
                throw .invalid(JSONPath().field("dataDir"), .string(directory), "must be an absolute path")
            }
            request = try Self.request(reader.object("runtimeConfig"), call)
            dns = try reader.object("dns").map(CNIResult.DNS.init) ?? CNIResult.DNS()
        } catch {
            throw CNIError(.invalidConfiguration, "invalid network configuration", details: "\(error)")
        }
    }

    private static func network(
        _ reader: DocumentReader, _ name: String
    ) throws(FieldError) -> PodNetworkConfiguration {
        let subnets = try networks(reader, "subnets")
        guard !subnets.isEmpty else { throw .required(reader.path.field("subnets"), "one of each family at most") }
        let mode = try mode(reader)
        let prefix = try reader.text("interfacePrefix") ?? Self.prefix(of: name)
        let mtu = try reader.integer("mtu", 576...65535).map { UInt32($0) } ?? 1500
        return PodNetworkConfiguration(
            podCIDRs: subnets, mtu: mtu, hostInterfacePrefix: prefix, mode: mode,
            unmasqueraded: try networks(reader, "unmasqueraded"), masquerades: try reader.flag("ipMasq") ?? true,
            owner: owner(of: name))
    }

    private static func mode(_ reader: DocumentReader) throws(FieldError) -> PodNetworkMode {
        let bridge = try reader.text("bridge")
        switch try reader.text("mode") ?? (bridge == nil ? "point-to-point" : "bridge") {
        case "bridge": return .bridge(bridge ?? "slcni0")
        case "point-to-point":
            if let bridge {
                throw .invalid(reader.path.field("bridge"), .string(bridge), "mode is point-to-point")
            }
            return .pointToPoint
        case let other:
            throw .unsupported(reader.path.field("mode"), .string(other), supported: ["point-to-point", "bridge"])
        }
    }

    private static func networks(_ reader: DocumentReader, _ key: String) throws(FieldError) -> [CIDR] {
        var networks: [CIDR] = []
        for (index, text) in try reader.strings(key).enumerated() {
            guard let network = CIDR(text) else {
                throw .invalid(
                    reader.path.field(key).index(index), .string(text),
                    "not a network such as 10.88.0.0/24 or fd88::/64")
            }
            networks.append(network)
        }
        return networks
    }

    /// With the length that the container's interface has it: on a bridge IPv4 has its whole network.
    func interfaceAddress(_ address: IPAddress) -> InterfaceAddress {
        guard network.mode.bridge != nil, address.bitWidth == 32 else { return InterfaceAddress(address) }
        let subnet = network.podCIDRs.first { $0.contains(address) }
        return InterfaceAddress(address, prefixLength: subnet?.prefixLength)
    }

    // MARK: What the runtime asks for

    private static func request(
        _ runtime: DocumentReader?, _ call: PluginCall
    ) throws(FieldError) -> PodNetworkRequest {
        var request = PodNetworkRequest(interfaceName: call.interface.isEmpty ? "eth0" : call.interface)
        try readArguments(call, &request)
        guard let runtime else { return request }
        for mapping in try runtime.objects("portMappings") { request.hostPorts.append(try hostPort(mapping)) }
        if let bandwidth = try runtime.object("bandwidth") {
            request.ingressBandwidth = try rate(bandwidth, "ingressRate")
            request.egressBandwidth = try rate(bandwidth, "egressRate")
        }
        var addresses: [IPAddress] = []
        for (index, text) in try runtime.strings("ips").enumerated() {
            guard let address = RuntimeConfiguration.RequestedAddress(text) else {
                throw .invalid(runtime.path.field("ips").index(index), .string(text), "not an IP address")
            }
            addresses.append(address.address)
        }
        if !addresses.isEmpty { request.addresses = addresses }
        if let text = try runtime.text("mac") {
            guard let mac = MACAddress(text) else {
                throw .invalid(runtime.path.field("mac"), .string(text), "not an Ethernet address")
            }
            request.mac = mac
        }
        return request
    }

    /// `IP=10.88.0.9` and `MAC=…` of `CNI_ARGS`: the older convention, which podman follows. `runtimeConfig` comes before it.
    private static func readArguments(
        _ call: PluginCall, _ request: inout PodNetworkRequest
    ) throws(FieldError) {
        let place = JSONPath().field("CNI_ARGS")
        for argument in call.arguments {
            switch argument.key {
            case "IP":
                for text in argument.value.split(separator: ",").map(String.init) {
                    guard let address = RuntimeConfiguration.RequestedAddress(text) else {
                        throw .invalid(place.key("IP"), .string(text), "not an IP address")
                    }
                    request.addresses.append(address.address)
                }
            case "MAC":
                guard let mac = MACAddress(argument.value) else {
                    throw .invalid(place.key("MAC"), .string(argument.value), "not an Ethernet address")
                }
                request.mac = mac
            default: break
            }
        }
    }

    private static func hostPort(_ mapping: DocumentReader) throws(FieldError) -> HostPort {
        let word = (try mapping.text("protocol") ?? "tcp").lowercased()
        guard let transport = TransportProtocol.allCases.first(where: { $0.name == word }) else {
            throw .unsupported(
                mapping.path.field("protocol"), .string(word), supported: TransportProtocol.allCases.map(\.name))
        }
        func port(_ key: String) throws(FieldError) -> UInt16 {
            guard let number = try mapping.integer(key, 1...65535) else { throw .required(mapping.path.field(key)) }
            return UInt16(number)
        }
        return HostPort(
            hostIP: try mapping.address("hostIP"), port: try port("hostPort"), transport: transport,
            containerPort: try port("containerPort"))
    }

    /// Bits per second; 0 is no limit. How much may pass at once is chosen here, whatever `…Burst` says.
    private static func rate(_ bandwidth: DocumentReader, _ key: String) throws(FieldError) -> UInt64? {
        let rate = try bandwidth.integer(key, 0...Int64.max) ?? 0
        return rate == 0 ? nil : UInt64(rate)
    }

    // MARK: Names of the network's own things

    /// `cni-<name>`, or a hash where a table cannot be named so: 1 to 32 of a-z, 0-9 and `-`.
    static func owner(of name: String) -> String {
        let isPlain = name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
        return "cni-" + (isPlain && name.utf8.count <= 28 ? name : digits(of: name, 13))
    }

    /// `c` and three digits: networks must not share the beginning of their interfaces' names.
    static func prefix(of name: String) -> String { "c" + digits(of: name, 3) }

    /// Digits of FNV-1a in base 32: the same in every process and version.
    private static func digits(of name: String, _ count: Int) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = Array("0123456789abcdefghijklmnopqrstuv")
        return String((0..<count).map { digits[Int(hash >> UInt64($0 * 5) & 31)] })
    }
}
