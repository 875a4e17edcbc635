import Glibc
import Netlink

/// What the kernel has, as far as the overlay is concerned: read once, and then kept up to date by the kernel's events.
///
/// Our own changes are not noted here: they come back as events, in the order in which the kernel made them between
/// those of others. What events cannot tell is a doubt, and read again.
struct KernelState: Sendable {
    private(set) var links: [Int32: Link] = [:]
    private(set) var addresses: [AddressKey: Address] = [:]
    /// Routes of the main table with our protocol number, by destination.
    private(set) var routes: [CIDR: [Route]] = [:]
    /// Routes of the main table that others made, except those to single pods.
    private(set) var foreignRoutes: [ForeignKey: Route] = [:]
    /// On our devices.
    private(set) var neighbours: [EntryKey: Neighbour] = [:]
    /// On our devices.
    private(set) var forwarding: [EntryKey: [ForwardingEntry]] = [:]

    /// Has to be read again before it can be relied on.
    var doubts: Doubts = .everything
    /// What events were about since ``takeEntries()``.
    private var touched: Set<EntryKey> = []
    /// Whether events were about interfaces, addresses or routes of others since ``takeEntries()``.
    private var isMoved = false
    /// Our devices that lost what was on them since ``takeRenewed()``: gone, set up or down, or with another MTU.
    private var renewed: [Int32: String] = [:]

    struct AddressKey: Hashable, Sendable {
        let link: Int32
        let address: IPAddress
        let prefixLength: Int
    }

    struct ForeignKey: Hashable, Sendable {
        let destination: CIDR
        let precedence: UInt32
        /// Of IPv6 routes alone: each link may have one.
        let link: Int32?
    }

    struct Doubts: OptionSet, Sendable {
        let rawValue: Int
        static let everything = Doubts(rawValue: 1)
        static let routes = Doubts(rawValue: 2)
        static let neighbours = Doubts(rawValue: 4)
        static let forwarding = Doubts(rawValue: 8)
        static let links = Doubts(rawValue: 16)
    }

    init() {}

    /// The entries that may be different since it was asked last.
    mutating func takeEntries() -> Set<EntryKey> {
        defer { (touched, isMoved) = ([], false) }
        return touched
    }

    /// Indices and names of our devices whose entries may have gone with a change of the device, not by somebody's hand.
    mutating func takeRenewed() -> [Int32: String] {
        defer { renewed = [:] }
        return renewed
    }

    /// Whether nothing has happened since ``takeEntries()`` that could matter.
    var isQuiet: Bool { touched.isEmpty && !isMoved && doubts.isEmpty }

    /// Whether the device is of this module: by what is written on it.
    func isOurs(_ link: Int32) -> Bool { links[link].map(Self.isOurs) ?? false }

    static func isOurs(_ link: Link) -> Bool {
        guard let settings = link.vxlan else { return false }
        if link.alias == OverlayConfiguration.alias { return true }
        // The kernel takes no alias for a device that is being made: whoever was killed before the next message has left
        // one that bears no word, and is otherwise as only this module makes it.
        guard link.alias ?? "" == "", !settings.learning else { return false }
        if settings.isExternal { return settings.isGPE && OverlayConfiguration.isDeviceName(link.name, vni: nil) }
        return settings.local != nil && settings.underlay != nil
            && OverlayConfiguration.isDeviceName(link.name, vni: settings.vni)
    }

    func link(named name: String) -> Link? { links.values.first { $0.name == name } }
}

// MARK: Reading

extension KernelState {
    /// Reads what there are doubts about. Afterwards there are none, but for what changed meanwhile.
    /// - Returns: whether anything was read.
    mutating func settle(_ socket: inout RouteSocket) throws(NetlinkError) -> Bool {
        if doubts.isEmpty { return false }
        let asked = doubts
        if asked.contains(.everything) {
            (links, addresses) = ([:], [:])
            for link in try socket.links() { links[link.index] = link }
            for address in try socket.addresses() { addresses[AddressKey(address)] = address }
            (routes, foreignRoutes) = ([:], [:])
            for route in try socket.routes() { add(route) }
        } else if asked.contains(.routes) {
            routes = [:]
            for route in try socket.routes(origin: OverlayConfiguration.routeProtocol) { add(route) }
        }
        if asked.contains(.links) && !asked.contains(.everything) {
            links = [:]
            for link in try socket.links() { links[link.index] = link }
        }
        let ours = links.values.filter(Self.isOurs).map(\.index)
        if !asked.isDisjoint(with: [.everything, .neighbours]) {
            neighbours = [:]
            for link in ours {
                for neighbour in try Self.list({ () throws(NetlinkError) in try socket.neighbours(of: link) }) {
                    note(neighbour)
                }
            }
        }
        if !asked.isDisjoint(with: [.everything, .forwarding]) {
            forwarding = [:]
            for link in ours {
                for entry in try Self.list({ () throws(NetlinkError) in try socket.forwardingEntries(of: link) }) {
                    note(entry)
                }
            }
        }
        doubts = []
        return true
    }

