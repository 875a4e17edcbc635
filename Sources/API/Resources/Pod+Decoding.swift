// A Pod from a tree: what its author wrote, with the API server's defaults, checked by the API server's rules.

import JSONTree

extension Pod {
    /// Reads a v1 Pod.
    ///
    /// Fields that this type does not hold are passed over: the Schema room refuses them, where the tree comes from a
    /// person. A tree that ``tree`` made gives the same Pod again.
    /// - Throws: everything that is wrong with it.
    public init(tree: JSONValue) throws(InvalidObject) {
        let faults = Faults()
        guard let object = tree.objectValue else {
            throw InvalidObject(errors: [.type(JSONPath(), expected: "an object", got: tree)])
        }
        let reader = FieldReader(object: object, path: JSONPath(), faults: faults)
        let metadata = ObjectMeta(of: reader, nameRule: NameRules.dns1123Subdomain)
        let spec = PodSpec(
            reader.reader("spec") ?? FieldReader(object: [:], path: JSONPath([.field("spec")]), faults: faults))
        try faults.check(and: spec.faults(at: JSONPath([.field("spec")])))
        self.init(metadata: metadata, spec: spec)
    }
}

extension PodSpec {
    init(_ reader: FieldReader) {
        self.init(containers: reader.readers("containers").map { Container($0, kind: .app) })
        initContainers = reader.readers("initContainers").map { Container($0, kind: .initial) }
        volumes = reader.readers("volumes").map { Volume($0) }
        restartPolicy = reader.choice("restartPolicy", .always)
        terminationGracePeriodSeconds =
            reader.integer("terminationGracePeriodSeconds") { $0 < 0 ? ["must be greater than or equal to 0"] : [] }
            ?? 30
        activeDeadlineSeconds = reader.integer("activeDeadlineSeconds") { NameRules.range($0, 1...2_147_483_647) }
        dnsPolicy = reader.choice("dnsPolicy", .clusterFirst)
        dnsConfig = reader.reader("dnsConfig").map { DNSConfig($0) }
        hostNetwork = reader.boolean("hostNetwork") ?? false
        hostPID = reader.boolean("hostPID") ?? false
        hostIPC = reader.boolean("hostIPC") ?? false
        shareProcessNamespace = reader.boolean("shareProcessNamespace") ?? false
        hostname = reader.name("hostname", NameRules.dns1123Label)
        subdomain = reader.name("subdomain", NameRules.dns1123Label)
        setHostnameAsFQDN = reader.boolean("setHostnameAsFQDN") ?? false
        hostAliases = reader.readers("hostAliases").map { HostAlias($0) }
        if let context = reader.reader("securityContext") { securityContext = PodSecurityContext(context) }
        nodeName = reader.name("nodeName", NameRules.dns1123Subdomain)
        // serviceAccount is the older name of the same field.
        let account = reader["serviceAccountName"] == nil ? "serviceAccount" : "serviceAccountName"
        serviceAccountName = reader.name(account, NameRules.dns1123Subdomain)
        if hostNetwork { mapPortsToHost() }
    }

    /// In the host's network every container port is a host port (as the API server defaults it).
    private mutating func mapPortsToHost() {
        func mapped(_ container: Container) -> Container {
            var container = container
            container.ports = container.ports.map { port in
                var port = port
                port.hostPort = port.hostPort ?? port.containerPort
                return port
            }
            return container
        }
        containers = containers.map(mapped)
        initContainers = initContainers.map(mapped)
    }
}

extension DNSConfig {
    init(_ reader: FieldReader) {
        self.init()
        nameservers = reader.strings("nameservers")
        for (index, server) in nameservers.enumerated() where !isIPAddress(server) {
            reader.add(.invalid(reader.path.field("nameservers").index(index), .string(server), ipAddressMessage))
        }
        if nameservers.count > 3 {
            reader.invalid("nameservers", .strings(nameservers), ["must not have more than 3 nameservers"])
        }
        searches = reader.strings("searches")
        for (index, domain) in searches.enumerated() where domain != "." {
            let name = domain.hasSuffix(".") ? String(domain.dropLast()) : domain
            for message in NameRules.dns1123Subdomain(name) {
                reader.add(.invalid(reader.path.field("searches").index(index), .string(domain), message))
            }
        }
        if searches.count > 32 {
            reader.invalid("searches", .strings(searches), ["must not have more than 32 search paths"])
        }
        if searches.joined(separator: " ").utf8.count > 2048 {
            reader.invalid(
                "searches", .strings(searches),
                ["must not have more than 2048 characters (including spaces) in the search list"])
        }
        options = reader.readers("options").map { option in
            Option(name: option.required("name", "must not be empty"), value: option.string("value"))
        }
    }
}

extension HostAlias {
    init(_ reader: FieldReader) {
        let ip = reader.string("ip") ?? ""
        if !isIPAddress(ip) { reader.invalid("ip", .string(ip), [ipAddressMessage]) }
        let hostnames = reader.strings("hostnames")
        for (index, hostname) in hostnames.enumerated() {
            for message in NameRules.dns1123Subdomain(hostname) {
                reader.add(.invalid(reader.path.field("hostnames").index(index), .string(hostname), message))
            }
        }
        self.init(ip: ip, hostnames: hostnames)
    }
}

extension FieldReader {
    /// A name that may be left out, checked by `rule`.
    func name(_ field: String, _ rule: (String) -> [String]) -> String? {
        guard let name = text(field) else { return nil }
        invalid(field, .string(name), rule(name))
        return name
    }
}
