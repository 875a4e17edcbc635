// What connects this node's pods: the node's own pod network, joined with those of other nodes by the overlay, or
// somebody else's plugins.
import CNI
import ContainerRuntime
import Glibc
import Linux
import Logging
import Netlink
import Overlay
import PodEngine
import PodNetwork

enum NodeNetwork: Sendable {
    case own(JoinedPodNetwork)
    case plugins(CNINetwork)

    /// Takes over what an earlier agent left. Blocks for a moment.
    init(_ settings: NodeSettings, eventLoop: EventLoop, logger: Logger) throws(NodeError) {
        do {
            switch settings.network.mode {
            case .pointToPoint, .bridge:
                self = .own(try JoinedPodNetwork(settings, eventLoop: eventLoop, logger: logger))
            case .cni:
                // What a run of another kind left would lead the plugins' packets astray. Its pods start anew.
                let namespace = try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
                try Overlay.removeEverything(in: namespace)
                try PodNetwork.removeEverything(directory: "\(settings.dataDirectory)/network", in: namespace)
                self = .plugins(CNINetwork(settings.pluginConfiguration))
            }
        } catch let error as NodeError {
            throw error
        } catch {
            throw NodeError("\(error)")
        }
    }

    func connector(logger: Logger) -> any PodConnector {
        switch self {
        case .own(let network): OwnPodNetwork(network: network.pods)
        case .plugins(let network): PluginNetwork(network: network, logger: logger)
        }
    }

    /// Makes ready what has to be before pods are attached; says what stands in the way.
    func prepare(_ settings: NodeSettings, logger: Logger) async {
        switch self {
        case .own(let network):
            await settings.detachFromPlugins { logger.error("\($0)") }
            await network.join()
        case .plugins(let network):
            do throws(ChainError) {
                try await network.status()
            } catch {
                logger.error("no pod can be connected until this is mended: \(error)")
            }
        }
    }

    /// Where this node's pods have their addresses from; empty where plugins choose.
    var podCIDRs: [CIDR] {
        switch self {
        case .own(let network): network.podCIDRs
        case .plugins: []
        }
    }

    /// For people: `10.42.0.0/24,fd42::/64 over vxlan`.
    var description: String {
        switch self {
        case .own(let network):
            network.podCIDRs.map(\.description).joined(separator: ",")
                + (network.overlay.map { " over \($0.state.configuration.backend.rawValue)" } ?? "")
        case .plugins(let network): "by the plugins of \(network.configuration.configurationDirectory)"
        }
    }
}

extension NodeSettings {
    /// Has the plugins of a node that had some take back what they gave to pods.
    func detachFromPlugins(_ complain: (String) -> Void) async {
        guard fileExists("\(dataDirectory)/cni") else { return }
        do throws(ChainError) {
            let report = try await CNINetwork(pluginConfiguration).reconcile(live: [])
            for problem in report.problems { complain("CNI: \(problem)") }
        } catch {
            complain("CNI: \(error)")
        }
    }

    /// Where CNI plugins and what is known of their work are.
    var pluginConfiguration: CNINetwork.Configuration {
        var configuration = CNINetwork.Configuration(
            directory: "\(dataDirectory)/cni", namespaceDirectory: "\(runDirectory)/netns")
        configuration.configurationDirectory = network.cniConfigurationDirectory
        configuration.pluginDirectories = network.cniPluginDirectories
        return configuration
    }
}

/// ``PodNetwork`` as the pod engine wants it.
private struct OwnPodNetwork: PodConnector {
    let network: PodNetwork

    func attach(
        _ request: PodConnectionRequest, to sandbox: borrowing SandboxNetwork, pid: pid_t
    ) async throws -> [IPAddress] {
        try network.attach(
            uid: request.uid, name: "\(request.namespace)/\(request.name)", networkNamespace: sandbox.namespace,
            routeSocket: sandbox.routeSocket,
            request: PodNetworkRequest(
                hostPorts: request.hostPorts, ingressBandwidth: request.ingressBandwidth,
                egressBandwidth: request.egressBandwidth, addresses: request.addresses, mac: request.mac)
        ).addresses
    }

    func detach(uid: String) async throws { try await network.detachInBackground(uid: uid) }

    func reconcile(live: Set<String>) async throws -> [String] { try network.reconcile(live: live).lost }

    func refresh(uid: String, _ sandbox: borrowing SandboxNetwork) async throws {
        try network.refresh(uid: uid, routeSocket: sandbox.routeSocket)
    }
}

/// A chain of CNI plugins as the pod engine wants it.
private struct PluginNetwork: PodConnector {
    let network: CNINetwork
    let logger: Logger

    func attach(
        _ request: PodConnectionRequest, to sandbox: borrowing SandboxNetwork, pid: pid_t
    ) async throws -> [IPAddress] {
        var pod = CNINetwork.Pod(uid: request.uid, namespace: request.namespace, name: request.name)
        pod.runtime.hostPorts = request.hostPorts
        pod.runtime.ingressBandwidth = request.ingressBandwidth
        pod.runtime.egressBandwidth = request.egressBandwidth
        pod.runtime.addresses = request.addresses.map { RuntimeConfiguration.RequestedAddress($0) }
        pod.runtime.mac = request.mac
        return try await network.attach(pod, networkNamespace: sandbox.namespace).addresses
    }

    func detach(uid: String) async throws { try await network.detach(uid: uid) }

    func reconcile(live: Set<String>) async throws -> [String] {
        let report = try await network.reconcile(live: live)
        for problem in report.problems { logger.error("what a former pod had is not all taken back: \(problem)") }
        return report.lost
    }

    /// The plugins know no other settings than those they were called with.
    func refresh(uid: String, _ sandbox: borrowing SandboxNetwork) async throws {}
}
