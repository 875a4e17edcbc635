import Glibc
import Linux
import Netlink

func currentNamespace() throws(PodNetworkError) -> OwnedDescriptor {
    do {
        return try OwnedDescriptor(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
    } catch {
        throw .system(error)
    }
}

/// Sets up what all pods share. What is changed of the host's own is recorded first.
struct NodeSetup {
    private let directory: String
    private let configuration: PodNetworkConfiguration
    private let boot: String
    /// What an earlier owner, or an earlier configuration, left.
    private let former: NodeRecord?
    private var record: NodeRecord
    /// What was changed of the host's own, in words.
    private(set) var notes: [String] = []

    init(directory: String, configuration: PodNetworkConfiguration) throws(SystemError) {
        self.directory = directory
        self.configuration = configuration
        former = try NodeRecord.read(from: directory)
        boot = String(
            decoding: try readFile("/proc/sys/kernel/random/boot_id", limit: 256).prefix { $0 != UInt8(ascii: "\n") },
            as: UTF8.self)
        record = NodeRecord(configuration)
        // The first run's findings count: later ones find what we set.
        if let former { record.follow(former) }
    }

    /// Whether this configuration was set up since the host was booted.
    var isDone: Bool {
        var finished = record
        finished.boot = boot
        return former == finished
    }

    /// - Parameter isAlone: there is no other pod network.
    mutating func run(_ links: inout HostLinks, isAlone: Bool) throws {
        let namespace = try links.namespace.duplicate()
        if let cidr = configuration.podCIDRs.first(where: { !$0.isIPv4 }) { try checkIPv6(cidr, namespace) }
        try links.checkForOverlap(former: former, isAlone: isAlone)
        // Before the first change: what is not recorded could not be taken back.
        try record.write(to: directory)
        try links.prepare(former: former)
        for cidr in configuration.podCIDRs {
            if cidr.isIPv4 {
                try change("net.ipv4.ip_forward", to: "1", "pods' packets are forwarded", namespace)
            } else if try NetworkSetting(Self.forwarding6).value(in: namespace) != "1" {
                try keepRouterAdvertisements(&links, namespace)
                try change(Self.forwarding6, to: "1", "pods' packets are forwarded", namespace)
            }
        }
    }

    /// Says that all of it is there, and nothing else.
    mutating func finish() throws(SystemError) {
        record.boot = boot
        (record.formerCIDRs, record.formerBridges) = ([], [])
        if record != former { try record.write(to: directory) }
    }

    private static let forwarding6 = "net.ipv6.conf.all.forwarding"

    private func checkIPv6(_ cidr: CIDR, _ namespace: borrowing OwnedDescriptor) throws {
        let name = "net.ipv6.conf.all.disable_ipv6"
        do throws(SystemError) {
            if try NetworkSetting(name).value(in: namespace) == "0" { return }
        } catch {
            guard error.errno == ENOENT else { throw error }
            throw PodNetworkError.familyUnavailable(cidr, "this kernel has no IPv6, or was booted with ipv6.disable=1")
        }
        throw PodNetworkError.familyUnavailable(cidr, "IPv6 is switched off on this host: \(name) is 1")
    }

    /// A kernel that forwards no longer heeds router advertisements, and drops default routes that came with them; unless
    /// an interface says it should anyway (accept_ra 2; Documentation/networking/ip-sysctl.rst).
    private mutating func keepRouterAdvertisements(
        _ links: inout HostLinks, _ namespace: borrowing OwnedDescriptor
    ) throws {
        for link in try links.routes.links() where link.index != 1 && link.alias?.hasPrefix("swiftlet ") != true {
            let directory = "net/ipv6/conf/\(link.name)"
            do throws(SystemError) {
                guard try NetworkSetting("\(directory)/accept_ra").value(in: namespace) == "1",
                    try NetworkSetting("\(directory)/forwarding").value(in: namespace) == "0"
                else { continue }
                try change(
                    "\(directory)/accept_ra", to: "2", "router advertisements are heeded while forwarding", namespace)
            } catch {
                // It has no IPv6, or is gone.
                guard error.errno == ENOENT else { throw error }
            }
        }
    }

    private mutating func change(
        _ name: String, to value: String, _ why: String, _ namespace: borrowing OwnedDescriptor
    ) throws(SystemError) {
        let setting = NetworkSetting(name)
        let found = try setting.value(in: namespace)
        if found == value { return }
        if !record.settings.contains(where: { $0.name == name }) {
            record.settings.append(NodeRecord.Setting(name: name, before: found))
            try record.write(to: directory)
        }
        try setting.set(value, in: namespace)
        notes.append("\(name) was \(found), set to \(value): \(why)")
    }
}

extension PodNetwork {
    /// Removes all that this module made in `networkNamespace` and in `directory`, and puts settings of the host's back as
    /// they were found, unless another pod network or an overlay needs them still. Needs no configuration. Fine where
    /// nothing is. No ``PodNetwork`` may be using the directory; with `waits` a brief one's end is waited for.
    public static func removeEverything(
        directory: String, in networkNamespace: borrowing OwnedDescriptor, waits: Bool = false
    ) throws(PodNetworkError) {
        do {
            let lock = try lockPodNetwork(directory, waits: waits)
            let record = try NodeRecord.read(from: directory)
            if record == nil, fileExists(directory + "/node.json") {
                // Taken for the agent's own it could cost that its pods.
                throw PodNetworkError.unexpected("\(directory)/node.json: does not say whose pod network this was")
            }
            // Any valid CIDR: only what is there is asked.
            let configuration = PodNetworkConfiguration(
                podCIDRs: [.everyIPv4], owner: record?.owner ?? PodNetworkConfiguration.defaultOwner)
            var rules = try HostRules(configuration: configuration, namespace: networkNamespace)
            try rules.removeEverything()
            var links = try HostLinks(configuration: configuration, namespace: networkNamespace)
            try links.removeEverything(record, interfaces: leasedInterfaces(in: directory))
            if try !links.othersForward() { try restore(record?.settings ?? [], in: networkNamespace) }
            try removeTree(directory)
            _ = consume lock
        } catch {
            throw PodNetworkError(error)
        }
    }

    /// As ``removeEverything(directory:in:waits:)``, in the caller's network namespace.
    public static func removeEverything(directory: String, waits: Bool = false) throws(PodNetworkError) {
        try removeEverything(directory: directory, in: try currentNamespace(), waits: waits)
    }

    private static func restore(
        _ settings: [NodeRecord.Setting], in namespace: borrowing OwnedDescriptor
    ) throws(SystemError) {
        for setting in settings.reversed() {
            do throws(SystemError) {
                try NetworkSetting(setting.name).set(setting.before, in: namespace)
            } catch {
                // The interface is gone.
                guard error.errno == ENOENT else { throw error }
            }
        }
    }
}
