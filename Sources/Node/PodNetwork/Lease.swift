import JSONTree
import Linux
import NFTables
import Netlink

/// Who has an address, and with it an interface and host ports: what has to be known to take all of it back.
struct Lease: Sendable, Hashable {
    var address: IPv4Address
    var uid: String
    /// `namespace/name`, for people.
    var name: String
    /// The host's end of the pod's link.
    var interface: String
    var hostPorts: [HostPort]

    static func validate(uid: String, hostPorts: [HostPort]) throws(PodNetworkError) {
        guard (1...128).contains(uid.utf8.count), uid.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw .invalidConfiguration("pod uid '\(uid)': need 1 to 128 printable ASCII characters")
        }
        for (position, port) in hostPorts.enumerated() {
            if port.port == 0 || port.containerPort == 0 { throw .invalidHostPort(port, "ports are 1 to 65535") }
            if case .v6 = port.hostIP { throw .invalidHostPort(port, "IPv6 is not served yet") }
            if hostPorts[..<position].contains(where: port.conflicts) {
                throw .invalidHostPort(port, "the pod names it twice")
            }
        }
    }

    /// What is written on the host's interface: whose it is, in two words that `ip link` shows. At most 255 bytes.
    var alias: String {
        var text = "\(Self.aliasMark)\(uid) \(name)"
        while text.utf8.count > 255 { text.removeLast() }
        return text
    }

    static let aliasMark = "swiftlet pod "

    /// The uid in an alias of ours; nil if it is somebody else's.
    static func uid(inAlias alias: String?) -> String? {
        guard let alias, alias.hasPrefix(aliasMark) else { return nil }
        return alias.dropFirst(aliasMark.count).split(separator: " ").first.map(String.init)
    }
}

extension Lease {
    /// The lease's file. No key is optional but `hostIP`.
    var encoded: [UInt8] {
        let ports = hostPorts.map { port in
            var object: JSONObject = [
                "port": .integer(Int64(port.port)), "protocol": .string(port.transport.name),
                "containerPort": .integer(Int64(port.containerPort)),
            ]
            if let address = port.hostIP { object["hostIP"] = .string("\(address)") }
            return JSONValue.object(object)
        }
        let object: JSONObject = [
            "uid": .string(uid), "name": .string(name), "interface": .string(interface), "hostPorts": .array(ports),
        ]
        return JSONValue.object(object).encoded() + [UInt8(ascii: "\n")]
    }

    /// nil for a file that is not a whole lease.
    init?(address: IPv4Address, encoded: [UInt8]) {
        guard let value = try? JSONValue.parse(encoded), let uid = value["uid"]?.stringValue,
            let name = value["name"]?.stringValue, let interface = value["interface"]?.stringValue,
            let ports = value["hostPorts"]?.arrayValue
        else { return nil }
        var hostPorts: [HostPort] = []
        for port in ports {
            guard let number = port["port"]?.integerValue.flatMap({ UInt16(exactly: $0) }),
                let transport = TransportProtocol.allCases.first(where: { $0.name == port["protocol"]?.stringValue }),
                let target = port["containerPort"]?.integerValue.flatMap({ UInt16(exactly: $0) })
            else { return nil }
            let hostIP = port["hostIP"]?.stringValue.flatMap { IPAddress($0) }
            hostPorts.append(HostPort(hostIP: hostIP, port: number, transport: transport, containerPort: target))
        }
        self.init(address: address, uid: uid, name: name, interface: interface, hostPorts: hostPorts)
    }
}
