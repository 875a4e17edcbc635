import Netlink

/// What is to be changed in the kernel for one thing to be as planned.
struct Repair: Sendable {
    var subject: Subject
    var changes: [Change]

    /// Whether nothing was wrong before.
    var isPreparation: Bool {
        if case .settings = subject { true } else { false }
    }

    /// What a repair is of: one that fails, or that somebody undoes again and again, is held back for a while.
    enum Subject: Hashable, Sendable {
        /// The kernel's state as a whole.
        case everything
        case device(String)
        /// What a new device needs beside being there.
        case settings(String)
        case address(String, IPAddress)
        case entry(EntryKey)
    }
}

extension Plan {
    /// What makes the devices that are in the kernel the planned ones: what is left of others goes first, for there can be
    /// no two devices of one VNI and port.
    /// - Parameter known: Indices of devices whose settings were made, as far as a list of devices does not tell them.
    func deviceRepairs(_ kernel: KernelState, known: Set<Int32>) -> (repairs: [Repair], problems: [OverlayProblem]) {
        var removals: [Repair] = []
        var repairs: [Repair] = []
        var problems: [OverlayProblem] = []
        for link in kernel.links.values.sorted(by: { $0.index < $1.index }) where KernelState.isOurs(link) {
            if !devices.contains(where: { $0.canBecome(link) }) {
                removals.append(Repair(subject: .device(link.name), changes: [.deleteLink(.index(link.index))]))
            }
        }
        for device in devices {
            if let link = kernel.link(named: device.name) {
                guard KernelState.isOurs(link) else {
                    problems.append(.nameInUse(device, by: link))
                    continue
                }
                guard device.canBecome(link) else { continue }
                let isKnown = known.contains(link.index)
                if let change = device.change(of: link, isKnown: isKnown) {
                    repairs.append(
                        Repair(
                            subject: change.isOfSettings ? .settings(device.name) : .device(device.name),
                            changes: [.changeLink(.index(link.index), change)]))
                }
                // Its settings decide whether it may have addresses of IPv6.
                let isBack = link.mtu >= leastIPv6MTU || device.mtu < leastIPv6MTU
                if isKnown && isBack { repairs += device.addressRepairs(link, kernel) }
            } else if let other = kernel.links.values.filter(device.excludes).min(by: { $0.index < $1.index }) {
                problems.append(.networkInUse(device, by: other, configuration))
            } else {
                repairs.append(Repair(subject: .device(device.name), changes: [device.creation]))
            }
        }
        // A device comes when the former one is gone for good.
        return (removals.isEmpty ? repairs : removals, problems)
    }

    /// What makes the entries of the kernel the planned ones: those of `keys`, or all.
    func entryRepairs(_ kernel: KernelState, of keys: Set<EntryKey>?) -> [Repair] {
        let keys = keys ?? Set(entries.keys).union(kernel.entryKeys)
        var removals: [(rank: Int, repair: Repair)] = []
        var repairs: [(rank: Int, repair: Repair)] = []
        for key in keys {
            let changes = kernel.changes(of: key, to: entries[key])
            if changes.isEmpty { continue }
            let repair = Repair(subject: .entry(key), changes: changes)
            if entries[key] == nil { removals.append((key.rank, repair)) } else { repairs.append((key.rank, repair)) }
        }
        removals.sort { $0.rank > $1.rank }
        repairs.sort { $0.rank < $1.rank }
        return removals.map(\.repair) + repairs.map(\.repair)
    }
}

extension LinkChange {
    /// Whether it is of nothing that a list of devices tells.
    fileprivate var isOfSettings: Bool {
        var settings = LinkChange()
        settings.ipv4 = ipv4
        return self == settings
    }
}

extension DevicePlan {
    /// nil where nothing is to be changed.
    fileprivate func change(of link: Link, isKnown: Bool) -> LinkChange? {
        var change = LinkChange()
        if let mac, link.mac != mac { change.mac = mac }
        if link.mtu != mtu { change.mtu = mtu }
        if link.alias != OverlayConfiguration.alias { change.alias = OverlayConfiguration.alias }
        if let mode = link.addrGenMode, mode != .none { change.addrGenMode = AddressGenerationMode.none }
        if !isKnown {
            // Loose: a node whose way here is another than ours there must not be dropped. The larger of this and the
            // host's own value counts, so 0 would not help where that is strict.
            change.ipv4 = [.forwarding: 1, .reversePathFilter: 2]
        }
        if !link.isUp { change.isUp = true }
        return change == LinkChange() ? nil : change
    }

