import JSONTree
import Linux
import NFTables
import Netlink

/// Who has which addresses, and with them an interface and host ports: what has to be known to take all of it back.
package struct Lease: Sendable, Hashable {
    /// One or two, in the order in which the pod lists them.
    package var addresses: [IPAddress]
    package var uid: String
    /// `namespace/name`, for people.
    var name: String
    /// The host's end of the pod's link.
    var interface: String
    var hostPorts: [HostPort]
    /// The pod's end.
    var podInterface = "eth0"
    /// nil: the one that follows from the address.
    var requestedMAC: MACAddress?
    /// Bits per second.
    var ingressBandwidth: UInt64?
    var egressBandwidth: UInt64?

    init(addresses: [IPAddress], uid: String, name: String, interface: String, hostPorts: [HostPort]) {
        self.addresses = addresses
        self.uid = uid
        self.name = name
        self.interface = interface
        self.hostPorts = hostPorts
    }

    var mac: MACAddress {
        requestedMAC ?? addresses.first(where: \.isIPv4).map(PodNetworkConfiguration.podMAC)
            ?? addresses.first.map(PodNetworkConfiguration.podMAC) ?? MACAddress(PodNetworkConfiguration.derivedMACs)
    }

    static func validate(uid: String) throws(PodNetworkError) {
        guard (1...128).contains(uid.utf8.count), uid.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw .invalidConfiguration("pod uid '\(uid)': need 1 to 128 printable ASCII characters")
        }
    }

    /// What is written on the host's interface: whose it is, in two words that `ip link` shows. At most 255 bytes.
    func alias(owner: String) -> String {
        var text = "\(Self.aliasMark(owner))\(uid) \(name)"
        while text.utf8.count > 255 { text.removeLast() }
        return text
    }

    /// `swiftlet pod ` for the agent's own pods.
    static func aliasMark(_ owner: String) -> String {
        owner == PodNetworkConfiguration.defaultOwner ? "swiftlet pod " : "swiftlet \(owner) "
    }

    /// The uid in an alias of `owner`; nil if it is somebody else's.
    static func uid(inAlias alias: String?, owner: String) -> String? {
        let mark = aliasMark(owner)
        guard let alias, alias.hasPrefix(mark) else { return nil }
        return alias.dropFirst(mark.count).split(separator: " ").first.map(String.init)
    }
}

extension Lease {
    /// `10.88.0.5,fd42::5,sl3k0d9…`: what has to be known of every lease when an address is chosen or a pod looked for is
    /// in the names of the files, so that one listing of the directory tells it.
    var fileName: String { (addresses.map(\.description) + [interface]).joined(separator: ",") }

    /// The lease's file. A key that is not there has its value from ``init(addresses:uid:name:interface:hostPorts:)``.
    var encoded: [UInt8] {
        let ports = hostPorts.map { port in
            var object: JSONObject = [
                "port": .integer(Int64(port.port)), "protocol": .string(port.transport.name),
                "containerPort": .integer(Int64(port.containerPort)),
            ]
            if let address = port.hostIP { object["hostIP"] = .string("\(address)") }
            return JSONValue.object(object)
        }
        var object: JSONObject = [
            "uid": .string(uid), "name": .string(name), "interface": .string(interface),
            "addresses": .array(addresses.map { .string("\($0)") }), "hostPorts": .array(ports),
        ]
        if podInterface != "eth0" { object["podInterface"] = .string(podInterface) }
        if let requestedMAC { object["mac"] = .string("\(requestedMAC)") }
        if let ingressBandwidth { object["ingressBandwidth"] = .integer(Int64(clamping: ingressBandwidth)) }
        if let egressBandwidth { object["egressBandwidth"] = .integer(Int64(clamping: egressBandwidth)) }
        return JSONValue.object(object).encoded() + [UInt8(ascii: "\n")]
    }

    /// nil for a file that is not a whole lease. Leases of versions that knew one address per pod had its text as their
    /// file's name, and it nowhere else.
    init?(fileName: String, encoded: [UInt8]) {
        guard let value = try? JSONValue.parse(encoded), let uid = value["uid"]?.stringValue,
            let name = value["name"]?.stringValue, let interface = value["interface"]?.stringValue,
            let ports = value["hostPorts"]?.arrayValue
        else { return nil }
        let texts = value["addresses"]?.arrayValue?.map { $0.stringValue ?? "" } ?? [fileName]
        let addresses = texts.compactMap { IPAddress($0) }
        guard (1...2).contains(addresses.count), addresses.count == texts.count else { return nil }
        let hostPorts = ports.compactMap(HostPort.init)
        guard hostPorts.count == ports.count else { return nil }
        self.init(addresses: addresses, uid: uid, name: name, interface: interface, hostPorts: hostPorts)
        guard fileName == self.fileName || fileName == "\(addresses[0])" else { return nil }
        if let name = value["podInterface"]?.stringValue { podInterface = name }
        requestedMAC = value["mac"]?.stringValue.flatMap { MACAddress($0) }
        ingressBandwidth = value["ingressBandwidth"]?.integerValue.flatMap { UInt64(exactly: $0) }
        egressBandwidth = value["egressBandwidth"]?.integerValue.flatMap { UInt64(exactly: $0) }
    }
}

extension HostPort {
    fileprivate init?(_ value: JSONValue) {
        guard let number = value["port"]?.integerValue.flatMap({ UInt16(exactly: $0) }),
            let transport = TransportProtocol.allCases.first(where: { $0.name == value["protocol"]?.stringValue }),
            let target = value["containerPort"]?.integerValue.flatMap({ UInt16(exactly: $0) })
        else { return nil }
        let hostIP = value["hostIP"]?.stringValue.flatMap { IPAddress($0) }
        self.init(hostIP: hostIP, port: number, transport: transport, containerPort: target)
    }
}
