import JSONTree
import Netlink

/// What ADD gave ("Success"): interfaces, their addresses, routes and name servers, without regard to the version that
/// they are written in.
public struct CNIResult: Sendable, Hashable {
    /// An interface, of the container or of the host.
    public struct Interface: Sendable, Hashable {
        public var name: String
        /// As the plugin wrote it; nil where link addresses mean nothing.
        public var mac: String?
        /// Bytes (since 1.1.0).
        public var mtu: UInt32?
        /// The path of the network namespace that the interface is in; nil: the host's.
        public var sandbox: String?
        /// An absolute path to a socket that belongs to the interface (since 1.1.0).
        public var socketPath: String?
        /// The platform's name for the device, such as a PCI address (since 1.1.0).
        public var pciID: String?

        public init(name: String, mac: String? = nil, mtu: UInt32? = nil, sandbox: String? = nil) {
            (self.name, self.mac, self.mtu, self.sandbox) = (name, mac, mtu, sandbox)
        }
    }

    /// An address that was given.
    public struct IP: Sendable, Hashable {
        public var address: InterfaceAddress
        public var gateway: IPAddress?
        /// Which of ``CNIResult/interfaces`` has it; nil in what IPAM plugins answer.
        public var interface: Int?

        public init(_ address: InterfaceAddress, gateway: IPAddress? = nil, interface: Int? = nil) {
            (self.address, self.gateway, self.interface) = (address, gateway, interface)
        }
    }

    /// A route of the container. All but destination and gateway came with 1.1.0.
    public struct Route: Sendable, Hashable {
        public var destination: InterfaceAddress
        public var gateway: IPAddress?
        public var mtu: UInt32?
        /// The largest segment to tell TCP peers of.
        public var advertisedMSS: UInt32?
        public var priority: UInt32?
        public var table: UInt32?
        /// As in `linux/rtnetlink.h`: 0 is global, 253 link, 254 host.
        public var scope: UInt8?

        public init(to destination: InterfaceAddress, gateway: IPAddress? = nil) {
            (self.destination, self.gateway) = (destination, gateway)
        }
    }

    /// What goes into a resolv.conf.
    public struct DNS: Sendable, Hashable {
        public var nameservers: [String] = []
        public var domain: String?
        public var search: [String] = []
        public var options: [String] = []

        public init() {}

        public var isEmpty: Bool { self == DNS() }
    }

    public var interfaces: [Interface] = []
    public var ips: [IP] = []
    public var routes: [Route] = []
    public var dns = DNS()

    public init() {}

    /// Addresses of interfaces of the container: those that name none, or one with a sandbox. In the plugin's order.
    public var containerAddresses: [IPAddress] {
        ips.filter { ip in
            guard let index = ip.interface, interfaces.indices.contains(index) else { return true }
            return interfaces[index].sandbox != nil
        }.map(\.address.address)
    }
}

extension CNIResult {
    /// Reads a result of `version`. A member that `version` does not know is passed over.
    public init(_ value: JSONValue, version: CNIVersion) throws(FieldError) {
        let document = try DocumentReader(value)
        for interface in try document.objects("interfaces") {
            interfaces.append(try Interface(interface, version))
        }
        for ip in try document.objects("ips") {
            ips.append(try IP(ip, interfaces: interfaces.count))
        }
        for route in try document.objects("routes") {
            routes.append(try Route(route, version))
        }
        if let dns = try document.object("dns") { self.dns = try DNS(dns) }
    }

    /// The result as `version` writes it; what `version` has no words for is left out.
    public func document(_ version: CNIVersion) -> JSONValue {
        var object: JSONObject = ["cniVersion": .string(version.rawValue)]
        if !interfaces.isEmpty { object["interfaces"] = .array(interfaces.map { $0.document(version) }) }
        if !ips.isEmpty { object["ips"] = .array(ips.map { $0.document(version) }) }
        if !routes.isEmpty { object["routes"] = .array(routes.map { $0.document(version) }) }
        if !dns.isEmpty { object["dns"] = dns.document }
        return .object(object)
    }
}

