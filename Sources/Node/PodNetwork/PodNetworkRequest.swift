import NFTables
import Netlink

/// What a pod asks for besides an address.
public struct PodNetworkRequest: Sendable, Hashable {
    /// Ports of the host that lead to the pod.
    public var hostPorts: [HostPort]
    /// Most bits per second to the pod, 1,000 to 10^15 (`kubernetes.io/ingress-bandwidth`); nil: no limit.
    public var ingressBandwidth: UInt64?
    /// Most bits per second from the pod, 1,000 to 10^15 (`kubernetes.io/egress-bandwidth`); nil: no limit.
    public var egressBandwidth: UInt64?
    /// Addresses that the pod must have, at most one per family; of a family not named it gets any.
    public var addresses: [IPAddress]
    /// The Ethernet address that the pod must have.
    public var mac: MACAddress?
    /// The interface's name in the pod, 1 to 15 characters.
    public var interfaceName: String

    public init(
        hostPorts: [HostPort] = [], ingressBandwidth: UInt64? = nil, egressBandwidth: UInt64? = nil,
        addresses: [IPAddress] = [], mac: MACAddress? = nil, interfaceName: String = "eth0"
    ) {
        self.hostPorts = hostPorts
        self.ingressBandwidth = ingressBandwidth
        self.egressBandwidth = egressBandwidth
        self.addresses = addresses
        self.mac = mac
        self.interfaceName = interfaceName
    }

    func validate(_ configuration: PodNetworkConfiguration) throws(PodNetworkError) {
        for (position, port) in hostPorts.enumerated() {
            if port.port == 0 || port.containerPort == 0 { throw .invalidHostPort(port, "ports are 1 to 65535") }
            if hostPorts[..<position].contains(where: port.conflicts) {
                throw .invalidHostPort(port, "the pod names it twice")
            }
            if let address = port.hostIP, configuration.block(of: address) == nil {
                throw .invalidHostPort(port, "pods have no \(address.isIPv4 ? "IPv4" : "IPv6") address here")
            }
        }
        for (direction, rate) in [("ingress", ingressBandwidth), ("egress", egressBandwidth)] {
            guard let rate, !(1_000...1_000_000_000_000_000).contains(rate) else { continue }
            throw .invalidRequest("\(direction) bandwidth \(rate): need 1k to 1P bits per second")
        }
        guard Set(addresses.map(\.isIPv4)).count == addresses.count else {
            throw .invalidRequest("addresses \(addresses): at most one of each family")
        }
        for address in addresses where !(configuration.block(of: address)?.isForPods(address) ?? false) {
            throw .addressNotForPods(address, configuration.podCIDRs)
        }
        try validateLink()
    }

    private func validateLink() throws(PodNetworkError) {
        // dev_valid_name in net/core/dev.c.
        let isName = interfaceName.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x2f && $0 != 0x3a && $0 != 0x25 }
        guard (1...15).contains(interfaceName.utf8.count), isName, ![".", "..", "lo"].contains(interfaceName) else {
            throw .invalidRequest("interface '\(interfaceName)': not a name for an interface")
        }
        guard let mac else { return }
        if mac.value == 0 || mac.bytes[0] & 1 == 1 {
            throw .invalidRequest("MAC \(mac): not the address of a single station")
        }
        if mac == PodNetworkConfiguration.gatewayMAC { throw .macTaken(mac, by: "the gateway") }
    }
}

/// A port of the host that leads to a container (Container.ports[].hostPort).
public struct HostPort: Sendable, Hashable, CustomStringConvertible {
    /// The one address of the host that has the port; `0.0.0.0` and `::`: all of that family; nil: all.
    public var hostIP: IPAddress?
    /// 1 to 65535.
    public var port: UInt16
    public var transport: TransportProtocol
    /// 1 to 65535.
    public var containerPort: UInt16

    public init(hostIP: IPAddress? = nil, port: UInt16, transport: TransportProtocol = .tcp, containerPort: UInt16) {
        self.hostIP = hostIP
        self.port = port
        self.transport = transport
        self.containerPort = containerPort
    }

    /// Whether one packet could mean either: the same port and protocol on an address that both have.
    public func conflicts(with other: HostPort) -> Bool {
        guard port == other.port, transport == other.transport else { return false }
        guard let mine = hostIP, let theirs = other.hostIP else { return true }
        guard mine.isIPv4 == theirs.isIPv4 else { return false }
        return mine == theirs || isForAllAddresses(of: mine) || other.isForAllAddresses(of: theirs)
    }

    /// Whether it is to answer on each of the host's addresses of that one's family.
    func isForAllAddresses(of address: IPAddress) -> Bool {
        hostIP.map { $0.isIPv4 == address.isIPv4 && $0.bytes.allSatisfy { $0 == 0 } } ?? true
    }

    /// `8080/tcp`, `127.0.0.1:53/udp`, `[::1]:53/udp`
    public var description: String {
        (hostIP.map { $0.isIPv4 ? "\($0):" : "[\($0)]:" } ?? "") + "\(port)/\(transport.name)"
    }
}

/// What a pod was given.
public struct PodAddress: Sendable, Hashable {
    public let uid: String
    /// One per family, in the order of ``PodNetworkConfiguration/podCIDRs``.
    public let addresses: [IPAddress]
    /// One per address.
    public let gateways: [IPAddress]
    /// Of the pod's interface.
    public let mac: MACAddress
    /// The host's end.
    public let hostInterface: String
    /// Bytes.
    public let mtu: UInt32

    /// The first of ``addresses``: the one to say where only one can be said.
    public var address: IPAddress { addresses.first ?? .v4(IPv4Address(0)) }
    /// The first of ``gateways``.
    public var gateway: IPAddress { gateways.first ?? .v4(IPv4Address(0)) }
}

/// What ``PodNetwork/reconcile(live:)`` found and did.
public struct Reconciliation: Sendable, Hashable {
    /// Uids of pods that are gone and had something left: a lease, an interface, host ports.
    public var removed: [String] = []
    /// Uids of live pods whose route, neighbour or interface settings on the host were missing and are back.
    public var repaired: [String] = []
    /// Uids of live pods without an interface, or with an address or interface that an earlier configuration gave: attach
    /// them again.
    public var lost: [String] = []

    public init() {}
}
