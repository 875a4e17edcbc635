// The node's own pod network as one of several: what the leases file says of all nodes goes to the overlay, and what the
// overlay finds (networks, the size of packets, this node's own network) to the pod network.
import Linux
import Logging
import Netlink
import Overlay
import PodEngine
import PodNetwork
import Synchronization

final class JoinedPodNetwork: Sendable {
    let pods: PodNetwork
    /// nil where there are no other nodes.
    let overlay: Overlay?

    /// The addresses that other nodes know this one by, IPv4 first, as the leases file said at the start.
    let publicAddresses: [IPAddress]

    private let watch: LeaseFileWatch?
    private let initial: [NodeLease]
    private let serviceCIDR: CIDR
    private let logger: Logger
    private let known: Mutex<Known>

    /// What the pod network was told last.
    private struct Known: Sendable {
        var podCIDRs: [CIDR]
        var networks: [CIDR]
        var mtu: UInt32
        var problems: Set<String> = []
    }

    /// Takes over what an earlier agent left.
    init(_ settings: NodeSettings, eventLoop: EventLoop, logger: Logger) throws {
        let namespace = try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
        self.logger = logger
        guard let services = CIDR(settings.serviceCIDR) else {
            throw NodeError("service CIDR '\(settings.serviceCIDR)': need an IPv4 network such as 10.43.0.0/16")
        }
        serviceCIDR = services
        var podCIDRs: [CIDR]
        var networks: [CIDR] = []
        if let path = settings.network.leasesFile {
            let (own, all) = try LeaseFile.read(path, settings)
            podCIDRs = own.podCIDRs
            publicAddresses = [own.publicIPv4.map { .v4($0) }, own.publicIPv6.map { .v6($0) }].compactMap { $0 }
            initial = all
            networks = all.flatMap(\.podCIDRs)
            overlay = try Overlay(configuration: settings.overlayConfiguration, in: namespace, eventLoop: eventLoop)
            watch = try LeaseFileWatch(path, eventLoop: eventLoop)
        } else {
            podCIDRs = try settings.network.podNetworks()
            try settings.checkServiceCIDR(podCIDRs)
            (overlay, watch, initial, publicAddresses) = (nil, nil, [], [])
            // What an earlier run with other nodes left would lead packets astray.
            try Overlay.removeEverything(in: namespace)
        }
        podCIDRs.sort { $0.address.bitWidth < $1.address.bitWidth }
        let mtu = try settings.network.mtu.map { UInt32(clamping: $0) } ?? Self.uplinkMTU(namespace)
        var configuration = PodNetworkConfiguration(podCIDRs: podCIDRs, mtu: mtu)
        configuration.mode = settings.network.mode == .bridge ? .bridge("swiftlet0") : .pointToPoint
        configuration.unmasqueraded = networks
        pods = try PodNetwork(
            configuration: configuration, directory: "\(settings.dataDirectory)/network", in: namespace)
        known = Mutex(Known(podCIDRs: podCIDRs, networks: networks, mtu: mtu))
    }

    /// Of this node.
    var podCIDRs: [CIDR] { known.withLock { $0.podCIDRs } }

    /// Connects the node with the others that the file names now. To be called before pods are attached.
    func join() async { await overlay?.update(usable(initial)) }

    /// Follows the leases file and the overlay until it is cancelled.
    func follow(_ engine: PodEngine, podCIDRsChanged: @escaping @Sendable ([CIDR]) async -> Void) async {
        guard let overlay, let watch else { return }
        await withTaskGroup { group in
            group.addTask {
                var complaints: [String] = []
                for await reading in watch.readings {
                    for problem in reading.problems where !complaints.contains(problem) {
                        self.logger.error("\(problem)")
                    }
                    complaints = reading.problems
                    if let leases = reading.leases { await overlay.update(self.usable(leases)) }
                }
            }
            let changes = overlay.changes()
            group.addTask {
                await self.take(overlay.state, engine, podCIDRsChanged)
                for await _ in changes { await self.take(overlay.state, engine, podCIDRsChanged) }
            }
            await group.waitForAll()
        }
    }

