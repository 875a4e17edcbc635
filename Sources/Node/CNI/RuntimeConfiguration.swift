import JSONTree
import NFTables
import Netlink
import PodNetwork

/// What a runtime tells plugins about one container, under the names of the CNI conventions ("Dynamic Plugin specific
/// fields (Capabilities / Runtime Configuration)", https://www.cni.dev/docs/conventions).
public struct RuntimeConfiguration: Sendable, Hashable {
    /// `portMappings`
    public var hostPorts: [HostPort] = []
    /// `bandwidth`: bits per second towards the container and from it; nil: as fast as can be.
    public var ingressBandwidth: UInt64?
    public var egressBandwidth: UInt64?
    /// `ips`: with a prefix length where one is known, as some plugins want it.
    public var addresses: [RequestedAddress] = []
    public var mac: MACAddress?
    /// `dns`
    public var dns = CNIResult.DNS()

    /// An address that the container is to have, `10.1.2.3` or `10.1.2.3/24`.
    public struct RequestedAddress: Sendable, Hashable, CustomStringConvertible {
        public let address: IPAddress
        public let prefixLength: Int?

        public init(_ address: IPAddress, prefixLength: Int? = nil) {
            (self.address, self.prefixLength) = (address, prefixLength)
        }

        init?(_ text: String) {
            if let address = InterfaceAddress(text) {
                self.init(address.address, prefixLength: address.prefixLength)
            } else if let address = IPAddress(text) {
                self.init(address)
            } else {
                return nil
            }
        }

        public var description: String { prefixLength.map { "\(address)/\($0)" } ?? "\(address)" }
    }

    public init() {}

    /// The capabilities that a network must have for this.
    public var needed: [String] { document.keys.filter { $0 != "dns" } }

    /// By capability: what is empty is left out.
    public var document: JSONObject {
        var object = JSONObject()
        if !hostPorts.isEmpty { object["portMappings"] = .array(hostPorts.map(Self.mapping)) }
        if ingressBandwidth != nil || egressBandwidth != nil { object["bandwidth"] = .object(bandwidth) }
        if !addresses.isEmpty { object["ips"] = .array(addresses.map { .string("\($0)") }) }
        if let mac { object["mac"] = .string("\(mac)") }
        if !dns.isEmpty {
            // The convention's keys differ from those of a result.
            object["dns"] = [
                "servers": .array(dns.nameservers.map { .string($0) }),
                "searches": .array(dns.search.map { .string($0) }),
                "options": .array(dns.options.map { .string($0) }),
            ]
        }
        return object
    }

    private static func mapping(_ port: HostPort) -> JSONValue {
        var object: JSONObject = [
            "hostPort": JSONValue(port.port), "containerPort": JSONValue(port.containerPort),
            "protocol": .string(port.transport.name),
        ]
        object["hostIP"] = port.hostIP.map { .string("\($0)") }
        return .object(object)
    }

    private var bandwidth: JSONObject {
        var object = JSONObject()
        for (key, rate) in [("ingress", ingressBandwidth), ("egress", egressBandwidth)] {
            guard let rate else { continue }
            object["\(key)Rate"] = JSONValue(rate)
            object["\(key)Burst"] = JSONValue(Self.burst(rate))
        }
        return object
    }

    /// Bits that may pass at once: 50 ms' worth, at least 128 KiB (two of the largest packets that interfaces pass on),
    /// at most what the kernel can hold. Kubernetes' runtimes say 2^31, under which the first 256 MB know no limit.
    private static func burst(_ rate: UInt64) -> UInt64 { min(max(rate / 20, 1 << 20), UInt64(Int32.max)) }
}
