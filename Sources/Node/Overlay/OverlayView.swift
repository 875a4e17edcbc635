// What the kernel has beside what the nodes need, read anew: for `swiftlet overlay show`.
import JSONTree
import Netlink

/// The overlay of this host, as a comparison of plan and kernel.
public struct OverlayView: Sendable, Hashable {
    /// Whether the kernel has something.
    public enum Status: Sendable, Hashable {
        case ok
        case missing
        /// Something else is there: this.
        case wrong(String)
        /// This way to the node does without.
        case notNeeded

        /// `ok`, `missing`, `wrong` or `-`.
        public var word: String {
            switch self {
            case .ok: "ok"
            case .missing: "missing"
            case .wrong: "wrong"
            case .notNeeded: "-"
            }
        }
    }

    /// A device that encapsulates.
    public struct Device: Sendable, Hashable {
        public var name: String
        public var status: Status
        /// Bytes.
        public var mtu: UInt32
        public var mac: MACAddress?
        /// The interface that its packets leave through, and their source.
        public var underlay: String
        public var local: IPAddress?
        /// nil where there is no device.
        public var counters: LinkStatistics?
    }

    /// A pod network of a node, and what is needed to get there.
    public struct Network: Sendable, Hashable {
        public var network: CIDR
        /// `this node`, `swiftlet.1 to 192.0.2.2`, `direct by 192.0.2.2`, or why there is no way.
        public var way: String
        public var route: Status
        public var neighbour: Status
        public var forwarding: Status
    }

    public struct Node: Sendable, Hashable {
        public var name: String
        public var isOwn: Bool
        public var publicAddresses: [IPAddress]
        public var networks: [Network]
    }

    public let backend: OverlayBackend
    public let vni: UInt32
    public let port: UInt16
    /// Bytes of the largest packet of a pod.
    public let podMTU: UInt32?
    public let devices: [Device]
    /// By name.
    public let nodes: [Node]
    public let problems: [OverlayProblem]

    init(_ plan: Plan, _ kernel: KernelState, _ statistics: [Int32: LinkStatistics], problems: [OverlayProblem]) {
        let configuration = plan.configuration
        (backend, vni, port) = (configuration.backend, configuration.vni, configuration.port)
        podMTU = plan.podMTU
        self.problems = problems
        devices = plan.devices.map { Device($0, kernel, statistics) }
        nodes = plan.table.leases.values.map { Node($0, plan, kernel) }.sorted { $0.name < $1.name }
    }

    /// Whether everything that is needed is there.
    public var isComplete: Bool {
        func isFine(_ status: Status) -> Bool { status == .ok || status == .notNeeded }
        return problems.isEmpty && devices.allSatisfy { isFine($0.status) }
            && nodes.allSatisfy { node in
                node.networks.allSatisfy { isFine($0.route) && isFine($0.neighbour) && isFine($0.forwarding) }
            }
    }
}

extension OverlayView.Device {
    fileprivate init(_ device: DevicePlan, _ kernel: KernelState, _ statistics: [Int32: LinkStatistics]) {
        let link = kernel.link(named: device.name)
        let underlay = device.settings.underlay ?? 0
        self.init(
            name: device.name, status: .missing, mtu: link?.mtu ?? device.mtu, mac: device.mac,
            underlay: kernel.links[underlay]?.name ?? "", local: device.settings.local,
            counters: link.flatMap { statistics[$0.index] })
        guard let link else { return }
        let faults = device.faults(of: link, kernel)
        status = faults.isEmpty ? .ok : .wrong(faults.joined(separator: ", "))
    }
}

extension DevicePlan {
    /// What of `link`, which has the device's name, is not as planned.
    fileprivate func faults(of link: Link, _ kernel: KernelState) -> [String] {
        guard let found = link.vxlan else { return ["it is no VXLAN device"] }
        var faults: [String] = []
        if found.vni != settings.vni { faults.append("VNI \(found.vni)") }
        if found.port != settings.port { faults.append("port \(found.port)") }
        if found.local != settings.local { faults.append("local \(found.local.map { "\($0)" } ?? "any")") }
        if found.underlay != settings.underlay {
            faults.append("on \(found.underlay.flatMap { kernel.links[$0]?.name } ?? "no interface")")
        }
        if faults.isEmpty && !canBecome(link) { faults.append("made another way") }
        if let mac, link.mac != mac { faults.append("MAC \(link.mac.map { "\($0)" } ?? "none")") }
        if link.mtu != mtu { faults.append("MTU \(link.mtu)") }
        if !link.isUp { faults.append("down") }
        for address in addresses.map({ "\($0)" }).sorted()
        where !kernel.addresses.values.contains(where: { $0.link == link.index && "\($0.address)" == address }) {
            faults.append("without \(address)")
        }
        return faults
    }
}

