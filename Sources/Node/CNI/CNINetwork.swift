import Glibc
import Linux
import Netlink

/// The pods of this host, connected by whatever plugins its administrator has put into `/etc/cni/net.d`: the counterpart of
/// PodNetwork for `--network cni`.
///
/// The directory is read for every pod that is attached: a network that appears or changes later serves the pods that come
/// after it, and each pod is detached under the configuration that it was attached by. Calls run on threads of their own.
public final class CNINetwork: Sendable {
    /// Where things are.
    public struct Configuration: Sendable, Hashable {
        /// Its lexically first `.conflist`, `.conf` or `.json` file is the network.
        public var configurationDirectory = "/etc/cni/net.d"
        /// Where plugins are looked for, in this order.
        public var pluginDirectories = ["/opt/cni/bin", "/usr/lib/cni"]
        /// Where attachments are recorded; made if it is missing. Must survive a reboot, as plugins' reservations do.
        public var directory: String
        /// Where pods' network namespaces are held by mounts, so that plugins find them under one path from ADD to DEL,
        /// whatever becomes of the pod's processes; made if it is missing. Should not survive a reboot.
        public var namespaceDirectory: String
        /// After so many seconds a plugin is killed.
        public var seconds = 60
        /// The interface of a pod.
        public var interface = "eth0"

        public init(directory: String, namespaceDirectory: String) {
            (self.directory, self.namespaceDirectory) = (directory, namespaceDirectory)
        }
    }

    /// A pod, as plugins are told of it.
    public struct Pod: Sendable, Hashable {
        /// Also the container's id: letters, digits, `_`, `.` and `-`.
        public let uid: String
        public let namespace: String
        public let name: String
        public var runtime = RuntimeConfiguration()

        public init(uid: String, namespace: String, name: String) {
            (self.uid, self.namespace, self.name) = (uid, namespace, name)
        }

        /// `CNI_ARGS`, as other Kubernetes runtimes have them.
        var arguments: [CNIArgument] {
            [
                CNIArgument("IgnoreUnknown", "1"), CNIArgument("K8S_POD_NAMESPACE", namespace),
                CNIArgument("K8S_POD_NAME", name), CNIArgument("K8S_POD_INFRA_CONTAINER_ID", uid),
                CNIArgument("K8S_POD_UID", uid),
            ]
        }
    }

    /// What a pod was given.
    public struct Attached: Sendable, Hashable {
        public let uid: String
        public let network: String
        /// The pod's own, in the plugins' order: the first is the one to tell. At least one.
        public let addresses: [IPAddress]
        public let result: CNIResult
    }

    /// What ``reconcile(live:)`` found and did.
    public struct Reconciliation: Sendable {
        /// Uids of pods that were gone and had something left.
        public var removed: [String] = []
        /// Uids of live pods whose attachment was cut off, or whose namespace is not held any more: attach them again. A pod
        /// that has no attachment on record is not among them: it may want none, or not have come that far.
        public var lost: [String] = []
        /// What could not be taken back, and stays on record.
        public var problems: [ChainError] = []
    }

    public let configuration: Configuration
    private let caller: PluginCaller
    private let records: AttachmentRecords
    private let namespaces: HeldNamespaces
    private let exclusion = Exclusion()

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        caller = PluginCaller(directories: configuration.pluginDirectories, seconds: configuration.seconds)
        records = AttachmentRecords(configuration.directory)
        namespaces = HeldNamespaces(directory: configuration.namespaceDirectory)
    }

    /// Connects a pod, or leaves nothing: `lo` comes up, then the plugins are called. A pod that is attached already is
    /// detached first. What the pod asks for must be among the network's capabilities.
    public func attach(
        _ pod: Pod, networkNamespace: borrowing OwnedDescriptor
    ) async throws(ChainError) -> Attached {
        let namespace: SharedDescriptor
        do {
            namespace = SharedDescriptor(try networkNamespace.duplicate())
        } catch {
            throw .system(error)
        }
        return try await onThread { () throws(ChainError) in try self.attachNow(pod, namespace.descriptor) }
    }

    /// Takes everything back that the pod was given. Fine for a pod that has nothing. After a failure what is left stays on
    /// record: call again.
    public func detach(uid: String) async throws(ChainError) {
        try await onThread { () throws(ChainError) in try self.detachNow(uid: uid) }
    }

    /// Takes back what pods have that are not among `live`, also what only the plugins know of (GC, from version 1.1.0 on),
    /// and says which live pods lost their connection. Waits for attachments that are under way, and new ones wait for it.
    public func reconcile(live: Set<String>) async throws(ChainError) -> Reconciliation {
        try await onThread { () throws(ChainError) in try self.reconcileNow(live: live) }
    }

    /// Whether pods can be attached: there is a configuration, its plugins are there and agree on a version, and none of
    /// them says otherwise (STATUS, from version 1.1.0 on).
    public func status() async throws(ChainError) {
        try await onThread { () throws(ChainError) in try self.chain().status() }
    }

    /// Asks the plugins whether the pod's connection is as they made it (CHECK).
    public func check(uid: String) async throws(ChainError) {
        try await onThread { () throws(ChainError) in
            self.exclusion.enter(uid)
            defer { self.exclusion.leave(uid) }
            let attached = try onDisk { () throws(SystemError) in try self.records.of(uid) }
            guard let record = attached.first else {
                throw .notAttached(containerID: uid, interface: self.configuration.interface)
            }
            try PluginChain(record, caller: self.caller, records: self.records)
                .check(containerID: uid, interface: record.interface)
        }
    }
}

