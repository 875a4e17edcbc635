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
    /// Bits of the addresses that pods can have on this host.
    private let families: Set<Int>
    private let logger: Logger
    private let known: Mutex<Known>

    /// What the pod network was told last.
    private struct Known: Sendable {
        var podCIDRs: [CIDR]
        var networks: [CIDR]
        var mtu: UInt32
        var problems: Set<String> = []
        /// Why the pod network is not what it should be; empty if it is.
        var failure = ""
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
            let (own, all, problems) = try LeaseFile.read(path, settings)
            for problem in problems { logger.error("\(problem)") }
            podCIDRs = own.podCIDRs
            publicAddresses = [own.publicIPv4.map { .v4($0) }, own.publicIPv6.map { .v6($0) }].compactMap { $0 }
            initial = all
            networks = all.flatMap(\.podCIDRs).filter { !$0.overlaps(services) }
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
        let directory = "\(settings.dataDirectory)/network"
        do throws(PodNetworkError) {
            pods = try PodNetwork(configuration: configuration, directory: directory, in: namespace)
        } catch {
            // With one family of two, pods still reach each other.
            guard case .familyUnavailable(let cidr, _) = error, overlay != nil, podCIDRs.count > 1 else { throw error }
            logger.error("pods have no addresses of \(cidr): \(error)")
            configuration.podCIDRs.removeAll { $0 == cidr }
            pods = try PodNetwork(configuration: configuration, directory: directory, in: namespace)
        }
        families = Set(configuration.podCIDRs.map(\.address.bitWidth))
        known = Mutex(Known(podCIDRs: configuration.podCIDRs, networks: networks, mtu: mtu))
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
            let (looks, look) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            let changes = overlay.changes()
            group.addTask { for await _ in changes { look.yield() } }
            group.addTask {
                look.yield()
                for await _ in looks {
                    if await self.take(overlay.state, engine, podCIDRsChanged) { continue }
                    // What did not go may go in a moment, without the overlay having changed.
                    Task {
                        try? await Task.sleep(for: .seconds(2))
                        look.yield()
                    }
                }
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

    /// Makes the pod network what the overlay's state asks for; false if it has to be tried again.
    private func take(
        _ state: OverlayState, _ engine: PodEngine, _ podCIDRsChanged: @Sendable ([CIDR]) async -> Void
    ) async -> Bool {
        tell(state.problems.map(\.description))
        let failures = [
            await attempt { try await self.takeNetworks(state, engine) },
            await attempt { try await self.takePodCIDRs(state, engine, podCIDRsChanged) },
        ].compactMap { $0 }
        let failure = failures.joined(separator: "; ")
        let isNew = known.withLock { known in
            defer { known.failure = failure }
            return known.failure != failure
        }
        if isNew, !failure.isEmpty { logger.error("the pod network is not yet as it should be: \(failure)") }
        return failure.isEmpty
    }

    private func attempt(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Which networks see pods' own addresses, and how large pods' packets may be.
    private func takeNetworks(_ state: OverlayState, _ engine: PodEngine) async throws {
        let before = known.withLock { $0 }
        // A node without a lease has no part in the others' network: they could not answer its pods.
        let networks = state.own == nil ? before.podCIDRs : state.networks
        // A size that was chosen is in it. The overlay tells where IPv6 needs more than there is.
        let mtu = max(state.podMTU ?? before.mtu, families.contains(128) ? 1280 : 576)
        guard mtu != before.mtu || networks != before.networks else { return }
        try pods.update(unmasqueraded: networks, mtu: mtu)
        known.withLock { ($0.mtu, $0.networks) = (mtu, networks) }
        if mtu != before.mtu {
            logger.notice("pods' packets have \(mtu) bytes at most from now on")
            await engine.refreshNetworks()
        }
    }

    /// Where this node's pods have their addresses from.
    private func takePodCIDRs(
        _ state: OverlayState, _ engine: PodEngine, _ podCIDRsChanged: @Sendable ([CIDR]) async -> Void
    ) async throws {
        let wanted = (state.own?.podCIDRs ?? []).filter { families.contains($0.address.bitWidth) }
            .sorted { $0.address.bitWidth < $1.address.bitWidth }
        guard !wanted.isEmpty, wanted != podCIDRs else { return }
        let report = try pods.update(podCIDRs: wanted)
        known.withLock { $0.podCIDRs = wanted }
        let text = wanted.map(\.description).joined(separator: ",")
        logger.notice("pods of this node have addresses of \(text) from now on; \(report.lost.count) start anew")
        await podCIDRsChanged(wanted)
        await engine.replaceSandboxes(of: report.lost)
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
