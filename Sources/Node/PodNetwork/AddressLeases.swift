import Glibc
import Linux
import Netlink

/// The one owner of the pod CIDR's addresses: one file `leases/<address>` per address that a pod has.
///
/// A lease is on disk before anything uses its address, and goes last. The file appears whole or not at all (written
/// under another name, then renameat2(2) with RENAME_NOREPLACE), so an owner that is killed at any moment leaves at most
/// a lease whose pod has no interface yet, which `reconcile` finds. There is no fsync: pods do not outlive the host, so
/// after a power loss there is nothing that a lost or torn lease could mislead.
struct AddressLeases: ~Copyable, Sendable {
    private let directory: String
    private let lock: FileLock
    private let configuration: PodNetworkConfiguration
    private var byAddress: [IPv4Address: Lease] = [:]
    private var byUID: [String: Lease] = [:]
    /// Files that are no whole lease, by address: never given out until ``removeUnreadable()``.
    private(set) var unreadable: Set<IPv4Address> = []
    /// Where the last search ended: an address that was just let go comes last, so that what others remember of it
    /// (connections, caches) does not meet its next owner.
    private var cursor: UInt32 = 0

    private init(directory: String, lock: consuming FileLock, configuration: PodNetworkConfiguration) {
        self.directory = directory
        self.lock = lock
        self.configuration = configuration
    }

    /// Takes over the leases below `directory`, which is made if it is missing.
    static func open(
        _ directory: String, configuration: PodNetworkConfiguration
    ) throws(PodNetworkError) -> AddressLeases {
        let lock = try lockPodNetwork(directory)
        var leases = AddressLeases(directory: directory + "/leases", lock: lock, configuration: configuration)
        do {
            try makeDirectories(leases.directory, mode: 0o700)
            try leases.load()
        } catch {
            throw .system(error)
        }
        return leases
    }

    private mutating func load() throws(SystemError) {
        var newest = (seconds: Int.min, nanoseconds: 0)
        for file in try listDirectory(directory) {
            let path = "\(directory)/\(file)"
            guard let address = IPv4Address(file) else {
                // What was being written when its owner died.
                if file.hasPrefix(".") { unlink(path) }
                continue
            }
            guard let lease = Lease(address: address, encoded: try readFile(path, limit: 1 << 20)),
                byUID[lease.uid] == nil
            else {
                unreadable.insert(address)
                continue
            }
            byAddress[address] = lease
            byUID[lease.uid] = lease
            var status = stat()
            if lstat(path, &status) == 0 {
                let time = (seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
                if time > newest, configuration.podCIDR.contains(.v4(address)) {
                    newest = time
                    cursor = address.value - configuration.addresses.first + 1
                }
            }
        }
    }

    var all: [Lease] { byAddress.values.sorted { $0.address < $1.address } }
    subscript(uid uid: String) -> Lease? { byUID[uid] }
    subscript(address: IPv4Address) -> Lease? { byAddress[address] }

    /// Throws if another pod has one of the ports.
    func checkHostPorts(_ ports: [HostPort], of uid: String) throws(PodNetworkError) {
        guard !ports.isEmpty else { return }
        for lease in byAddress.values where lease.uid != uid {
            for port in ports where lease.hostPorts.contains(where: port.conflicts) {
                throw .hostPortTaken(port, by: lease.name)
            }
        }
    }

    /// Writes a lease of the next free address.
    mutating func acquire(uid: String, name: String, hostPorts: [HostPort]) throws(PodNetworkError) -> Lease {
        let (first, count) = configuration.addresses
        for step in 0..<count {
            let offset = (cursor &+ step) % count
            let address = IPv4Address(first + offset)
            // The network, the node, the broadcast address.
            if offset < 2 || offset == count - 1 { continue }
            if byAddress[address] != nil || unreadable.contains(address) { continue }
            let lease = Lease(
                address: address, uid: uid, name: name, interface: configuration.interfaceName(of: uid),
                hostPorts: hostPorts)
            do {
                guard try write(lease) else {
                    unreadable.insert(address)
                    continue
                }
            } catch {
                throw .system(error)
            }
            byAddress[address] = lease
            byUID[uid] = lease
            cursor = offset + 1
            return lease
        }
        throw .addressesExhausted(configuration.podCIDR)
    }

    /// False if the address has a file already, which nobody but a stranger could have made.
    private func write(_ lease: Lease) throws(SystemError) -> Bool {
        let path = "\(directory)/\(lease.address)"
        let temporary = "\(directory)/.\(lease.address)"
        do {
            let file = try OwnedDescriptor(opening: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try file.writeAll(lease.encoded, subject: path)
        } catch {
            unlink(temporary)
            throw error
        }
        if cl_renameat2(AT_FDCWD, temporary, AT_FDCWD, path, 1 /* RENAME_NOREPLACE */) == 0 { return true }
        let error = SystemError("renameat2", path)
        unlink(temporary)
        if error.errno == EEXIST { return false }
        throw error
    }

    /// A pod that is leaving has its address for a while yet, but no host ports.
    mutating func forgetHostPorts(of lease: Lease) {
        byAddress[lease.address]?.hostPorts = []
        byUID[lease.uid]?.hostPorts = []
    }

    /// Lets the address go. Fine if the pod does not have it any more.
    mutating func release(_ lease: Lease) throws(SystemError) {
        guard byAddress[lease.address]?.uid == lease.uid else { return }
        let path = "\(directory)/\(lease.address)"
        if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
        byAddress[lease.address] = nil
        byUID[lease.uid] = nil
    }

    /// Lets those addresses go whose lease cannot be read. Call when no interface uses them.
    mutating func removeUnreadable() throws(SystemError) {
        for address in unreadable {
            let path = "\(directory)/\(address)"
            if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
        }
        unreadable = []
    }
}

/// Makes `directory` its caller's alone, until the lock goes away or the process dies.
func lockPodNetwork(_ directory: String) throws(PodNetworkError) -> FileLock {
    do {
        try makeDirectories(directory, mode: 0o700)
        return try FileLock(directory + "/lock", wait: false)
    } catch {
        throw error.errno == EWOULDBLOCK ? .directoryInUse(directory) : .system(error)
    }
}

/// The interfaces that the leases in `directory` name, for a reset, which has no configuration.
func leasedInterfaces(in directory: String) throws(SystemError) -> Set<String> {
    let leases = directory + "/leases"
    guard fileExists(leases) else { return [] }
    var names: Set<String> = []
    for file in try listDirectory(leases) {
        guard let address = IPv4Address(file),
            let lease = Lease(address: address, encoded: try readFile("\(leases)/\(file)", limit: 1 << 20))
        else { continue }
        names.insert(lease.interface)
    }
    return names
}
