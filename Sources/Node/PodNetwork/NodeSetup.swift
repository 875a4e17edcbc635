import Glibc
import Linux
import Netlink

private let forwarding = NetworkSetting("net.ipv4.ip_forward")

func currentNamespace() throws(PodNetworkError) -> OwnedDescriptor {
    do {
        return try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
    } catch {
        throw .system(error)
    }
}

/// Sets up what all pods share. What is changed of the host's own is recorded in `directory` first.
/// - Returns: what was changed, in words.
func prepareNode(
    _ directory: String, _ configuration: PodNetworkConfiguration, _ links: inout HostLinks,
    _ namespace: borrowing OwnedDescriptor
) throws -> [String] {
    let before = try NodeRecord.read(from: directory)
    try links.checkForOverlap(former: before?.nodeAddress)
    let found = try forwarding.value(in: namespace)
    // The first run's finding counts: later ones find what we set.
    let record = NodeRecord(
        nodeAddress: configuration.nodeAddress,
        forwardingBefore: before?.forwardingBefore ?? (found == "1" ? nil : found))
    if record != before { try record.write(to: directory) }
    try links.prepare(former: before?.nodeAddress)
    if found == "1" { return [] }
    try forwarding.set("1", in: namespace)
    return ["net.ipv4.ip_forward was \(found), set to 1: pods' packets are forwarded"]
}

extension PodNetwork {
    /// Removes all that this module made in `networkNamespace` and in `directory`, and puts net.ipv4.ip_forward back as it
    /// was found. Needs no configuration. Fine where nothing is. No ``PodNetwork`` may be using the directory.
    public static func removeEverything(
        directory: String, in networkNamespace: borrowing OwnedDescriptor
    ) throws(PodNetworkError) {
        do {
            let lock = try lockPodNetwork(directory)
            let record = try NodeRecord.read(from: directory)
            // Any valid CIDR: only what is there is asked.
            let configuration = PodNetworkConfiguration(podCIDR: .everyIPv4)
            var rules = try HostRules(configuration: configuration, namespace: networkNamespace)
            try rules.removeEverything()
            var links = try HostLinks(configuration: configuration, namespace: networkNamespace)
            try links.removeEverything(nodeAddress: record?.nodeAddress, interfaces: leasedInterfaces(in: directory))
            if let value = record?.forwardingBefore { try forwarding.set(value, in: networkNamespace) }
            try removeTree(directory)
            _ = consume lock
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// As ``removeEverything(directory:in:)``, in the caller's network namespace.
    public static func removeEverything(directory: String) throws(PodNetworkError) {
        try removeEverything(directory: directory, in: try currentNamespace())
    }
}
