import Netlink

/// Bytes. The kernel takes IPv6 away from a device with less, and all that was set for it (RFC 8200, 5).
let leastIPv6MTU: UInt32 = 1280

/// A device that encapsulates, as it should be.
struct DevicePlan: Hashable, Sendable {
    var name: String
    /// Which public addresses its packets go to; of a tunnel's device both.
    var underlays: [IPFamily]
    var settings: VXLANSettings
    /// nil where packets have no Ethernet header.
    var mac: MACAddress?
    /// Bytes.
    var mtu: UInt32
    /// The first address of each of this node's pod networks whose packets it carries: alone, without their network.
    var addresses: Set<IPAddress>

    /// The devices that are needed by `carriages`, what nodes' paths use.
    static func plans(
        own: NodeLease, _ surroundings: Surroundings, carriages: some Sequence<Carriage>,
        _ configuration: OverlayConfiguration
    ) -> [DevicePlan] {
        guard configuration.backend.encapsulates else { return [] }
        // A node's own device is there before the first of the others: they may know of this one already.
        var needed = Set(carriages)
        for cidr in own.podCIDRs {
            let family = cidr.address.ipFamily
            if own.publicAddress(family) != nil { needed.insert(Carriage(family: family, underlay: family)) }
        }
        let found = IPFamily.allCases.filter { family in
            surroundings.underlays[family] != nil && needed.contains { $0.underlay == family }
        }
        let groups = configuration.backend == .tunnel ? (found.isEmpty ? [] : [found]) : found.map { [$0] }
        return groups.map { underlays in
            let families = Set(needed.filter { underlays.contains($0.underlay) }.map(\.family))
            return DevicePlan(underlays, own, surroundings, families, configuration)
        }
    }

    private init(
        _ underlays: [IPFamily], _ own: NodeLease, _ surroundings: Surroundings, _ families: Set<IPFamily>,
        _ configuration: OverlayConfiguration
    ) {
        let first = underlays[0]
        self.underlays = underlays
        name = configuration.deviceName(first)
        // The larger one: routes over the other family have an MTU of their own.
        let mtu = underlays.compactMap { surroundings.podMTU(over: $0, configuration) }.max() ?? 0
        self.mtu = mtu
        addresses = Set(
            families.filter { $0 == .v4 || mtu >= leastIPv6MTU }.compactMap { own.podCIDR($0)?.address })
        if configuration.backend == .tunnel {
            settings = VXLANSettings(
                vni: 0, port: configuration.port, isExternal: true, isGPE: true, udpChecksum: false)
        } else {
            // As flannel has it: over IPv4 without a checksum of the whole, which the inner packet has anyway.
            settings = VXLANSettings(
                vni: configuration.vni, local: surroundings.underlays[first]?.address,
                underlay: surroundings.underlays[first]?.link,
                port: configuration.port, udpChecksum: false)
            mac = own.mac(over: first)
        }
    }

    /// Whether `link` can become this by changes, or has to be made anew.
    func canBecome(_ link: Link) -> Bool {
        guard let found = link.vxlan, link.name == name else { return false }
        return found.vni == settings.vni && found.port == settings.port && found.local == settings.local
            && found.underlay == settings.underlay && found.learning == settings.learning
            && found.isExternal == settings.isExternal && found.isGPE == settings.isGPE
    }

    /// What makes a new one.
    var creation: Change {
        .createLink(
            NewLink(
                name: name, kind: .vxlan(settings), mac: mac, mtu: mtu, alias: OverlayConfiguration.alias, isUp: true,
                addrGenMode: mtu >= leastIPv6MTU ? AddressGenerationMode.none : nil))
    }
}

extension Surroundings {
    /// Bytes of the largest packet of a pod that fits into one of the underlay of `family`.
    func podMTU(over family: IPFamily, _ configuration: OverlayConfiguration) -> UInt32? {
        guard let mtu = underlays[family]?.mtu else { return nil }
        let overhead = configuration.overhead(family)
        // 68 bytes every IPv4 link must carry (RFC 791, 3.2).
        return min(mtu > overhead + 68 ? mtu - overhead : 68, configuration.mtu ?? .max)
    }

    /// What a tunnel's route over `family` must say, where its device serves an underlay with more room too.
    func routeMTU(over family: IPFamily, _ configuration: OverlayConfiguration) -> UInt32? {
        guard let mtu = podMTU(over: family, configuration),
            let other = podMTU(over: family.other, configuration), mtu < other
        else { return nil }
        return mtu
    }
}