    /// Of an interface that has gone meanwhile there is nothing; its event comes.
    private static func list<Item>(_ body: () throws(NetlinkError) -> [Item]) throws(NetlinkError) -> [Item] {
        do throws(NetlinkError) {
            return try body()
        } catch {
            guard error.errno == ENODEV else { throw error }
            return []
        }
    }

    private mutating func add(_ route: Route) {
        guard route.table == 254 else { return }
        if route.isOverlays {
            routes[route.destination, default: []].append(route)
        } else if route.origin != podRoutes && route.kind != .local && route.kind != .multicast {
            foreignRoutes[ForeignKey(route)] = route
        }
    }

    private mutating func note(_ neighbour: Neighbour) {
        neighbours[.neighbour(link: neighbour.link, neighbour.address)] = neighbour
    }

    private mutating func note(_ entry: ForwardingEntry) {
        let key = EntryKey.forwarding(link: entry.link, entry.mac)
        if let place = forwarding[key]?.firstIndex(where: { $0.destination == entry.destination }) {
            forwarding[key]?[place] = entry
        } else {
            forwarding[key, default: []].append(entry)
        }
    }
}

/// Routes to single pods (PodNetwork); they lie in the node's own network.
private let podRoutes = RouteProtocol(rawValue: 94)

// MARK: Events

extension KernelState {
    /// Takes in what the kernel says has changed.
    mutating func take(_ event: RouteEvent) {
        switch event {
        case .overrun: doubts = .everything
        case .link(let link): changed(link)
        case .linkGone(let link): gone(link)
        case .address(let address):
            if addresses.updateValue(address, forKey: AddressKey(address)) != address { isMoved = true }
        case .addressGone(let address):
            addresses[AddressKey(address)] = nil
            isMoved = true
            foreignRoutes = foreignRoutes.filter { $0.value.source != address.address || $0.value.link != address.link }
            // With an interface's last IPv4 address go its routes, without a word (fib_disable_ip).
            // Ours are doubted whenever one goes: another may have come since.
            let isLast = !addresses.keys.contains { $0.link == address.link && $0.address.ipFamily == .v4 }
            if isLast { forgetForeignIPv4Routes(over: address.link) }
            if address.address.ipFamily == .v4 { doubtRoutes(over: address.link) }
        case .route(let route): changed(route)
        case .routeGone(let route): gone(route)
        case .neighbour(let neighbour):
            guard isOurs(neighbour.link) else { return }
            note(neighbour)
            touched.insert(.neighbour(link: neighbour.link, neighbour.address))
        case .neighbourGone(let neighbour):
            let key = EntryKey.neighbour(link: neighbour.link, neighbour.address)
            if neighbours.removeValue(forKey: key) != nil { touched.insert(key) }
        case .forwardingEntry(let entry):
            guard isOurs(entry.link) else { return }
            let key = EntryKey.forwarding(link: entry.link, entry.mac)
            // It may have come beside the others or in their place: the event is the same.
            if forwarding[key]?.contains(where: { $0.destination != entry.destination }) == true {
                doubts.insert(.forwarding)
            }
            note(entry)
            touched.insert(key)
        case .forwardingEntryGone(let entry):
            let key = EntryKey.forwarding(link: entry.link, entry.mac)
            guard forwarding[key] != nil else { return }
            forwarding[key]?.removeAll { $0.destination == entry.destination }
            if forwarding[key]?.isEmpty == true { forwarding[key] = nil }
            touched.insert(key)
        }
    }