extension OverlayView.Node {
    fileprivate init(_ lease: NodeLease, _ plan: Plan, _ kernel: KernelState) {
        let isOwn = lease.name == plan.configuration.nodeName
        let paths = plan.paths[lease.name]?.paths ?? []
        self.init(
            name: lease.name, isOwn: isOwn,
            publicAddresses: IPFamily.allCases.compactMap { lease.publicAddress($0) },
            networks: lease.podCIDRs.map { cidr in
                let path = paths.first { $0.network == cidr }
                return OverlayView.Network(cidr, path, isOwn, lease, plan, kernel)
            })
    }
}

extension OverlayView.Network {
    fileprivate init(
        _ cidr: CIDR, _ path: NodePaths.Path?, _ isOwn: Bool, _ lease: NodeLease, _ plan: Plan, _ kernel: KernelState
    ) {
        self.init(network: cidr, way: "", route: .notNeeded, neighbour: .notNeeded, forwarding: .notNeeded)
        switch path?.way {
        case nil: way = isOwn ? "this node" : plan.configuration.backend == .none ? "not by us" : "none"
        case .direct(let gateway):
            way = "direct by \(gateway)"
            route = kernel.status(of: plan.entries[.route(cidr)], at: .route(cidr))
        case .encapsulated(let underlay):
            let address = lease.publicAddress(underlay).map { "\($0)" } ?? "?"
            let device = plan.devices.first { $0.underlays.contains(underlay) }
            way = "\(device?.name ?? "?") to \(address)"
            route = kernel.status(of: plan.entries[.route(cidr)], at: .route(cidr))
            guard plan.configuration.backend != .tunnel else { return }
            (neighbour, forwarding) = (.missing, .missing)
            guard let link = plan.indices[underlay] else { return }
            let mac = lease.mac(over: underlay)
            for key in [EntryKey.neighbour(link: link, cidr.address), .forwarding(link: link, mac)] {
                let status = kernel.status(of: plan.entries[key], at: key)
                if case .neighbour = key { neighbour = status } else { forwarding = status }
            }
        }
    }
}

extension KernelState {
    /// Whether `wanted` is there, and what is if it is not.
    func status(of wanted: Entry?, at key: EntryKey) -> OverlayView.Status {
        guard wanted != nil else { return .missing }
        func name(_ link: Int32?) -> String { link.flatMap { links[$0]?.name } ?? "no interface" }
        func words(_ route: Route) -> String {
            (route.encapsulation.map { "\($0) " } ?? "") + (route.gateway.map { "via \($0) " } ?? "")
                + "dev \(name(route.link))"
        }
        if case .route(let network) = key {
            let preferred = foreignRoutes.values.filter {
                $0.destination == network && $0.precedence < Self.precedence(of: network)
            }.min { $0.precedence < $1.precedence }
            if let preferred { return .wrong(words(preferred) + " metric \(preferred.precedence)") }
        }
        if changes(of: key, to: wanted).isEmpty { return .ok }
        switch key {
        case .route(let network):
            let others = foreignRoutes.values.filter { $0.destination == network }
            let found = ((routes[network] ?? []) + others).map(words)
            return found.isEmpty ? .missing : .wrong(found.joined(separator: "; "))
        case .neighbour:
            guard let found = neighbours[key], let mac = found.mac else { return .missing }
            return .wrong("\(mac)" + (found.state.contains(.permanent) ? "" : ", not permanent"))
        case .forwarding:
            let found = (forwarding[key] ?? []).map { "\($0.destination)" }
            return found.isEmpty ? .missing : .wrong(found.joined(separator: " and "))
        }
    }
}
