// The seam between a pod's sandbox and what connects it: this node's own pod network, or another's plugins.
import ContainerRuntime
import Glibc
import NFTables
import Netlink
import PodNetwork
import Resources

/// What a pod asks of the network, as its manifest says it.
public struct PodConnectionRequest: Sendable, Hashable {
    /// Names the pod to ``PodConnector/detach(uid:)``.
    public let uid: String
    public let namespace: String
    public let name: String
    public var hostPorts: [HostPort] = []
    /// Bits per second towards the pod; nil: as fast as can be. 1000 to 10^15, as Kubernetes allows.
    public var ingressBandwidth: UInt64?
    /// Bits per second from the pod.
    public var egressBandwidth: UInt64?
    /// Addresses that the pod must have, at most one of each family; empty: any.
    public var addresses: [IPAddress] = []
    /// The Ethernet address that the pod must have; nil: any.
    public var mac: MACAddress?

    public init(uid: String, namespace: String, name: String) {
        (self.uid, self.namespace, self.name) = (uid, namespace, name)
    }
}

/// What connects pods.
public protocol PodConnector: Sendable {
    /// Gives the pod an interface and its addresses, the first of which is `status.podIP`, or nothing at all. A pod that
    /// is attached already is detached first.
    /// - Parameters:
    ///   - network: the sandbox's namespace and a socket in it.
    ///   - pid: a process in the namespace that lives as long as the sandbox, for those who need a path to it.
    func attach(
        _ request: PodConnectionRequest, to network: borrowing SandboxNetwork, pid: pid_t
    ) async throws -> [IPAddress]

    /// Takes everything back. Fine for a pod that has nothing.
    func detach(uid: String) async throws

    /// Takes back what pods that are not among `live` have. The uids of those that lost their connection and have to be
    /// attached anew.
    func reconcile(live: Set<String>) async throws -> [String]

    /// Brings a pod's interface to what the node's settings are now.
    func refresh(uid: String, _ network: borrowing SandboxNetwork) async throws
}

/// The annotations that a pod's network heeds. Kubernetes defines the first two ("Network Plugins", traffic shaping).
enum NetworkAnnotation {
    static let ingressBandwidth = "kubernetes.io/ingress-bandwidth"
    static let egressBandwidth = "kubernetes.io/egress-bandwidth"
    /// `10.42.0.9` or `10.42.0.9,fd42::9`
    static let addresses = "swiftlet.dev/addresses"
    static let mac = "swiftlet.dev/mac"
}

extension PodConnectionRequest {
    /// What `pod` asks for; an annotation that makes no sense is an error naming it.
    init(_ pod: Pod, uid: PodUID) throws(PodError) {
        self.init(uid: uid.text, namespace: pod.metadata.namespace, name: pod.metadata.name)
        hostPorts = pod.spec.hostPorts
        let annotations = pod.metadata.annotations
        ingressBandwidth = try Self.bandwidth(annotations, NetworkAnnotation.ingressBandwidth)
        egressBandwidth = try Self.bandwidth(annotations, NetworkAnnotation.egressBandwidth)
        if let text = annotations[NetworkAnnotation.addresses] {
            addresses = try Self.addresses(text)
        }
        if let text = annotations[NetworkAnnotation.mac] {
            guard let mac = MACAddress(text), mac.bytes[0] & 1 == 0, mac.value != 0 else {
                throw PodError(
                    .invalid,
                    "annotation \(NetworkAnnotation.mac): '\(text)' is no Ethernet address of one interface")
            }
            self.mac = mac
        }
        if pod.spec.hostNetwork, !addresses.isEmpty || mac != nil || ingressBandwidth != nil || egressBandwidth != nil {
            throw PodError(.invalid, "a pod with hostNetwork has no address, MAC or bandwidth of its own to choose")
        }
    }

    private static func bandwidth(_ annotations: [String: String], _ name: String) throws(PodError) -> UInt64? {
        guard let text = annotations[name] else { return nil }
        guard let bits = Quantity(text)?.value, (1000...1_000_000_000_000_000).contains(bits) else {
            throw PodError(
                .invalid, "annotation \(name): '\(text)' is no amount of bits per second from 1k to 1P, such as 10M")
        }
        return UInt64(bits)
    }

    private static func addresses(_ text: String) throws(PodError) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = String(part.filter { $0 != " " })
            guard let address = IPAddress(word), !addresses.contains(where: { $0.bitWidth == address.bitWidth }) else {
                throw PodError(
                    .invalid,
                    "annotation \(NetworkAnnotation.addresses): '\(text)' is not one address, or one of each family")
            }
            addresses.append(address)
        }
        return addresses
    }
}
