// How Services reach the kernel.
import Linux
import NFTables
import PodNetwork
import ServiceProxy

extension NodeAgent {
    /// The proxy of this process' network namespace.
    func makeProxy() throws(NodeError) -> ServiceProxy {
        guard let services = IPv4Network(settings.serviceCIDR),
            let pods = IPv4Network(settings.podCIDR)
        else {
            throw NodeError("service CIDR '\(settings.serviceCIDR)': need an IPv4 network such as 10.43.0.0/16")
        }
        do throws(SystemError) {
            return ServiceProxy(
                configuration: ProxyConfiguration(serviceNetwork: services, masquerading: .fromOutside(of: pods)),
                socket: try NFTablesSocket(), on: try EventLoop(name: "proxy"))
        } catch {
            throw NodeError("cannot program nftables: \(error)")
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