    private mutating func changed(_ link: Link) {
        let before = links.updateValue(link, forKey: link.index)
        if before == link { return }
        isMoved = true
        if let before, Self.isOurs(link), before.mtu != link.mtu || before.isUp != link.isUp {
            renewed[link.index] = link.name
        }
        if before?.isUp == true && !link.isUp {
            forgetForeignIPv4Routes(over: link.index)
            doubtRoutes(over: link.index)
        }
        // Below 1280 bytes a device loses IPv6 and all that was set for it; above it gets it anew, after this event.
        if let before, before.mtu < leastIPv6MTU, link.mtu >= leastIPv6MTU, Self.isOurs(link) { doubts.insert(.links) }
        // It was not one of ours until now: what it has was not listened to.
        if before.map(Self.isOurs) == false && Self.isOurs(link) { doubts.formUnion([.neighbours, .forwarding]) }
    }

    private mutating func gone(_ link: Link) {
        guard let link = links.removeValue(forKey: link.index) else { return }
        isMoved = true
        addresses = addresses.filter { $0.key.link != link.index }
        if Self.isOurs(link) {
            renewed[link.index] = link.name
            neighbours = neighbours.filter { $0.value.link != link.index }
            forwarding = forwarding.filter { $0.value.first?.link != link.index }
        }
        foreignRoutes = foreignRoutes.filter { $0.value.link != link.index }
        doubtRoutes(over: link.index)
    }

    /// IPv4 routes go without a word when their interface goes or is set down (fib_sync_down_dev).
    private mutating func forgetForeignIPv4Routes(over link: Int32) {
        foreignRoutes = foreignRoutes.filter { $0.value.link != link || $0.key.destination.address.ipFamily == .v6 }
    }

    private mutating func doubtRoutes(over link: Int32) {
        if routes.values.contains(where: { $0.contains { $0.link == link } }) { doubts.insert(.routes) }
    }

    private mutating func changed(_ route: Route) {
        guard route.table == 254, route.origin != podRoutes else { return }
        // It may have come beside the others or in their place: the event is the same.
        if routes[route.destination]?.contains(where: { !route.isMet(by: $0) }) == true { doubts.insert(.routes) }
        if route.isOverlays {
            replaced(by: route)
            touched.insert(.route(route.destination))
        } else {
            let isNew = foreignRoutes.updateValue(route, forKey: ForeignKey(route)) == nil
            if isNew && isMerged(route) { doubts.insert(.everything) }
            isMoved = true
        }
    }

    private mutating func gone(_ route: Route) {
        guard route.table == 254 else { return }
        if route.link == nil && route.destination.address.ipFamily == .v6 { doubts.insert(.everything) }
        if route.isOverlays {
            routes[route.destination]?.removeAll {
                $0.precedence == route.precedence && $0.gateway == route.gateway && $0.link == route.link
            }
            if routes[route.destination]?.isEmpty == true { routes[route.destination] = nil }
            touched.insert(.route(route.destination))
        } else {
            if foreignRoutes.removeValue(forKey: ForeignKey(route)) != nil {
                isMoved = true
            } else if route.origin != podRoutes && isMerged(route) {
                doubts.insert(.everything)
            }
        }
    }

    /// Whether an IPv6 route may be one with others to the same destination: their ways come and go one by one, or all at
    /// once, and what is left of them is told by reading alone.
    private func isMerged(_ route: Route) -> Bool {
        guard route.destination.address.ipFamily == .v6 else { return false }
        if route.link == nil { return true }
        return foreignRoutes.values.contains {
            $0.destination == route.destination && $0.precedence == route.precedence && $0.link != route.link
        }
    }

    /// Our own entry was put in the place of what was there: the event that is to come is no doubt.
    mutating func replaced(by entry: ForwardingEntry) {
        forwarding[.forwarding(link: entry.link, entry.mac)] = [entry]
    }

    /// The same of a route.
    mutating func replaced(by route: Route) {
        routes[route.destination]?.removeAll { $0.precedence == route.precedence }
        routes[route.destination, default: []].append(route)
    }
}

extension Route {
    /// Whether it is of this module. One that leads several ways never is, even if it was before others added theirs: the
    /// kernel takes IPv6 routes of one metric for one.
    fileprivate var isOverlays: Bool {
        origin == OverlayConfiguration.routeProtocol && (link != nil || destination.address.ipFamily == .v4)
    }
}

extension KernelState.AddressKey {
    init(_ address: Address) {
        self.init(link: address.link, address: address.address, prefixLength: address.prefixLength)
    }
}

extension KernelState.ForeignKey {
    init(_ route: Route) {
        let isV6 = route.destination.address.ipFamily == .v6
        self.init(destination: route.destination, precedence: route.precedence, link: isV6 ? route.link : nil)
    }
}