/// The same on the caller's thread, in whose namespaces the plugins run.
extension CNINetwork {
    /// The network that pods are attached to at present, its plugins found and their version agreed on.
    func chain() throws(ChainError) -> PluginChain {
        try PluginChain(
            try NetworkConfiguration.load(from: configuration.configurationDirectory), caller: caller,
            records: records)
    }

    func attachNow(_ pod: Pod, _ networkNamespace: borrowing OwnedDescriptor) throws(ChainError) -> Attached {
        exclusion.enter(pod.uid)
        defer { exclusion.leave(pod.uid) }
        let chain = try chain()
        let network = chain.configuration.name
        if let missing = pod.runtime.needed.first(where: { !chain.configuration.has($0) }) {
            throw .capabilityMissing(missing, network: network)
        }
        try remove(uid: pod.uid)
        try Self.raiseLoopback(networkNamespace)
        let path = try namespaces.hold(pod.uid, networkNamespace)
        do throws(ChainError) {
            let result = try chain.add(
                containerID: pod.uid, networkNamespacePath: path, interface: configuration.interface,
                runtimeConfig: pod.runtime.document, arguments: pod.arguments)
            let addresses = result.containerAddresses
            guard !addresses.isEmpty else {
                try? chain.delete(containerID: pod.uid, interface: configuration.interface)
                throw .noAddress(network: network)
            }
            return Attached(uid: pod.uid, network: network, addresses: addresses, result: result)
        } catch {
            try? namespaces.release(pod.uid)
            throw error
        }
    }

    func detachNow(uid: String) throws(ChainError) {
        exclusion.enter(uid)
        defer { exclusion.leave(uid) }
        try remove(uid: uid)
    }

    func reconcileNow(live: Set<String>) throws(ChainError) -> Reconciliation {
        exclusion.enterAlone()
        defer { exclusion.leaveAlone() }
        var report = Reconciliation()
        let (attached, unreadable) = try onDisk(records.all)
        report.problems = unreadable.map { .record("\($0) is no record of an attachment: remove it by hand") }
        var lost: Set<String> = []
        for record in attached {
            if live.contains(record.containerID) {
                if record.result == nil || !namespaces.isHeld(record.containerID) { lost.insert(record.containerID) }
                continue
            }
            do {
                try remove(uid: record.containerID)
                report.removed.append(record.containerID)
            } catch {
                report.problems.append(error)
            }
        }
        report.lost = lost.sorted()
        try namespaces.releaseAll(but: Set(attached.map(\.containerID)).union(live))
        // Without a network there is nobody to ask for more.
        if let chain = try? chain() {
            let own = attached.filter { $0.network == chain.configuration.name && live.contains($0.containerID) }
            report.problems += chain.collectBeyondRecords(valid: Set(own.map { Attachment($0) }))
        }
        return report
    }

    /// Every attachment of a pod, under whatever configuration it was made, then its namespace.
    private func remove(uid: String) throws(ChainError) {
        for record in try onDisk({ () throws(SystemError) in try records.of(uid) }) {
            try PluginChain(record, caller: caller, records: records).delete(record)
        }
        try namespaces.release(uid)
    }

    private static func raiseLoopback(_ networkNamespace: borrowing OwnedDescriptor) throws(ChainError) {
        do {
            var routes = try RouteSocket(in: networkNamespace)
            try routes.apply([.changeLink(.index(1), LinkChange(isUp: true))])
        } catch let error as NetlinkError {
            throw .system(SystemError(error.operation, error.subject, errno: error.errno))
        } catch let error as SystemError {
            throw .system(error)
        } catch {
            throw .invalidAttachment("lo: \(error)")
        }
    }
}
