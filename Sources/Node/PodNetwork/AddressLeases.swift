import Glibc
import Linux
import Netlink

/// The one owner of the pod CIDRs' addresses: one file in `leases/` per pod, whose name says the pod's addresses.
///
/// A lease is on disk before anything uses its addresses, and goes last. The file appears whole or not at all (written
/// under another name, then renameat2(2) with RENAME_NOREPLACE), with both addresses of a pod or none, so an owner that is
/// killed at any moment leaves at most a lease whose pod has no interface yet, which `reconcile` finds. There is no fsync:
/// pods do not outlive the host, so after a power loss there is nothing that a lost or torn lease could mislead.
///
/// Opening lists the directory and reads no file: an owner that lives for one request (a CNI plugin) reads what it needs.
package struct AddressLeases: ~Copyable, Sendable {
    /// One file. `lease` is nil until it was read, and for good where it is no whole lease.
    private struct Entry: Sendable {
        var lease: Lease?
        var isUnreadable = false
    }

    private let directory: String
    private let lock: FileLock
    private let cursorFile: OwnedDescriptor
    var configuration: PodNetworkConfiguration
    /// By file name.
    private var entries: [String: Entry] = [:]
    /// Addresses in their canonical text, which is how the files' names have them. Also those of files that are no whole
    /// lease: never given out until ``removeUnreadable()``.
    private var taken: Set<String> = []
    /// File names by the host's interface.
    private var byInterface: [String: String] = [:]
    /// Where the next search begins: an address that was just let go comes last, so that what others remember of it
    /// (connections, caches) does not meet its next owner.
    private var cursor: UInt32

    /// Takes over the leases below `directory`, which is made if it is missing. With `waits` an owner that is there is
    /// waited for.
    package static func open(
        _ directory: String, configuration: PodNetworkConfiguration, waits: Bool = false
    ) throws(PodNetworkError) -> AddressLeases {
        let lock = try lockPodNetwork(directory, waits: waits)
        do {
            var leases = try AddressLeases(directory, lock: lock, configuration: configuration)
            try leases.list()
            return leases
        } catch {
            throw PodNetworkError(error)
        }
    }

    private init(
        _ directory: String, lock: consuming FileLock, configuration: PodNetworkConfiguration
    ) throws(SystemError) {
        self.directory = directory + "/leases"
        self.lock = lock
        self.configuration = configuration
        try makeDirectories(self.directory, mode: 0o700)
        try makeDirectories(directory + "/spare", mode: 0o700)
        cursorFile = try OwnedDescriptor(opening: directory + "/cursor", flags: O_RDWR | O_CREAT, mode: 0o600)
        cursor = 0
        // Torn or missing, it only costs the order in which addresses are given out.
        var value: UInt32 = 0
        if pread(cursorFile.number, &value, 4, 0) == 4 { cursor = value }
    }

    private mutating func list() throws {
        let files = try listDirectory(directory)
        entries.reserveCapacity(files.count + 1)
        byInterface.reserveCapacity(files.count + 1)
        taken.reserveCapacity(2 * (files.count + 1))
        for file in files {
            // What was being written when its owner died.
            if file.hasPrefix(".") {
                unlink("\(directory)/\(file)")
            } else if let comma = file.utf8.lastIndex(of: UInt8(ascii: ",")) {
                add(file)
                byInterface[String(file[file.index(after: comma)...])] = file
            } else if IPAddress(file) != nil {
                // A version that knew one address per pod wrote it: the interface is inside.
                add(file)
                _ = try read(file)
            }
        }
    }

    private mutating func add(_ file: String) {
        entries[file] = Entry()
        for address in Self.addresses(of: file) { taken.insert(String(address)) }
    }

    /// What of a file's name are addresses.
    private static func addresses(of file: String) -> ArraySlice<Substring> {
        let parts = file.split(separator: ",")
        return parts.count > 1 ? parts.dropLast() : parts[...]
    }

    /// The lease in a file; nil where it is none.
    private mutating func read(_ file: String) throws(PodNetworkError) -> Lease? {
        guard let entry = entries[file] else { return nil }
        if entry.lease != nil || entry.isUnreadable { return entry.lease }
        let lease = Lease(fileName: file, encoded: try contents(file))
        if let lease, byInterface[lease.interface] == nil || byInterface[lease.interface] == file {
            entries[file]?.lease = lease
            byInterface[lease.interface] = file
            return lease
        }
        entries[file]?.isUnreadable = true
        return nil
    }

    private func contents(_ file: String) throws(PodNetworkError) -> [UInt8] {
        do { return try readFile("\(directory)/\(file)", limit: 1 << 20) } catch { throw .system(error) }
    }

    /// Every lease, by address.
    package mutating func all() throws(PodNetworkError) -> [Lease] {
        var leases: [Lease] = []
        leases.reserveCapacity(entries.count)
        for file in entries.keys { if let lease = try read(file) { leases.append(lease) } }
        return leases.sorted { $0.addresses[0].bytes.lexicographicallyPrecedes($1.addresses[0].bytes) }
    }

    /// The lease of a pod; nil if it has none.
    package mutating func lease(uid: String) throws(PodNetworkError) -> Lease? {
        if let file = byInterface[configuration.interfaceName(of: uid)], let lease = try read(file), lease.uid == uid {
            return lease
        }
        // Interfaces that an earlier configuration named.
        let foreign = byInterface.keys.contains { !$0.hasPrefix(configuration.hostInterfacePrefix) }
        return foreign ? try all().first { $0.uid == uid } : nil
    }

    /// Throws if another pod has one of the ports.
    mutating func checkHostPorts(_ ports: [HostPort], of uid: String) throws(PodNetworkError) {
        if ports.isEmpty { return }
        for lease in try all() where lease.uid != uid {
            for port in ports where lease.hostPorts.contains(where: port.conflicts) {
                throw .hostPortTaken(port, by: lease.name)
            }
        }
    }

    /// Writes a lease of the addresses that `request` names, and of the next free ones otherwise.
    package mutating func acquire(
        uid: String, name: String, request: PodNetworkRequest = PodNetworkRequest()
    ) throws(PodNetworkError) -> Lease {
        let interface = configuration.interfaceName(of: uid)
        guard byInterface[interface] == nil else {
            throw .invalidRequest("pod \(uid): another pod has its interface \(interface)")
        }
        try checkMAC(of: request)
        for _ in 0..<64 {
            let (addresses, next) = try choose(request.addresses)
            var lease = Lease(
                addresses: addresses, uid: uid, name: name, interface: interface, hostPorts: request.hostPorts)
            lease.podInterface = request.interfaceName
            lease.requestedMAC = request.mac
            lease.ingressBandwidth = request.ingressBandwidth
            lease.egressBandwidth = request.egressBandwidth
            let file = lease.fileName
            do throws(SystemError) {
                let isWritten = try write(lease, file)
                add(file)
                guard isWritten else {
                    entries[file]?.isUnreadable = true
                    continue
                }
            } catch {
                throw .system(error)
            }
            entries[file]?.lease = lease
            byInterface[interface] = file
            move(cursorTo: next)
            return lease
        }
        throw .unexpected("\(directory): somebody else writes leases")
    }

    private mutating func move(cursorTo next: UInt32?) {
        guard let next else { return }
        cursor = next
        var value = next
        _ = pwrite(cursorFile.number, &value, 4, 0)
    }

    /// False if the file is there already, which nobody but a stranger could have made.
    private func write(_ lease: Lease, _ file: String) throws(SystemError) -> Bool {
        let path = "\(directory)/\(file)"
        let (temporary, isSpare) = try prepare(lease, file)
        if cl_renameat2(AT_FDCWD, temporary, AT_FDCWD, path, 1 /* RENAME_NOREPLACE */) == 0 { return true }
        let error = SystemError("renameat2", path)
        if !isSpare { unlink(temporary) }
        if error.errno == EEXIST { return false }
        throw error
    }

    /// The lease in a file that is not yet one.
    private func prepare(_ lease: Lease, _ name: String) throws(SystemError) -> (path: String, isSpare: Bool) {
        let bytes = lease.encoded
        for number in 0..<Self.spareFiles {
            let path = spare(number)
            guard let file = try? OwnedDescriptor(opening: path, flags: O_WRONLY) else { continue }
            try file.writeAll(bytes, subject: path)
            try check(ftruncate(file.number, off_t(bytes.count)), "ftruncate", path)
            return (path, true)
        }
        let path = "\(directory)/.\(name)"
        do {
            let file = try OwnedDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try file.writeAll(bytes, subject: path)
        } catch {
            unlink(path)
            throw error
        }
        return (path, false)
    }

    /// Files of leases that ended are kept for those to come, some of them: making a file is most of what a lease costs
    /// (ext4 takes 0.2 ms of CPU to find an inode where many were freed lately, and 0.02 ms to rename one).
    private static let spareFiles = 8

    private func spare(_ number: Int) -> String { "\(directory)/../spare/\(number)" }

    /// The file is none of a lease any more.
    private func retire(_ file: String) throws(SystemError) {
        let path = "\(directory)/\(file)"
        for number in 0..<Self.spareFiles {
            if cl_renameat2(AT_FDCWD, path, AT_FDCWD, spare(number), 1 /* RENAME_NOREPLACE */) == 0 { return }
            if errno != EEXIST { break }
        }
        if unlink(path) < 0 && errno != ENOENT { throw SystemError("unlink", path) }
    }

    /// A pod that is leaving has its addresses for a while yet, but no host ports.
    mutating func forgetHostPorts(of lease: Lease) {
        guard let file = byInterface[lease.interface] else { return }
        entries[file]?.lease?.hostPorts = []
    }

    /// Lets the addresses go. Fine if the pod does not have them any more.
    package mutating func release(_ lease: Lease) throws(SystemError) {
        guard let file = byInterface[lease.interface], let entry = entries[file], entry.lease?.uid == lease.uid,
            entry.lease?.addresses == lease.addresses
        else { return }
        try retire(file)
        forget(file)
        byInterface[lease.interface] = nil
    }

    private mutating func forget(_ file: String) {
        entries[file] = nil
        for address in Self.addresses(of: file) { taken.remove(String(address)) }
    }

    /// Lets those addresses go whose lease cannot be read. Call when no interface uses them.
    mutating func removeUnreadable() throws(PodNetworkError) {
        _ = try all()
        for (file, entry) in entries where entry.isUnreadable {
            let path = "\(directory)/\(file)"
            if unlink(path) < 0 && errno != ENOENT { throw .system(SystemError("unlink", path)) }
            forget(file)
        }
        byInterface = byInterface.filter { entries[$0.value] != nil }
        // A name may share an address with a whole lease, if a stranger made it.
        taken = Set(entries.keys.flatMap { Self.addresses(of: $0).map(String.init) })
    }

    /// How many files there are.
    var count: Int { entries.count }
}