    /// Without pod networks that are also Services'.
    private func usable(_ leases: [NodeLease]) -> [NodeLease] {
        leases.map { lease in
            var lease = lease
            lease.podCIDRs.removeAll { cidr in
                guard cidr.overlaps(serviceCIDR) else { return false }
                logger.error(
                    "node \(lease.name): pod network \(cidr) overlaps with --service-cidr \(serviceCIDR): left out")
                return true
            }
            return lease
        }
    }

    /// Makes the pod network what the overlay's state asks for.
    private func take(
        _ state: OverlayState, _ engine: PodEngine, _ podCIDRsChanged: @Sendable ([CIDR]) async -> Void
    ) async {
        tell(state.problems.map(\.description))
        let before = known.withLock { $0 }
        // A size that was chosen is in it, unless the way between the nodes does not carry so much.
        let mtu = state.podMTU.map { max($0, 576) } ?? before.mtu
        do {
            if mtu != before.mtu || state.networks != before.networks {
                try pods.update(unmasqueraded: state.networks, mtu: mtu)
                known.withLock { ($0.mtu, $0.networks) = (mtu, state.networks) }
                if mtu != before.mtu {
                    logger.notice("pods' packets have \(mtu) bytes at most from now on")
                    await engine.refreshNetworks()
                }
            }
            let wanted = state.own?.podCIDRs.sorted { $0.address.bitWidth < $1.address.bitWidth } ?? []
            if !wanted.isEmpty, wanted != before.podCIDRs {
                let report = try pods.update(podCIDRs: wanted)
                known.withLock { $0.podCIDRs = wanted }
                let text = wanted.map(\.description).joined(separator: ",")
                logger.notice(
                    "pods of this node have addresses of \(text) from now on; \(report.lost.count) start anew")
                await podCIDRsChanged(wanted)
                await engine.replaceSandboxes(of: report.lost)
            }
        } catch {
            logger.error("the pod network stays as it was: \(error)")
        }
    }

    /// Says each problem once, and when it is over.
    private func tell(_ problems: [String]) {
        let now = Set(problems)
        let before = known.withLock { known in
            defer { known.problems = now }
            return known.problems
        }
        for problem in problems where !before.contains(problem) { logger.warning("overlay: \(problem)") }
        for problem in before.subtracting(now).sorted() { logger.notice("overlay: over: \(problem)") }
    }

    /// Bytes of the largest packet of the interface that leads to the world; 1500 where there is none.
    private static func uplinkMTU(_ namespace: borrowing OwnedDescriptor) throws -> UInt32 {
        var socket = try RouteSocket(in: namespace)
        let defaults = try socket.routes().filter {
            $0.destination.prefixLength == 0 && $0.table == 254 && $0.kind == .unicast
        }
        guard let index = defaults.min(by: { $0.metric ?? 0 < $1.metric ?? 0 })?.link,
            let link = try socket.link(.index(index))
        else { return 1500 }
        return min(max(link.mtu, 1280), 65535)
    }
}

extension NodeSettings {
    var overlayConfiguration: OverlayConfiguration {
        OverlayConfiguration(
            nodeName: nodeName, backend: network.overlay, vni: UInt32(clamping: network.vni),
            port: UInt16(clamping: network.overlayPort), interface: network.overlayInterface,
            mtu: network.mtu.map { UInt32(clamping: $0) })
    }

    /// Throws if Services would have addresses of the pods.
    func checkServiceCIDR(_ podCIDRs: [CIDR]) throws(NodeError) {
        guard let services = CIDR(serviceCIDR), let pods = podCIDRs.first(where: { $0.overlaps(services) }) else {
            return
        }
        throw NodeError("pod network \(pods) and --service-cidr \(services) overlap: choose networks apart")
    }
}
