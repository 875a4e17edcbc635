import NFTables
import Netlink

/// How the pods of one host are connected.
public struct PodNetworkConfiguration: Sendable, Hashable {
    /// Where pods get their addresses from: IPv4, /8 to /30. The network's first and last address are never given out,
    /// the second is the node's own.
    public var podCIDR: CIDR
    /// Bytes of the largest packet of a pod's interface.
    public var mtu: UInt32
    /// What the names of the host's ends begin with: one to four letters or digits. A hash of the pod's uid follows.
    public var hostInterfacePrefix: String
    /// Networks besides ``podCIDR`` that see a pod's own address: traffic to them is not masqueraded.
    public var unmasqueraded: [CIDR]

    public init(
        podCIDR: CIDR, mtu: UInt32 = 1500, hostInterfacePrefix: String = "sl", unmasqueraded: [CIDR] = []
    ) {
        self.podCIDR = podCIDR
        self.mtu = mtu
        self.hostInterfacePrefix = hostInterfacePrefix
        self.unmasqueraded = unmasqueraded
    }

    /// What pods have as their gateway (RFC 3927, 2.1 keeps this block out of use).
    public static let gateway = IPAddress.v4(IPv4Address(0xa9fe_0101))
    /// The address of every host end. One for all, so that a pod's neighbour entry holds whatever happens to the host's
    /// interface; each has a link of its own, where it is unique.
    public static let gatewayMAC = MACAddress(0x0253_4c00_0001)
    /// Routes of this module carry this protocol number (unassigned in `/etc/iproute2/rt_protos`).
    public static let routeProtocol = RouteProtocol(rawValue: 94)
    /// The nftables table of this module.
    public static let table = TableName(.ipv4, "swiftlet-pods")

    func validate() throws(PodNetworkError) {
        guard case .v4 = podCIDR.address, (8...30).contains(podCIDR.prefixLength) else {
            throw .invalidConfiguration("pod CIDR \(podCIDR): need an IPv4 network of /8 to /30")
        }
        guard (576...65535).contains(mtu) else { throw .invalidConfiguration("MTU \(mtu): need 576 to 65535") }
        let isPlain = hostInterfacePrefix.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) || (0x41...0x5a).contains(byte)
        }
        guard (1...4).contains(hostInterfacePrefix.utf8.count), isPlain else {
            throw .invalidConfiguration("interface prefix '\(hostInterfacePrefix)': need one to four letters or digits")
        }
        for network in unmasqueraded {
            guard case .v4 = network.address else {
                throw .invalidConfiguration("unmasqueraded network \(network): only IPv4 is served yet")
            }
        }
    }

    /// The first address of the pod CIDR, as a number, and how many there are.
    var addresses: (first: UInt32, count: UInt32) {
        guard case .v4(let first) = podCIDR.address else { return (0, 0) }
        return (first.value, 1 << UInt32(podCIDR.hostBits))
    }

    var nodeAddress: IPv4Address { IPv4Address(addresses.first + 1) }

    /// The host end's name: the prefix and 64 bits of a hash of the uid in base 32.
    func interfaceName(of uid: String) -> String {
        // FNV-1a: the same in every process and version, as the name must be.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in uid.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = Array("0123456789abcdefghijklmnopqrstuv")
        var name = hostInterfacePrefix
        for shift in stride(from: 0, to: min(64, (15 - hostInterfacePrefix.utf8.count) * 5), by: 5) {
            name.append(digits[Int(hash >> UInt64(shift) & 31)])
        }
        return name
    }

    /// Whether a pod attached under an earlier configuration fits this one.
    func allows(_ lease: Lease) -> Bool {
        podCIDR.contains(.v4(lease.address)) && lease.interface == interfaceName(of: lease.uid)
    }

    /// The pod end's Ethernet address: 0a:58 and the four bytes of its address, as other runtimes have it.
    static func podMAC(_ address: IPv4Address) -> MACAddress { MACAddress(0x0a58_0000_0000 | UInt64(address.value)) }
}

/// A port of the host that leads to a container (Container.ports[].hostPort).
public struct HostPort: Sendable, Hashable, CustomStringConvertible {
    /// The one address of the host that has the port; nil: all of them.
    public var hostIP: IPAddress?
    /// 1 to 65535.
    public var port: UInt16
    public var transport: TransportProtocol
    /// 1 to 65535.
    public var containerPort: UInt16

    public init(hostIP: IPAddress? = nil, port: UInt16, transport: TransportProtocol = .tcp, containerPort: UInt16) {
        // 0.0.0.0 is the manifest's other way to say all.
        self.hostIP = hostIP == .v4(IPv4Address(0)) ? nil : hostIP
        self.port = port
        self.transport = transport
        self.containerPort = containerPort
    }

    /// Whether one packet could mean either: the same port and protocol on an address that both have.
    public func conflicts(with other: HostPort) -> Bool {
        port == other.port && transport == other.transport
            && (hostIP == nil || other.hostIP == nil || hostIP == other.hostIP)
    }

    /// `8080/tcp`, `127.0.0.1:53/udp`
    public var description: String { (hostIP.map { "\($0):" } ?? "") + "\(port)/\(transport.name)" }
}

/// What a pod was given.
public struct PodAddress: Sendable, Hashable {
    public let uid: String
    public let address: IPAddress
    public let gateway: IPAddress
    /// Of the pod's `eth0`.
    public let mac: MACAddress
    /// The host's end.
    public let hostInterface: String
    /// Bytes.
    public let mtu: UInt32
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
