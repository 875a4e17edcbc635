// How Services reach the kernel.
import Linux
import NFTables
import PodNetwork
import ServiceProxy

extension NodeAgent {
    /// The runner that keeps the proxy's table, in this process' network namespace.
    func makeServiceRunner() throws(NodeError) -> ServiceRunner {
        guard let range = ServiceRange(settings.serviceCIDR), let services = IPv4Network(settings.serviceCIDR),
            let pods = IPv4Network(settings.podCIDR)
        else {
            throw NodeError("service CIDR '\(settings.serviceCIDR)': need an IPv4 network such as 10.43.0.0/16")
        }
        let proxy: ServiceProxy
        do throws(SystemError) {
            proxy = ServiceProxy(
                configuration: ProxyConfiguration(serviceNetwork: services, masquerading: .fromOutside(of: pods)),
                socket: try NFTablesSocket(), on: try EventLoop(name: "proxy"))
        } catch {
            throw NodeError("cannot program nftables: \(error)")
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
        }
    }
}
