// How Services reach the kernel.
import Linux
import NFTables
import Netlink
import PodNetwork
import ServiceProxy

extension NodeAgent {
    /// The proxy of this process' network namespace.
    func makeProxy() throws(NodeError) -> ServiceProxy {
        let configuration = try proxyConfiguration(podCIDRs: network.podCIDRs)
        do throws(SystemError) {
            return ServiceProxy(
                configuration: configuration, socket: try NFTablesSocket(), on: try EventLoop(name: "proxy"))
        } catch {
            throw NodeError("cannot program nftables: \(error)")
        }
    }

    /// Without IPv4 addresses of pods that this node chooses, endpoints see the node as their client.
    private func proxyConfiguration(podCIDRs: [CIDR]) throws(NodeError) -> ProxyConfiguration {
        guard let services = IPv4Network(settings.serviceCIDR) else {
            throw NodeError("service CIDR '\(settings.serviceCIDR)': need an IPv4 network such as 10.43.0.0/16")
        }
        let pods = podCIDRs.compactMap { IPv4Network($0) }.first
        return ProxyConfiguration(
            serviceNetwork: services, masquerading: pods.map { .fromOutside(of: $0) } ?? .everything)
    }

    /// Keeps the pod network, and the proxy with it, at what other nodes and this one are said to be.
    func followNetwork(_ proxy: ServiceProxy) async {
        guard case .own(let joined) = network else { return }
        await joined.follow(engine) { [self] podCIDRs in
            do {
                try await proxy.reconfigure(try proxyConfiguration(podCIDRs: podCIDRs))
            } catch {
                logger.error("Services' rules still go by the former pod network: \(error)")
            }
        }
    }

    /// Looks once a minute whether somebody changed the rules, and evens out the shares that changes have left.
    func maintain(_ proxy: ServiceProxy) async {
        while (try? await Task.sleep(for: .seconds(60))) != nil {
            do {
                for repair in try await proxy.verify() { logger.warning("service rules repaired: \(repair)") }
                try await proxy.rebalance()
            } catch {
                logger.error("cannot look after the Services' rules: \(error)")
            }
        }
    }

    /// The runner that keeps the proxy's table.
    func makeServiceRunner(_ proxy: ServiceProxy) throws(NodeError) -> ServiceRunner {
        guard let range = ServiceRange(settings.serviceCIDR) else {
            throw NodeError("service CIDR '\(settings.serviceCIDR)': need an IPv4 network such as 10.43.0.0/16")
        }
        let logger = logger
        return try ServiceRunner(
            dataDirectory: settings.dataDirectory, range: range, logger: logger,
            candidates: { [engine] in Self.candidates(engine) }
        ) { services in
            let rules = services.flatMap(\.rules)
            // A host that serves nothing keeps no table.
            if rules.isEmpty { return try await proxy.remove() }
            let done = try await proxy.apply(rules)
            for conflict in done.conflicts { logger.error("\(conflict)") }
            if let failure = done.forgettingFailed { logger.warning("UDP flows to gone endpoints stay: \(failure)") }
        }
    }
}
