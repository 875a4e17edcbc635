// A Service from a tree, with the API server's defaults, checked by its rules.

import JSONTree

extension Service {
    /// The ports that a NodePort Service may ask for.
    public static let nodePortRange: ClosedRange<Int64> = 30000...32767

    /// Reads a v1 Service.
    ///
    /// Fields that this type does not hold are passed over: the Schema room refuses them, where the tree comes from a
    /// person. A tree that ``tree`` made gives the same Service again.
    /// - Throws: everything that is wrong with it.
    public init(tree: JSONValue) throws(InvalidObject) {
        let faults = Faults()
        guard let object = tree.objectValue else {
            throw InvalidObject(errors: [.type(JSONPath(), expected: "an object", got: tree)])
        }
        let reader = FieldReader(object: object, path: JSONPath(), faults: faults)
        let metadata = ObjectMeta(of: reader, nameRule: NameRules.dns1035Label)
        let path = JSONPath([.field("spec")])
        let spec = ServiceSpec(reader.reader("spec") ?? FieldReader(object: [:], path: path, faults: faults))
        try faults.check(and: spec.faults(at: path))
        self.init(metadata: metadata, spec: spec)
    }
}

extension ServiceSpec {
    init(_ reader: FieldReader) {
        self.init()
        type = reader.choice("type", .clusterIP)
        clusterIP = reader.clusterIP(type)
        selector = reader.labels("selector")
        ports = reader.readers("ports").map { ServicePort($0, type) }
    }

    func faults(at path: JSONPath) -> [FieldError] {
        let path = path.field("ports")
        if ports.isEmpty { return clusterIP == "None" ? [] : [.required(path)] }
        var faults: [FieldError] = []
        if ports.count > 1 {
            for (index, port) in ports.enumerated() where port.name == nil {
                faults.append(.required(path.index(index).field("name")))
            }
        }
        faults += duplicates(ports.enumerated().map { ($1.name ?? "", path.index($0).field("name")) })
        faults += duplicates(
            ports.enumerated().compactMap { index, port in
                port.port == 0 ? nil : ("\(port.protocol.rawValue)/\(port.port)", path.index(index))
            })
        faults += duplicates(
            ports.enumerated().compactMap { index, port in
                port.nodePort.map { ("\(port.protocol.rawValue)/\($0)", path.index(index).field("nodePort")) }
            })
        return faults
    }
}

extension ServicePort {
    init(_ reader: FieldReader, _ type: ServiceSpec.Kind) {
        let number = reader.integer("port", check: NameRules.portNumber) ?? 0
        if reader["port"] == nil { reader.add(.required(reader.path.field("port"))) }
        self.init(port: UInt16(clamping: number))
        name = reader.name("name", NameRules.dns1123Label)
        self.protocol = reader.choice("protocol", .tcp)
        targetPort = reader.targetPort() ?? .number(port)
        guard let asked = reader.integer("nodePort"), asked != 0 else { return }
        if type == .clusterIP {
            reader.add(.forbidden(reader.path.field("nodePort"), "may not be used when `type` is 'ClusterIP'"))
        } else if !Service.nodePortRange.contains(asked) {
            let range = "\(Service.nodePortRange.lowerBound)-\(Service.nodePortRange.upperBound)"
            let message = "provided port is not in the valid range. The range of valid ports is \(range)"
            reader.invalid("nodePort", .integer(asked), [message])
        } else {
            nodePort = UInt16(exactly: asked)
        }
    }
}

extension FieldReader {
    /// A number or the name of a container's port; nil where it is left out or wrong.
    fileprivate func targetPort() -> ServicePort.Target? {
        let value = self["targetPort"]
        switch value {
        case nil, 0, "": return nil
        case .integer(let number)?:
            invalid("targetPort", .integer(number), NameRules.portNumber(number))
            return UInt16(exactly: number).map { .number($0) }
        case .string(let name)?:
            invalid("targetPort", .string(name), NameRules.portName(name))
            return .name(name)
        case let other?:
            add(.type(path.field("targetPort"), expected: "an integer or a string", got: other))
            return nil
        }
    }

    /// The address asked for: `clusterIP`, or the first of `clusterIPs`, which must agree.
    fileprivate func clusterIP(_ type: ServiceSpec.Kind) -> String {
        let list = strings("clusterIPs")
        let single = text("clusterIP")
        let (place, address) =
            single.map { (path.field("clusterIP"), $0) } ?? (path.field("clusterIPs").index(0), list.first ?? "")
        if let single, let first = list.first, single != first {
            add(.invalid(path.field("clusterIPs"), .strings(list), "first value must match `clusterIP`"))
        }
        if list.count > 1 {
            let message = "a second address is valid in Kubernetes but not served by Swiftlet yet: IPv4 only"
            add(FieldError(path.field("clusterIPs").index(1), .notServed, message))
        }
        if address == "None" {
            if type == .nodePort { add(.invalid(place, "None", "may not be set to 'None' for NodePort services")) }
        } else if isIPv6Address(address) {
            let message = "an IPv6 address is valid in Kubernetes but not served by Swiftlet yet: IPv4 only"
            add(FieldError(place, .notServed, message))
        } else if !address.isEmpty, !isIPv4Address(address) {
            add(.invalid(place, .string(address), ipAddressMessage))
        }
        return address
    }
}
