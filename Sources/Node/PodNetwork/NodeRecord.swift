import Glibc
import JSONTree
import Linux
import Netlink

/// What this module set up and changed on the host, kept on disk so that the next owner knows what to take back, and
/// `reset` what to restore: `node.json` in the pod network's directory.
struct NodeRecord: Sendable, Hashable {
    var owner: String
    var podCIDRs: [CIDR]
    /// nil: point to point.
    var bridge: String?
    /// What else of the configuration the tables are made of.
    var variant = ""
    /// What an earlier configuration had and may have left, until it is sure that it is gone.
    var formerCIDRs: [CIDR] = []
    var formerBridges: [String] = []
    /// Settings of the host's own that were changed, and what they were, in the order of their change.
    var settings: [Setting] = []
    /// Names the boot that all this was true in (/proc/sys/kernel/random/boot_id).
    var boot = ""

    /// A file below /proc/sys.
    struct Setting: Sendable, Hashable {
        var name: String
        var before: String
    }

    init(_ configuration: PodNetworkConfiguration) {
        owner = configuration.owner
        podCIDRs = configuration.podCIDRs
        bridge = configuration.mode.bridge
        let networks = CIDR.disjoint(configuration.unmasqueraded).map(\.description).joined(separator: ",")
        variant = "\(configuration.hostInterfacePrefix) \(configuration.masquerades) \(networks)"
    }

    /// Takes over what `former` had, to be taken back.
    mutating func follow(_ former: NodeRecord) {
        settings = former.settings
        formerCIDRs = former.allCIDRs.filter { !podCIDRs.contains($0) }
        formerBridges = former.allBridges.filter { $0 != bridge }
    }

    var allCIDRs: [CIDR] { podCIDRs + formerCIDRs }
    var allBridges: [String] { [bridge].compactMap(\.self) + formerBridges }

    /// The node's own addresses.
    var nodeAddresses: [IPAddress] { allCIDRs.map { AddressBlock($0).node } }

    private static func path(_ directory: String) -> String { directory + "/node.json" }

    /// nil where there is none, or none that can be read.
    static func read(from directory: String) throws(SystemError) -> NodeRecord? {
        do {
            return NodeRecord(try readFile(path(directory), limit: 1 << 16))
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    private init?(_ bytes: [UInt8]) {
        guard let value = try? JSONValue.parse(bytes) else { return nil }
        owner = value["owner"]?.stringValue ?? PodNetworkConfiguration.defaultOwner
        func networks(_ key: String) -> [CIDR] {
            value[key]?.arrayValue?.compactMap { $0.stringValue.flatMap { CIDR($0) } } ?? []
        }
        podCIDRs = networks("podCIDRs")
        formerCIDRs = networks("formerPodCIDRs")
        formerBridges = value["formerBridges"]?.arrayValue?.compactMap(\.stringValue) ?? []
        variant = value["variant"]?.stringValue ?? ""
        bridge = value["bridge"]?.stringValue
        boot = value["boot"]?.stringValue ?? ""
        for setting in value["settings"]?.arrayValue ?? [] {
            guard let name = setting["name"]?.stringValue, let before = setting["before"]?.stringValue else { continue }
            settings.append(Setting(name: name, before: before))
        }
        readOldForm(value)
        if podCIDRs.isEmpty { return nil }
    }

    /// Versions that knew one IPv4 address wrote that, and one setting. That the address is the network's second is all
    /// that is known of the network: /30 has it as its node's address.
    private mutating func readOldForm(_ value: JSONValue) {
        if let node = value["nodeAddress"]?.stringValue.flatMap({ IPAddress($0) }), podCIDRs.isEmpty {
            podCIDRs = CIDR(containing: node, prefixLength: 30).map { [$0] } ?? []
        }
        if let before = value["net.ipv4.ip_forward"]?.stringValue {
            settings.append(Setting(name: "net.ipv4.ip_forward", before: before))
        }
    }

    func write(to directory: String) throws(SystemError) {
        let list = settings.map { setting in
            JSONValue.object(["name": .string(setting.name), "before": .string(setting.before)])
        }
        var object: JSONObject = [
            "owner": .string(owner), "podCIDRs": .array(podCIDRs.map { .string("\($0)") }),
            "settings": .array(list), "boot": .string(boot), "variant": .string(variant),
        ]
        if !formerCIDRs.isEmpty { object["formerPodCIDRs"] = .array(formerCIDRs.map { .string("\($0)") }) }
        if !formerBridges.isEmpty { object["formerBridges"] = .array(formerBridges.map { .string($0) }) }
        if let bridge { object["bridge"] = .string(bridge) }
        try writeFileAtomically(Self.path(directory), JSONValue.object(object).encoded() + [UInt8(ascii: "\n")])
    }
}
