// How a node was told to connect its pods, and to take part in the network of other nodes; a part of `node.json`.
import JSONTree
import Netlink
import Overlay

/// What `swiftlet node` was told about networks.
public struct NetworkSettings: Sendable, Hashable {
    /// What connects the pods of this node.
    public enum Mode: String, Sendable, CaseIterable {
        /// A veth pair for each pod, and a route to each.
        case pointToPoint = "point-to-point"
        /// A veth pair for each pod, and a bridge for all.
        case bridge
        /// The plugins of `/etc/cni/net.d`.
        case cni
    }

    public var mode = Mode.pointToPoint
    /// Where pods' addresses come from, one network of each family; empty: the leases file says it.
    public var podCIDRs: [String] = Self.defaultPodCIDRs
    /// Bytes of the largest packet of pods' interfaces; nil: what fits into the way between the nodes.
    public var mtu: Int64?
    /// How pods of other nodes are reached.
    public var overlay = OverlayBackend.none
    /// The file that names all nodes; an absolute path. nil: there are no others.
    public var leasesFile: String?
    /// The VXLAN network identifier, 1 to 16777215.
    public var vni: Int64 = 1
    /// The UDP port of VXLAN.
    public var overlayPort: Int64 = 8472
    /// The interface towards the other nodes; nil: the one that has the node's public address.
    public var overlayInterface: String?
    /// Where `--network cni` finds network configurations.
    public var cniConfigurationDirectory = "/etc/cni/net.d"
    /// Where it finds plugins, in this order.
    public var cniPluginDirectories = ["/opt/cni/bin", "/usr/lib/cni"]

    public static let defaultPodCIDRs = ["10.42.0.0/24"]

    public init() {}

    init(tree: JSONValue) {
        mode = tree["network"]?.stringValue.flatMap(Mode.init) ?? mode
        podCIDRs =
            tree["podCIDRs"]?.arrayValue?.compactMap(\.stringValue)
            // What version 0.1.0 wrote.
            ?? tree["podCIDR"]?.stringValue.map { [$0] } ?? podCIDRs
        mtu = tree["mtu"]?.integerValue
        overlay = tree["overlay"]?.stringValue.flatMap(OverlayBackend.init) ?? overlay
        leasesFile = tree["leasesFile"]?.stringValue
        vni = tree["vni"]?.integerValue ?? vni
        overlayPort = tree["overlayPort"]?.integerValue ?? overlayPort
        overlayInterface = tree["overlayInterface"]?.stringValue
        cniConfigurationDirectory = tree["cniConfigurationDirectory"]?.stringValue ?? cniConfigurationDirectory
        cniPluginDirectories =
            tree["cniPluginDirectories"]?.arrayValue?.compactMap(\.stringValue) ?? cniPluginDirectories
    }

    func put(into tree: inout JSONObject) {
        tree["network"] = .string(mode.rawValue)
        tree["podCIDRs"] = .array(podCIDRs.map { .string($0) })
        tree["overlay"] = .string(overlay.rawValue)
        tree["vni"] = .integer(vni)
        tree["overlayPort"] = .integer(overlayPort)
        tree["cniConfigurationDirectory"] = .string(cniConfigurationDirectory)
        tree["cniPluginDirectories"] = .array(cniPluginDirectories.map { .string($0) })
        if let mtu { tree["mtu"] = .integer(mtu) }
        if let leasesFile { tree["leasesFile"] = .string(leasesFile) }
        if let overlayInterface { tree["overlayInterface"] = .string(overlayInterface) }
    }

    /// The networks of ``podCIDRs``, IPv4 first.
    func podNetworks() throws(NodeError) -> [CIDR] {
        var networks: [CIDR] = []
        for text in podCIDRs {
            guard let network = CIDR(text) else {
                throw NodeError("--pod-cidr '\(text)': need a network such as 10.42.0.0/24 or fd42::/64")
            }
            guard !networks.contains(where: { $0.address.bitWidth == network.address.bitWidth }) else {
                throw NodeError(
                    "--pod-cidr \(podCIDRs.joined(separator: ",")): need one network of each family at most")
            }
            networks.append(network)
        }
        return networks.sorted { $0.address.bitWidth < $1.address.bitWidth }
    }
}
