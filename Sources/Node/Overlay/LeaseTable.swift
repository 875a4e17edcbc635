import Netlink

/// The leases that can be used together, and what is wrong with the others.
///
/// Where two contradict each other, this node's own counts, then the one that is named first: a bad entry at the end of
/// a list cuts off nobody.
struct LeaseTable: Sendable {
    private(set) var leases: [String: NodeLease] = [:]
    private(set) var problems: [OverlayProblem] = []
    /// As they were told.
    private var told: [NodeLease]
    private let ownName: String
    private var publicAddresses: [IPAddress: String] = [:]
    private var macs: [Station: String] = [:]
    private var networks = [NetworkOrder(), NetworkOrder()]

    private struct Station: Hashable {
        let mac: MACAddress
        let underlay: IPFamily
    }

    init(_ all: [NodeLease], ownName: String) {
        self.ownName = ownName
        told = all
        leases.reserveCapacity(all.count)
        publicAddresses.reserveCapacity(all.count)
        macs.reserveCapacity(all.count)
        let own = all.firstIndex { $0.name == ownName }
        if let own { add(all[own]) }
        for (index, lease) in all.enumerated() where index != own { add(lease) }
        refuseNetworksWithPublicAddresses()
    }

    /// The same as without `former`, which saves most of the work where little is different.
    init(_ all: [NodeLease], ownName: String, after former: LeaseTable) {
        self = former.replacing(all) ?? LeaseTable(all, ownName: ownName)
    }

    /// nil where some leases contradict others: which of them count depends on all.
    private func replacing(_ all: [NodeLease]) -> LeaseTable? {
        guard problems.isEmpty, all.count == told.count else { return nil }
        let changed = all.indices.filter { all[$0] != told[$0] }
        guard changed.count < 32 else { return nil }
        var next = self
        next.told = all
        for index in changed { next.remove(told[index]) }
        for index in changed { next.add(all[index]) }
        if !changed.isEmpty { next.refuseNetworksWithPublicAddresses() }
        return next.problems.isEmpty ? next : nil
    }

    private mutating func remove(_ lease: NodeLease) {
        leases[lease.name] = nil
        for family in IPFamily.allCases {
            guard let address = lease.publicAddress(family) else { continue }
            publicAddresses[address] = nil
            macs[Station(mac: lease.mac(over: family), underlay: family)] = nil
        }
        for cidr in lease.podCIDRs { networks[cidr.address.ipFamily.index].remove(cidr) }
    }

    /// This node's.
    var own: NodeLease? { leases[ownName] }

    /// The pod networks of all nodes, in the order of their addresses.
    var cidrs: [CIDR] { networks.flatMap { $0.items.map(\.cidr) } }

    private mutating func add(_ lease: NodeLease) {
        if let problem = conflict(of: lease) {
            problems.append(OverlayProblem(.lease, lease.name, "node \(lease.name): \(problem): left out"))
            return
        }
        var lease = lease
        var taken: [CIDR] = []
        for (index, cidr) in lease.podCIDRs.enumerated() {
            if let problem = take(cidr, at: index, of: lease) {
                problems.append(OverlayProblem(.lease, lease.name, "node \(lease.name): \(problem): left out"))
            } else {
                taken.append(cidr)
            }
        }
        lease.podCIDRs = taken
        for family in IPFamily.allCases {
            guard let address = lease.publicAddress(family) else { continue }
            publicAddresses[address] = lease.name
            macs[Station(mac: lease.mac(over: family), underlay: family)] = lease.name
        }
        leases[lease.name] = lease
    }

    /// Why none of the lease can be used.
    private func conflict(of lease: NodeLease) -> String? {
        if lease.name.isEmpty { return "a lease needs a name" }
        if leases[lease.name] != nil { return "there is a lease of this name before it" }
        if lease.publicIPv4 == nil && lease.publicIPv6 == nil { return "it has no public address" }
        for family in IPFamily.allCases {
            guard let address = lease.publicAddress(family) else { continue }
            if !address.isUsableHost { return "\(address) is no public address" }
            if let other = publicAddresses[address] { return "its public address \(address) is node \(other)'s" }
            let mac = lease.mac(over: family)
            if mac.value == 0 || mac.isGroup { return "\(mac) is no address of a device" }
            if let other = macs[Station(mac: mac, underlay: family)] { return "its VTEP MAC \(mac) is node \(other)'s" }
        }
        return nil
    }

    /// Notes the network, or says why it cannot be used.
    private mutating func take(_ cidr: CIDR, at index: Int, of lease: NodeLease) -> String? {
        let family = cidr.address.ipFamily
        if let first = lease.podCIDRs[..<index].first(where: { $0.address.ipFamily == family }) {
            return "a second \(family) pod network \(cidr) beside \(first)"
        }
        let lengths = family == .v4 ? 8...30 : 16...126
        guard lengths.contains(cidr.prefixLength) else {
            return "pod network \(cidr): need /\(lengths.lowerBound) to /\(lengths.upperBound)"
        }
        if let special = cidr.specialNetwork {
            return "pod network \(cidr) lies in \(special), which is no network for pods"
        }
        if let other = networks[family.index].insert(cidr, owner: lease.name) {
            return "pod network \(cidr) overlaps with \(other.cidr) of node \(other.owner)"
        }
        return nil
    }