    fileprivate func addressRepairs(_ link: Link, _ kernel: KernelState) -> [Repair] {
        guard link.isUp else { return [] }
        let found = kernel.addresses.values.filter { $0.link == link.index }
        var repairs: [Repair] = []
        // The new ones first: with the last address of a device go its routes.
        for address in addresses
        where !found.contains(where: { $0.address == address && $0.prefixLength == address.bitWidth }) {
            let isV6 = address.ipFamily == .v6
            let new = Address(
                link: link.index, address: address, prefixLength: address.bitWidth, flags: isV6 ? .noDAD : [])
            repairs.append(Repair(subject: .address(name, address), changes: [.setAddress(new)]))
        }
        for address in found
        where !addresses.contains(address.address) || address.prefixLength != address.address.bitWidth {
            repairs.append(Repair(subject: .address(name, address.address), changes: [.deleteAddress(address)]))
        }
        return repairs
    }

    /// Whether the kernel refuses this device beside `other`, which is not ours (vxlan_dev_configure,
    /// vxlan_vni_in_use; sockets of one port are shared only by devices of one kind).
    fileprivate func excludes(_ other: Link) -> Bool {
        guard let found = other.vxlan, !KernelState.isOurs(other), found.port == settings.port else { return false }
        if found.isExternal != settings.isExternal || found.isGPE != settings.isGPE { return other.isUp }
        if settings.isExternal { return true }
        return found.vni == settings.vni && found.local?.ipFamily ?? .v4 == settings.local?.ipFamily ?? .v4
    }
}

extension OverlayProblem {
    fileprivate static func nameInUse(_ device: DevicePlan, by link: Link) -> OverlayProblem {
        let kind = link.kind ?? "other"
        return OverlayProblem(
            .inUse, device.name,
            "the name \(device.name) belongs to a \(kind) interface that is not the overlay's: rename or remove it, or "
                + "choose another VNI")
    }

    fileprivate static func networkInUse(
        _ device: DevicePlan, by link: Link, _ configuration: OverlayConfiguration
    ) -> OverlayProblem {
        OverlayProblem(
            .inUse, device.name,
            "VNI \(configuration.vni) on UDP port \(configuration.port) belongs to \(link.name), which is not the "
                + "overlay's: remove it (ip link delete \(link.name)), or choose another VNI or port")
    }
}

extension KernelState {
    /// Of all that is ours: routes by their protocol number, the rest by its device.
    var entryKeys: [EntryKey] {
        routes.keys.map(EntryKey.route) + neighbours.filter(\.value.isSetByHand).map(\.key) + Array(forwarding.keys)
    }

    /// What makes the entry of `key` what is wanted, or go.
    func changes(of key: EntryKey, to wanted: Entry?) -> [Change] {
        switch (key, wanted) {
        case (.neighbour, .neighbour(let wanted)?):
            return wanted.isMet(by: neighbours[key]) ? [] : [.setNeighbour(wanted)]
        case (.neighbour, _):
            guard let found = neighbours[key], found.isSetByHand else { return [] }
            return [.deleteNeighbour(found)]
        case (.forwarding, .forwarding(let wanted)?):
            let found = forwarding[key] ?? []
            let right = found.firstIndex { wanted.isMet(by: $0) }
            if right == nil && found.count < 2 { return [.setForwardingEntry(wanted)] }
            // With several, a packet is sent to each.
            let wrong = found.indices.filter { $0 != right }.map { Change.deleteForwardingEntry(found[$0]) }
            return wrong + (right == nil ? [.setForwardingEntry(wanted)] : [])
        case (.forwarding, _):
            return (forwarding[key] ?? []).map { .deleteForwardingEntry($0) }
        case (.route(let network), .route(let wanted)?):
            let found = routes[network] ?? []
            let right = found.firstIndex { wanted.isMet(by: $0) }
            let wrong = found.indices.filter { $0 != right }
            // One that differs in its metric would stay beside the new one.
            let gone = wrong.filter { right != nil || found[$0].precedence != wanted.precedence || wrong.count > 1 }
            let removals = gone.map { Change.deleteRoute(found[$0]) }
            if right != nil { return removals }
            // Only ours is replaced: in the place of somebody else's there must be an error (EEXIST).
            let stays = found.indices.contains { !gone.contains($0) && !isInTheWay(found[$0], of: wanted) }
            let others = found.indices.filter { !gone.contains($0) && isInTheWay(found[$0], of: wanted) }
            return removals + others.map { .deleteRoute(found[$0]) } + [stays ? .setRoute(wanted) : .addRoute(wanted)]
        case (.route(let network), _):
            return (routes[network] ?? []).map { .deleteRoute($0) }
        }
    }

    /// IPv6 takes no gateway in the place of a route over another device through which it would be reached now
    /// (ip6_route_check_nh_onlink).
    private func isInTheWay(_ found: Route, of wanted: Route) -> Bool {
        wanted.destination.address.ipFamily == .v6 && found.precedence == wanted.precedence && found.link != wanted.link
    }
}
