import JSONTree
import Manifests
import Netlink

/// Leases in a file, for nodes without a control plane:
///
///     nodes:
///       - name: a
///         publicIP: 192.0.2.1           # IPv4
///         publicIPv6: 2001:db8::1
///         podCIDR: 10.42.1.0/24         # or podCIDRs: [10.42.1.0/24, "fd42:0:0:1::/64"]
///         vtepMAC: "02:00:00:00:00:01"  # vtepMAC, vtepMACv6: only where the node does not derive them
public enum LeaseFile {
    /// The largest file that is read, in bytes.
    public static let maximumSize = 8 << 20

    /// What a file says: entries that are right, and what is wrong with the others.
    struct Content: Sendable, Hashable {
        var leases: [NodeLease] = []
        /// Names of entries that are wrong, as far as they have one.
        var broken: Set<String> = []
        var problems: [FieldError] = []
    }

    /// The leases of a document.
    /// - Throws: ``OverlayError/leases(_:)`` with everything that is wrong with it.
    public static func parse(_ document: JSONValue) throws(OverlayError) -> [NodeLease] {
        let content = read(document)
        guard content.problems.isEmpty else { throw .leases(content.problems.map(\.description)) }
        return content.leases
    }

    /// The leases of a file, YAML or JSON; `fileName` is what errors call it.
    /// - Throws: ``OverlayError/leases(_:)`` with everything that is wrong with it, each with file and line.
    public static func parse(_ bytes: [UInt8], fileName: String) throws(OverlayError) -> [NodeLease] {
        let (content, lines) = try read(bytes, fileName: fileName)
        guard lines.isEmpty else { throw .leases(lines) }
        return content.leases
    }

    /// As ``parse(_:fileName:)``, but with what is right of a file some of whose entries are wrong: those are left out, and
    /// told one a line.
    public static func parseTolerantly(
        _ bytes: [UInt8], fileName: String
    ) throws(OverlayError) -> (leases: [NodeLease], problems: [String]) {
        let (content, problems) = try read(bytes, fileName: fileName)
        return (content.leases, problems)
    }

    /// As ``parse(_:fileName:)``, with what is right of a file some of whose entries are wrong.
    /// - Throws: Where it is no list of leases at all.
    static func read(
        _ bytes: [UInt8], fileName: String
    ) throws(OverlayError) -> (content: Content, problems: [String]) {
        let file: TreeFile
        do throws(ManifestErrors) {
            file = try TreeFile.parse(bytes, fileName: fileName)
        } catch {
            throw .leases(error.errors.map { "\($0)" })
        }
        let content = read(file.tree)
        let lines = content.problems.map { "\(file.error($0))" }
        if file.tree["nodes"]?.arrayValue == nil { throw .leases(lines) }
        return (content, lines)
    }

    private static func read(_ document: JSONValue) -> Content {
        var content = Content()
        let root = JSONPath()
        guard case .object(let object) = document else {
            content.problems = [.type(root, expected: "an object with the list nodes", got: document)]
            return content
        }
        for name in object.keys where name != "nodes" {
            content.problems.append(FieldError(root.field(name), .unknown, "unknown field; known is nodes"))
        }
        let path = root.field("nodes")
        guard case .array(let nodes)? = object["nodes"] else {
            content.problems.append(
                object["nodes"].map { .type(path, expected: "a list", got: $0) } ?? .required(path))
            return content
        }
        for (index, node) in nodes.enumerated() {
            var reader = LeaseReader(path: path.index(index))
            if let lease = reader.read(node) {
                content.leases.append(lease)
            } else if let name = node["name"]?.stringValue {
                content.broken.insert(name)
            }
            content.problems += reader.problems
        }
        return content
    }
}

/// Reads one entry.
private struct LeaseReader {
    static let fields = ["name", "publicIP", "publicIPv6", "podCIDR", "podCIDRs", "vtepMAC", "vtepMACv6"]

