import Netlink

/// What this host should have: desired state as a value. Follows from the leases, the host, and which of the planned
/// devices are there yet; a change of one lease costs as much as this lease.
struct Plan: Sendable {
    let configuration: OverlayConfiguration
    private(set) var table: LeaseTable
    private(set) var surroundings = Surroundings()
    private(set) var devices: [DevicePlan] = []
    /// Indices of those of ``devices`` that are there and up, by the public addresses that they serve.
    private(set) var indices: [IPFamily: Int32] = [:]
    /// What the kernel must have.
    private(set) var entries: [EntryKey: Entry] = [:]
    /// To every node but this one.
    private(set) var paths: [String: NodePaths] = [:]
    private var keys: [String: [EntryKey]] = [:]
    private var carriages: [Carriage: Int] = [:]

    init(configuration: OverlayConfiguration) {
        self.configuration = configuration
        table = LeaseTable([], ownName: configuration.nodeName)
    }

    /// Plans anew what depends on something that is different now.
    /// - Parameters:
    ///   - table: The leases, if they were told anew.
    ///   - kernel: Says what of this host matters, and which devices are there.
    /// - Returns: The keys of entries that were added, changed or dropped.
    mutating func update(_ table: LeaseTable? = nil, for kernel: KernelState) -> Set<EntryKey> {
        let before = self.table.own
        let old = self.table.leases
        if let table { self.table = table }
        let now = self.table.own.map { Surroundings(kernel, own: $0, configuration: configuration) } ?? Surroundings()
        var changed: Set<String> = []
        if now != surroundings || self.table.own != before {
            changed = Set(old.keys).union(self.table.leases.keys)
        } else if table != nil {
            var stayed = 0
            for (name, lease) in old {
                let new = self.table.leases[name]
                if new != nil { stayed += 1 }
                if new != lease { changed.insert(name) }
            }
            if self.table.leases.count > stayed {
                for name in self.table.leases.keys where old[name] == nil { changed.insert(name) }
            }
        }
        surroundings = now
        for name in changed where name != configuration.nodeName { findPaths(name, kernel) }
        planDevices()
        let found = findDevices(kernel)
        defer { indices = found }
        return replaceEntries(of: found == indices ? changed : Set(keys.keys).union(paths.keys), found)
    }

    private mutating func findPaths(_ name: String, _ kernel: KernelState) {
        for carriage in paths[name]?.carriages ?? [] { carriages[carriage, default: 0] -= 1 }
        paths[name] = nil
        guard let own = table.own, let lease = table.leases[name] else { return }
        let new = NodePaths(to: lease, from: own, surroundings, configuration) { cidr in
            entries[.route(cidr)] != nil || kernel.routes[cidr] != nil
        }
        for carriage in new.carriages { carriages[carriage, default: 0] += 1 }
        paths[name] = new
    }

    private mutating func planDevices() {
        guard let own = table.own else {
            devices = []
            return
        }
        let used = carriages.filter { $0.value > 0 }.map(\.key)
        devices = DevicePlan.plans(own: own, surroundings, carriages: used, configuration)
    }

    /// Those that can carry packets.
    private func findDevices(_ kernel: KernelState) -> [IPFamily: Int32] {
        var result: [IPFamily: Int32] = [:]
        for device in devices {
            guard let link = kernel.link(named: device.name), device.canBecome(link), link.isUp else { continue }
            for underlay in device.underlays { result[underlay] = link.index }
        }
        return result
    }

    private mutating func replaceEntries(of names: Set<String>, _ devices: [IPFamily: Int32]) -> Set<EntryKey> {
        // All that goes before all that comes: a network may have moved from one node to another.
        var before: [EntryKey: Entry] = [:]
        for name in names {
            for key in keys.removeValue(forKey: name) ?? [] { before[key] = entries.removeValue(forKey: key) }
        }
        var changed: Set<EntryKey> = []
        for name in names {
            guard let node = paths[name] else { continue }
            let new = node.entries(devices: devices, surroundings, configuration)
            keys[name] = new.map(\.key)
            for entry in new {
                entries[entry.key] = entry
                if before.removeValue(forKey: entry.key) != entry { changed.insert(entry.key) }
            }
        }
        return changed.union(before.keys)
    }
}

extension Plan {
    /// What is wrong that no repair can help.
    var problems: [OverlayProblem] {
        var result = table.problems + surroundings.problems + paths.values.flatMap(\.problems)
        if table.own == nil {
            result.append(
                OverlayProblem(
                    .ownLeaseMissing, configuration.nodeName,
                    "node \(configuration.nodeName) has no lease of its own: it takes no part in the overlay"))
        }
        let detours = paths.values.compactMap(\.detour)
        if let first = detours.min() {
            result.append(
                OverlayProblem(
                    .underlay, "",
                    first + (detours.count > 1 ? " (and \(detours.count - 1) more nodes)" : "")
                        + ": name the interface (--overlay-interface), or give nodes another public address"))
        }
        if let mtu = podMTU, let asked = configuration.mtu, mtu < asked {
            result.append(
                OverlayProblem(
                    .mtu, "", "an MTU of \(asked) was asked for, and the underlay has room for \(mtu): pods have that"))
        }
        if let mtu = podMTU, mtu < leastIPv6MTU, table.own?.podCIDR(.v6) != nil {
            result.append(
                OverlayProblem(
                    .mtu, "",
                    "pods' packets may have \(mtu) bytes, and IPv6 needs 1280: the underlay must carry more, or pods "
                        + "must do without IPv6"))
        }
        return result
    }

    /// The pod networks of all nodes, without those that are, on this host, something else's.
    var networks: [CIDR] {
        let collided = Set(paths.values.flatMap(\.collided))
        return collided.isEmpty ? table.cidrs : table.cidrs.filter { !collided.contains($0) }
    }

    /// Whether there are packets of encapsulation to look after.
    var needsRules: Bool { !devices.isEmpty }

    /// Bytes that a pod's packet may have to fit whatever way it takes; nil where nothing is known of the underlay.
    var podMTU: UInt32? {
        guard let own = table.own else { return nil }
        let used =
            devices.isEmpty
            ? IPFamily.allCases.filter { own.podCIDR($0) != nil && own.publicAddress($0) != nil }
            : devices.flatMap(\.underlays)
        let all = (used.isEmpty ? IPFamily.allCases : used).compactMap { surroundings.podMTU(over: $0, configuration) }
        return all.min()
    }
}
