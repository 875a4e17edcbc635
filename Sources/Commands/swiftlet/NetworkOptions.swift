// The options of `swiftlet node` about networks: how its pods are connected, and how they reach pods of other nodes.
import ArgumentParser
import Glibc
import LocalNode
import Overlay

extension NetworkSettings.Mode: ExpressibleByArgument {}
extension OverlayBackend: ExpressibleByArgument {}

struct NetworkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Addresses for pods: a network, or one of each family joined by a comma (default: 10.42.0.0/24, or what "
                + "--leases says).", valueName: "cidr"))
    var podCidr: String?

    @Option(
        help: """
            What connects this node's pods: a veth pair and a route for each, a bridge for all, or the plugins of \
            --cni-conf-dir.
            """)
    var network = NetworkSettings.Mode.pointToPoint

    @Option(
        help: ArgumentHelp(
            "Bytes of a packet on pods' interfaces (default: what fits the way between the nodes).",
            valueName: "bytes"))
    var mtu: Int64?

    @Option(
        help: """
            How pods of other nodes are reached: VXLAN as flannel speaks it, the same with plain routes to nodes on the \
            same link, plain routes only, a tunnel with one route for each node, or not at all (default: vxlan with \
            --leases, else none).
            """)
    var overlay: OverlayBackend?

    @Option(
        help: ArgumentHelp(
            "The nodes and their pod networks, YAML or JSON; followed while running.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var leases: String?

    @Option(help: ArgumentHelp("VXLAN network identifier, the same on all nodes.", valueName: "number"))
    var overlayVni: Int64 = 1

    @Option(help: ArgumentHelp("UDP port of VXLAN, the same on all nodes.", valueName: "port"))
    var overlayPort: Int64 = 8472

    @Option(
        help: ArgumentHelp(
            "The interface towards the other nodes (default: the one that has this node's public address).",
            valueName: "name"))
    var overlayInterface: String?

    @Option(
        help: ArgumentHelp("Where --network cni finds network configurations.", valueName: "dir"),
        completion: .directory)
    var cniConfDir = "/etc/cni/net.d"

    @Option(
        help: ArgumentHelp("Where --network cni finds plugins: directories joined by colons.", valueName: "dirs"))
    var cniBinDir = "/opt/cni/bin:/usr/lib/cni"

    func validate() throws {
        if let mtu, !(576...65535).contains(mtu) { throw ValidationError("--mtu must be 576 to 65535.") }
        if !(1...16_777_215).contains(overlayVni) { throw ValidationError("--overlay-vni must be 1 to 16777215.") }
        if !(1...65535).contains(overlayPort) { throw ValidationError("--overlay-port must be 1 to 65535.") }
        if leases != nil, podCidr != nil {
            throw ValidationError("--leases says which addresses this node's pods have; leave out --pod-cidr.")
        }
        if let overlay, overlay != .none, leases == nil {
            throw ValidationError("--overlay \(overlay.rawValue) needs --leases, the file that names the nodes.")
        }
        if network == .cni {
            if leases != nil || podCidr != nil || mtu != nil {
                throw ValidationError(
                    "With --network cni the plugins choose addresses and reach other nodes; leave out --pod-cidr, --mtu, "
                        + "--leases and --overlay.")
            }
        }
    }

    /// What the options say. Paths become absolute: the agent changes its directory to `/`.
    func settings() throws -> NetworkSettings {
        var settings = NetworkSettings()
        settings.mode = network
        if let podCidr { settings.podCIDRs = podCidr.split(separator: ",").map(String.init) }
        if leases != nil { settings.podCIDRs = [] }
        settings.mtu = mtu
        settings.overlay = overlay ?? (leases == nil ? .none : .vxlan)
        settings.leasesFile = try leases.map(absolutePath)
        settings.vni = overlayVni
        settings.overlayPort = overlayPort
        settings.overlayInterface = overlayInterface
        settings.cniConfigurationDirectory = try absolutePath(cniConfDir)
        settings.cniPluginDirectories = try cniBinDir.split(separator: ":").map { try absolutePath(String($0)) }
        return settings
    }
}

/// `path`, taken from the present directory where it is relative.
func absolutePath(_ path: String) throws -> String {
    if path.hasPrefix("/") { return path }
    guard let directory = getcwd(nil, 0) else { throw CommandError("getcwd: \(String(cString: strerror(errno)))") }
    defer { free(directory) }
    return "\(String(cString: directory))/\(path)"
}