    /// Packets to a public address inside of a pod network would be encapsulated again, and again.
    private mutating func refuseNetworksWithPublicAddresses() {
        var inside: [(key: IPAddress, value: String)] = []
        for item in publicAddresses where networks[item.key.ipFamily.index].item(containing: item.key) != nil {
            inside.append(item)
        }
        for (address, name) in inside.sorted(by: { $0.key.number < $1.key.number }) {
            let family = address.ipFamily
            guard let found = networks[family.index].item(containing: address) else { continue }
            let refused = found.owner == ownName ? name : found.owner
            if refused == found.owner {
                problems.append(
                    OverlayProblem(
                        .lease, refused,
                        "node \(refused): pod network \(found.cidr) has the public address \(address) of node \(name) "
                            + "in it: left out"))
                networks[family.index].remove(found.cidr)
                leases[refused]?.podCIDRs.removeAll { $0 == found.cidr }
            } else {
                problems.append(
                    OverlayProblem(
                        .lease, refused,
                        "node \(refused): its public address \(address) lies in this node's pod network "
                            + "\(found.cidr): left out"))
                for cidr in leases[refused]?.podCIDRs ?? [] { networks[cidr.address.ipFamily.index].remove(cidr) }
                leases[refused] = nil
            }
        }
    }
}

/// Networks of one family that do not overlap, in order.
private struct NetworkOrder: Sendable {
    struct Item: Sendable {
        let cidr: CIDR
        let first: UInt128
        let last: UInt128
        let owner: String
    }

    private(set) var items: [Item] = []

    /// Where an item that starts at `first` belongs.
    private func position(_ first: UInt128) -> Int {
        // Leases mostly come in the order of their networks.
        guard let last = items.last, last.first >= first else { return items.count }
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if items[middle].first < first { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Puts the network in its place; the one that it overlaps with, if there is one, and then nothing is done.
    mutating func insert(_ cidr: CIDR, owner: String) -> Item? {
        let (first, last) = cidr.bounds
        let position = position(first)
        if position < items.count, items[position].first <= last { return items[position] }
        if position > 0, items[position - 1].last >= first { return items[position - 1] }
        items.insert(Item(cidr: cidr, first: first, last: last, owner: owner), at: position)
        return nil
    }

    func item(containing address: IPAddress) -> Item? {
        let number = address.number
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if items[middle].first <= number { low = middle + 1 } else { high = middle }
        }
        return low > 0 && items[low - 1].last >= number ? items[low - 1] : nil
    }

    mutating func remove(_ cidr: CIDR) {
        let position = position(cidr.bounds.first)
        if position < items.count, items[position].cidr == cidr { items.remove(at: position) }
    }
}

/// Not for pods, whoever asks: this host, loopback, link-local, multicast and beyond.
private let specialNetworks: [(cidr: CIDR, first: UInt128, last: UInt128)] = [
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/16", "fe80::/10", "ff00::/8",
].compactMap { CIDR($0) }.map { ($0, $0.bounds.first, $0.bounds.last) }

extension CIDR {
    /// The network that is not for pods and shares addresses with this one.
    fileprivate var specialNetwork: CIDR? {
        let (first, last) = bounds
        let bits = address.bitWidth
        return specialNetworks.first {
            $0.first <= last && first <= $0.last && $0.cidr.address.bitWidth == bits
        }?.cidr
    }

    /// Whether it lies in a network that is not for pods.
    var isSpecial: Bool { specialNetwork.map { $0.contains(self) } ?? false }

    fileprivate var bounds: (first: UInt128, last: UInt128) {
        let first = address.number
        // A shift by all 128 bits gives 0, and 0 - 1 all ones.
        return (first, first &+ ((UInt128(1) << UInt128(hostBits)) &- 1))
    }
}

extension IPFamily {
    fileprivate var index: Int { self == .v4 ? 0 : 1 }
}

extension IPAddress {
    /// The address as a number.
    fileprivate var number: UInt128 {
        switch self {
        case .v4(let address): UInt128(address.value)
        case .v6(let address): UInt128(address.high) << 64 | UInt128(address.low)
        }
    }

    /// Whether a host can have it for others to send to.
    fileprivate var isUsableHost: Bool {
        switch self {
        case .v4(let address):
            let first = address.value >> 24
            return first != 0 && first != 127 && first < 224
        case .v6(let address):
            let isLinkLocal = address.high >> 54 == 0xfe80 >> 6
            return address.high >> 56 != 0xff && address.high >> 48 != 0 && !isLinkLocal
        }
    }
}

extension MACAddress {
    /// Whether it stands for several devices.
    fileprivate var isGroup: Bool { value >> 40 & 1 == 1 }
}
