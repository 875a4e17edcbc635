import Linux
import Netlink
import PodNetwork

/// CHECK of `swiftlet-cni`: what ADD made is there, as far as plugins that came later did not change it on purpose, which
/// `prevResult` tells.
struct PluginCheck {
    private let call: PluginCall
    private let configuration: SwiftletPluginConfiguration
    private let expected: CNIResult

    init(_ call: PluginCall, _ configuration: SwiftletPluginConfiguration) throws(CNIError) {
        self.call = call
        self.configuration = configuration
        guard let previous = call.request["prevResult"], !previous.isNull else {
            throw CNIError(.invalidConfiguration, "prevResult is missing", details: "CHECK needs the result of ADD")
        }
        do {
            expected = try CNIResult(previous, version: call.version)
        } catch {
            throw CNIError(.invalidConfiguration, "prevResult is invalid", details: "\(error)")
        }
    }

    func run() throws(CNIError) {
        let namespace = try call.openNamespace()
        let inside = try Inside(namespace)
        // Also brings back the network's tables, should they be gone.
        let network = try SwiftletPlugin.open(configuration)
        guard let given = network.address(uid: call.uid) else {
            throw CNIError(
                .unknownContainer, "the container is not in this network",
                details: "'\(call.interface)' of \(call.containerID)")
        }
        for address in given.addresses where !expected.ips.contains(where: { $0.address.address == address }) {
            throw wrong("prevResult does not have the address \(address)")
        }
        do {
            try checkContainer(given, inside)
            try checkHost(given)
        } catch let error as CNIError {
            throw error
        } catch {
            throw CNIError(network: error)
        }
    }

    private func checkContainer(_ given: PodAddress, _ inside: borrowing Inside) throws {
        var routes = try RouteSocket(owning: try inside.socket.duplicate())
        guard let link = try routes.link(.name(call.interface)) else {
            throw wrong("the container has no interface \(call.interface)")
        }
        if !link.isUp { throw wrong("\(call.interface) is down in the container") }
        let named = expected.interfaces.first { $0.name == call.interface && $0.sandbox != nil }
        if let mac = named?.mac.flatMap({ MACAddress($0) }), mac != link.mac {
            throw wrong("\(call.interface) has the MAC \(link.mac?.description ?? "none"), not \(mac)")
        }
        let present = Set(try routes.addresses(of: link.index).map(\.address))
        for address in given.addresses where !present.contains(address) {
            throw wrong("\(call.interface) does not have the address \(address)")
        }
        let leading = try routes.routes(of: link.index)
        for (address, gateway) in zip(given.addresses, given.gateways) {
            let everywhere: CIDR = address.bitWidth == 32 ? .everyIPv4 : .everyIPv6
            // A later plugin may have taken the route away, and said so.
            guard expected.routes.contains(where: { $0.destination.network == everywhere && $0.gateway == gateway })
            else { continue }
            guard leading.contains(where: { $0.destination == everywhere && $0.gateway == gateway }) else {
                throw wrong("the container has no route to \(everywhere) by way of \(gateway)")
            }
        }
    }

    private func checkHost(_ given: PodAddress) throws {
        var routes = try RouteSocket(in: try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY))
        guard let link = try routes.link(.name(given.hostInterface)) else {
            throw wrong("the host has no interface \(given.hostInterface)")
        }
        if !link.isUp { throw wrong("\(given.hostInterface) is down on the host") }
        if let bridge = configuration.network.mode.bridge {
            guard let index = try routes.link(.name(bridge))?.index, link.master == index else {
                throw wrong("\(given.hostInterface) is no port of the bridge \(bridge)")
            }
            return
        }
        let destinations = Set(try routes.routes(of: link.index).map(\.destination))
        for address in given.addresses where !destinations.contains(CIDR(address)) {
            throw wrong("the host has no route to \(address) by way of \(given.hostInterface)")
        }
    }

    private func wrong(_ what: String) -> CNIError { CNIError(.checkFailed, what) }
}

extension CNIError {
    /// What a failure of the pod network means to a runtime.
    init(network error: any Error) {
        guard let error = error as? PodNetworkError else {
            self = error as? CNIError ?? CNIError(.failed, "\(error)")
            return
        }
        let code: Code =
            switch error {
            case .invalidConfiguration, .invalidHostPort, .invalidRequest, .addressNotForPods: .invalidConfiguration
            // It may be free the next time.
            case .addressesExhausted, .directoryInUse: .tryAgainLater
            case .notAttached: .unknownContainer
            default: .failed
            }
        self.init(code, "\(error)")
    }
}