extension AddressLeases {
    /// One address of each family, those of `requested` where there are such, and where the next search is to begin. Both
    /// addresses of a pod stand at the same place in their networks if they can: 10.88.0.5 and fd42::5.
    private func choose(_ requested: [IPAddress]) throws(PodNetworkError) -> (addresses: [IPAddress], next: UInt32?) {
        let blocks = configuration.blocks
        for address in requested where taken.contains("\(address)") {
            throw .addressTaken(address, by: ownerName(of: address))
        }
        let given = blocks.map { block in requested.first { block.cidr.contains($0) } }
        if !requested.isEmpty {
            // The search goes on where it was: who names an address takes it out of turn.
            let place = zip(blocks, given).lazy.compactMap { block, address in address.flatMap(block.offset) }.first
            return (try pick(blocks, given, from: place ?? cursor), nil)
        }
        let smallest = blocks.map(\.count).min() ?? 0
        for step in 0..<smallest {
            let offset = (cursor &+ step) % smallest
            if blocks.allSatisfy({ isFree($0, offset) }) { return (blocks.map { $0[offset] }, offset + 1) }
        }
        return (try pick(blocks, given, from: cursor), nil)
    }

    /// For each block by itself the address that is given, or the next free one from `start` on.
    private func pick(
        _ blocks: [AddressBlock], _ given: [IPAddress?], from start: UInt32
    ) throws(PodNetworkError) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for (block, address) in zip(blocks, given) {
            if let address {
                addresses.append(address)
                continue
            }
            let step = (0..<block.count).first { isFree(block, (start &+ $0) % block.count) }
            guard let step else { throw .addressesExhausted(block.cidr) }
            addresses.append(block[(start &+ step) % block.count])
        }
        return addresses
    }

    private func isFree(_ block: AddressBlock, _ offset: UInt32) -> Bool {
        // The last one is an IPv4 network's broadcast address.
        guard offset >= 2, !block.cidr.isIPv4 || offset < block.count - 1 else { return false }
        return !taken.contains(block[offset].description)
    }

    private func ownerName(of address: IPAddress) -> String {
        let text = "\(address)"
        let holder = entries.first { Self.addresses(of: $0.key).contains(Substring(text)) }
        guard let (file, entry) = holder else { return "a pod" }
        let lease = entry.lease ?? (try? contents(file)).flatMap { Lease(fileName: file, encoded: $0) }
        return lease.map { "pod \($0.name)" } ?? "a lease that cannot be read (\(directory)/\(file))"
    }

    /// An Ethernet address must be one pod's alone where pods share a bridge. Those that follow from addresses are not
    /// to be had without the address: its next owner would find its own taken.
    private mutating func checkMAC(of request: PodNetworkRequest) throws(PodNetworkError) {
        guard let mac = request.mac, !request.addresses.contains(where: { PodNetworkConfiguration.podMAC($0) == mac })
        else { return }
        if mac.value & 0xffff_0000_0000 == PodNetworkConfiguration.derivedMACs {
            throw .invalidRequest("MAC \(mac): those of 0a:58 follow from pods' addresses")
        }
        for lease in try all() where lease.mac == mac {
            throw .macTaken(mac, by: "pod \(lease.name)")
        }
    }
}

/// Makes `directory` its caller's alone, until the lock goes away or the process dies. Without `waits` another owner is an
/// error, if it stays one for a tenth of a second: what a former owner just started holds its lock until it has become
/// another program.
func lockPodNetwork(_ directory: String, waits: Bool = false) throws(PodNetworkError) -> FileLock {
    for attempt in 0... {
        do {
            if attempt == 0 { try makeDirectories(directory, mode: 0o700) }
            return try FileLock(directory + "/lock", wait: waits)
        } catch {
            guard error.errno == EWOULDBLOCK else { throw .system(error) }
            if attempt == 20 { break }
            usleep(5000)
        }
    }
    throw .directoryInUse(directory)
}

/// The interfaces that the leases in `directory` name, for a reset, which has no configuration.
func leasedInterfaces(in directory: String) throws(SystemError) -> Set<String> {
    let leases = directory + "/leases"
    guard fileExists(leases) else { return [] }
    var names: Set<String> = []
    for file in try listDirectory(leases) where !file.hasPrefix(".") {
        guard let lease = Lease(fileName: file, encoded: try readFile("\(leases)/\(file)", limit: 1 << 20)) else {
            continue
        }
        names.insert(lease.interface)
    }
    return names
}