extension CNIResult.Interface {
    init(_ reader: DocumentReader, _ version: CNIVersion) throws(FieldError) {
        self.init(name: try reader.required("name"), mac: try reader.text("mac"), sandbox: try reader.text("sandbox"))
        if version >= .v110 {
            mtu = try reader.number("mtu")
            socketPath = try reader.text("socketPath")
            pciID = try reader.text("pciID")
        }
    }

    func document(_ version: CNIVersion) -> JSONValue {
        var object: JSONObject = ["name": .string(name)]
        object["mac"] = mac.map { .string($0) }
        if version >= .v110 { object["mtu"] = mtu.map { JSONValue($0) } }
        object["sandbox"] = sandbox.map { .string($0) }
        if version >= .v110 {
            object["socketPath"] = socketPath.map { .string($0) }
            object["pciID"] = pciID.map { .string($0) }
        }
        return .object(object)
    }
}

extension CNIResult.IP {
    init(_ reader: DocumentReader, interfaces count: Int) throws(FieldError) {
        self.init(try reader.network("address"), gateway: try reader.address("gateway"))
        if let index = try reader.integer("interface", 0...Int64(UInt16.max)) {
            // libcni accepts an index without its interface; a reader that believed it would look beyond the list.
            guard index < count else {
                throw .invalid(
                    reader.path.field("interface"), .integer(index), "the result has \(count) interfaces")
            }
            interface = Int(index)
        }
    }

    func document(_ version: CNIVersion) -> JSONValue {
        var object = JSONObject()
        if version.isOld { object["version"] = address.address.bitWidth == 32 ? "4" : "6" }
        object["interface"] = interface.map { JSONValue($0) }
        object["address"] = .string("\(address)")
        object["gateway"] = gateway.map { .string("\($0)") }
        return .object(object)
    }
}

extension CNIResult.Route {
    init(_ reader: DocumentReader, _ version: CNIVersion) throws(FieldError) {
        self.init(to: try reader.network("dst"), gateway: try reader.address("gw"))
        if version >= .v110 {
            mtu = try reader.number("mtu")
            advertisedMSS = try reader.number("advmss")
            priority = try reader.number("priority")
            table = try reader.number("table")
            scope = try reader.integer("scope", 0...255).map { UInt8($0) }
        }
    }

    func document(_ version: CNIVersion) -> JSONValue {
        var object: JSONObject = ["dst": .string("\(destination)")]
        object["gw"] = gateway.map { .string("\($0)") }
        if version >= .v110 {
            object["mtu"] = mtu.map { JSONValue($0) }
            object["advmss"] = advertisedMSS.map { JSONValue($0) }
            object["priority"] = priority.map { JSONValue($0) }
            object["table"] = table.map { JSONValue($0) }
            object["scope"] = scope.map { JSONValue($0) }
        }
        return .object(object)
    }
}

extension CNIResult.DNS {
    init(_ reader: DocumentReader) throws(FieldError) {
        nameservers = try reader.strings("nameservers")
        domain = try reader.text("domain")
        search = try reader.strings("search")
        options = try reader.strings("options")
    }

    var document: JSONValue {
        var object = JSONObject()
        func set(_ key: String, _ texts: [String]) {
            if !texts.isEmpty { object[key] = .array(texts.map { .string($0) }) }
        }
        set("nameservers", nameservers)
        object["domain"] = domain.map { .string($0) }
        set("search", search)
        set("options", options)
        return .object(object)
    }
}

extension DocumentReader {
    fileprivate func number(_ key: String) throws(FieldError) -> UInt32? {
        try integer(key, 0...Int64(UInt32.max)).map { UInt32($0) }
    }

    fileprivate func network(_ key: String) throws(FieldError) -> InterfaceAddress {
        let text = try required(key)
        guard let address = InterfaceAddress(text) else {
            throw .invalid(path.field(key), .string(text), "not an address with a prefix length, such as 10.1.2.3/24")
        }
        return address
    }
}