    let path: JSONPath
    var problems: [FieldError] = []

    init(path: JSONPath) { self.path = path }

    /// nil if anything is wrong.
    mutating func read(_ node: JSONValue) -> NodeLease? {
        guard case .object(let object) = node else {
            problems.append(.type(path, expected: "an object", got: node))
            return nil
        }
        for field in object.keys where !Self.fields.contains(field) {
            problems.append(
                FieldError(
                    path.field(field), .unknown, "unknown field; known are \(Self.fields.joined(separator: ", "))"))
        }
        let name = text("name", object)
        if name?.isEmpty ?? true, problems.isEmpty { problems.append(.required(path.field("name"))) }
        var lease = NodeLease(name: name ?? "", podCIDRs: [])
        lease.publicIPv4 = value("publicIP", object, "an IPv4 address; an IPv6 one goes into publicIPv6") {
            IPv4Address($0)
        }
        lease.publicIPv6 = value("publicIPv6", object, "an IPv6 address") { IPv6Address($0) }
        if lease.publicIPv4 == nil && lease.publicIPv6 == nil && problems.isEmpty {
            problems.append(FieldError(path, .required, "needs publicIP or publicIPv6"))
        }
        lease.vtepMAC = value("vtepMAC", object, "an Ethernet address, six pairs of digits joined by colons") {
            MACAddress($0)
        }
        lease.vtepMACv6 = value("vtepMACv6", object, "an Ethernet address, six pairs of digits joined by colons") {
            MACAddress($0)
        }
        lease.podCIDRs = networks(object)
        return problems.isEmpty ? lease : nil
    }

    private mutating func networks(_ object: JSONObject) -> [CIDR] {
        var texts: [(JSONPath, JSONValue)] = []
        if let one = object["podCIDR"], !one.isNull { texts.append((path.field("podCIDR"), one)) }
        if let all = object["podCIDRs"], !all.isNull {
            let path = path.field("podCIDRs")
            if !texts.isEmpty {
                problems.append(.forbidden(path, "there is a podCIDR: name all networks here instead"))
            }
            guard case .array(let elements) = all else {
                problems.append(.type(path, expected: "a list", got: all))
                return []
            }
            texts = elements.enumerated().map { (path.index($0), $1) }
        }
        if texts.isEmpty && problems.isEmpty { problems.append(.required(path.field("podCIDR"))) }
        var networks: [CIDR] = []
        for (path, value) in texts {
            guard let text = value.stringValue else {
                problems.append(.type(path, expected: "a string", got: value))
                continue
            }
            guard let network = CIDR(text) else {
                problems.append(.invalid(path, value, Self.explain(text)))
                continue
            }
            if networks.contains(where: { $0.address.ipFamily == network.address.ipFamily }) {
                problems.append(.invalid(path, value, "a node has one network per family"))
            }
            networks.append(network)
        }
        return networks
    }

    /// What is wrong with a network, most of all the address of a host in its place.
    private static func explain(_ text: String) -> String {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, let address = IPAddress(String(parts[0])), let length = Int(parts[1]),
            let network = CIDR(containing: address, prefixLength: length)
        {
            return "bits after the prefix are set; the network is \(network)"
        }
        return "need an address and a prefix length, such as 10.42.1.0/24"
    }

    private mutating func text(_ field: String, _ object: JSONObject) -> String? {
        switch object[field] {
        case nil, .null?: return nil
        case .string(let text)?: return text
        case let other?:
            problems.append(.type(path.field(field), expected: "a string", got: other))
            return nil
        }
    }

    private mutating func value<Value>(
        _ field: String, _ object: JSONObject, _ expected: String, _ parse: (String) -> Value?
    ) -> Value? {
        guard let text = text(field, object) else { return nil }
        guard let value = parse(text) else {
            problems.append(.invalid(path.field(field), .string(text), "need \(expected)"))
            return nil
        }
        return value
    }
}
