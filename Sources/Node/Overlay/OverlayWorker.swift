import Glibc
import Linux
import NFTables
import Netlink
import Synchronization

/// Does an overlay's work on the event loop's thread: compares what is planned with what the kernel has, makes the
/// difference, and again, until there is none. Woken by leases, by the kernel's events, and by time.
actor OverlayWorker {
    /// Everything is read again after this long, whatever events said.
    private static let auditInterval = Duration.seconds(60)
    /// How often rules are looked after, of which there are no events.
    private static let rulesInterval = Duration.seconds(2)
    /// After so many rounds somebody else is at it too.
    private static let mostRounds = 12

    private let loop: EventLoop
    private let shared: Overlay.Shared
    private let configuration: OverlayConfiguration
    private let namespace: NamespaceReference
    private var socket: RouteSocket
    private var events: RouteEvents
    private var rules: OverlayTable
    private var watch: EventLoop.Watch?
    private var alarm: Task<Void, Never>?

    private var kernel = KernelState()
    private var plan: Plan
    /// Leases that are not planned for yet.
    private var newTable: LeaseTable?
    private var ledger = RepairLedger()
    /// Planned and not made yet: to make them is no repair.
    private var planned: Set<Repair.Subject> = []
    /// Devices whose settings were made that a list of devices does not tell.
    private var known: Set<Int32> = []
    private var deviceProblems: [OverlayProblem] = []
    private var forwardingProblems: [OverlayProblem] = []
    private var counters = OverlayCounters()
    private var nextAudit = ContinuousClock.now
    private var lastWake = ContinuousClock.now
    private var isTold = false
    private let isStopped = Atomic(false)

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(
        _ configuration: OverlayConfiguration, _ namespace: borrowing OwnedDescriptor, _ loop: EventLoop,
        _ shared: Overlay.Shared
    ) throws(SystemError) {
        self.configuration = configuration
        self.loop = loop
        self.shared = shared
        self.namespace = NamespaceReference(try namespace.duplicate())
        socket = try RouteSocket(in: namespace)
        events = try RouteEvents(in: namespace, groups: .all)
        rules = OverlayTable(try NFTablesSocket(in: namespace))
        plan = Plan(configuration: configuration)
    }

    func update(_ leases: [NodeLease]) {
        if isStopped.load(ordering: .relaxed) { return }
        if !isTold { start() }
        newTable = LeaseTable(leases, ownName: configuration.nodeName, after: newTable ?? plan.table)
        converge()
    }

    private func start() {
        isTold = true
        nextAudit = .now + Self.auditInterval
        do throws(SystemError) {
            watch = try loop.watch(events.descriptor.number) { [weak self] _ in
                self?.assumeIsolated { $0.noticeEvents() }
            }
        } catch {
            // Without events, look often.
            nextAudit = .now
        }
    }

    /// From here on nothing is changed any more.
    nonisolated func stop() {
        isStopped.store(true, ordering: .relaxed)
        Task { await self.end() }
    }

    private func end() {
        alarm?.cancel()
        alarm = nil
        if let watch { loop.unwatch(watch, events.descriptor.number) }
        watch = nil
    }
}

// MARK: Converging

extension OverlayWorker {
    /// Most of what happens on a host, to pods and their neighbours, is no concern of the overlay.
    private func noticeEvents() {
        guard (try? takeEvents()) != nil, kernel.isQuiet else { return converge() }
    }

    /// Makes the kernel what it should be.
    /// - Parameter comparingAll: whatever events were about.
    private func converge(comparingAll: Bool = false) {
        if isStopped.load(ordering: .relaxed) { return }
        do throws(NetlinkError) {
            try reachPlan(comparing: comparingAll ? nil : [])
        } catch {
            // What became of a request is not known.
            kernel.doubts = .everything
            ledger.note(.everything, failure: OverlayProblem(.refused, "", "\(error); it is tried again"), at: .now)
        }
        convergeRules()
        publish()
        setAlarm()
    }

    /// - Parameter keys: what to compare beside what turns out to be new; nil: all.
    private func reachPlan(comparing keys: Set<EntryKey>?) throws(NetlinkError) {
        var keys = keys
        for _ in 0..<Self.mostRounds where !isStopped.load(ordering: .relaxed) {
            if try look() { keys = nil }
            noteRenewedDevices()
            let touched = kernel.takeEntries().union(replan())
            keys?.formUnion(touched)
            let now = ContinuousClock.now
            let (repairs, problems) = plan.deviceRepairs(kernel, known: known)
            deviceProblems = problems
            var due = repairs.filter { ledger.allows($0.subject, at: now) }
            if due.isEmpty {
                // What has to wait is compared again when its time has come.
                due = plan.entryRepairs(kernel, of: keys).filter { ledger.allows($0.subject, at: now) }
                keys = []
            }
            if due.isEmpty {
                planned = []
                return
            }
            try make(due)
        }
    }

    /// Takes in the events that are there, and reads what they cannot tell. Whether anything was read.
    private func look() throws(NetlinkError) -> Bool {
        try takeEvents()
        let isWhole = kernel.doubts.contains(.everything)
        guard try kernel.settle(&socket) else { return false }
        if isWhole { counters.readings += 1 }
        return true
    }

    private func noteRenewedDevices() {
        for (index, name) in kernel.takeRenewed() {
            // Where IPv6 was away, its settings are as new.
            known.remove(index)
            ledger.forget(on: index, name) { network in
                guard case .route(let route)? = plan.entries[.route(network)] else { return true }
                return route.link == index || kernel.links[route.link ?? 0] == nil
            }
        }
    }

    private func takeEvents() throws(NetlinkError) {
        while let some = try events.next() {
            for event in some { kernel.take(event) }
        }
    }

    private func replan() -> Set<EntryKey> {
        let before = plan.devices
        let keys = plan.update(newTable, for: kernel)
        newTable = nil
        for key in keys { expect(.entry(key)) }
        for device in plan.devices where !before.contains(device) {
            expect(.device(device.name))
            for address in device.addresses { expect(.address(device.name, address)) }
        }
        return keys
    }

    private func expect(_ subject: Repair.Subject) {
        ledger.forget(subject)
        planned.insert(subject)
    }

    private func make(_ repairs: [Repair]) throws(NetlinkError) {
        // Events of our own changes wait in a buffer that holds some thousand.
        for start in stride(from: 0, to: repairs.count, by: 512) {
            let some = repairs[start..<min(start + 512, repairs.count)]
            let results = try socket.attempt(some.flatMap(\.changes))
            note(some, results[...])
            if some.endIndex < repairs.count { try takeEvents() }
        }
    }

    /// Before any event of it is taken in, for what has become of our changes since is told by later events.
    private func note(_ repairs: ArraySlice<Repair>, _ results: ArraySlice<NetlinkError?>) {
        var results = results
        let now = ContinuousClock.now
        for repair in repairs {
            var failure: NetlinkError?
            for change in repair.changes {
                guard let error = results.popFirst() ?? nil else {
                    noteSuccess(of: change)
                    continue
                }
                kernel.doubts.formUnion(error.doubts(about: change))
                // Somebody may have turned the device's IPv6 off.
                if [EACCES, EPERM, EINVAL].contains(error.errno), let link = change.link { known.remove(link) }
                if !error.isSettledByReading(of: change) { failure = error }
            }
            note(repair, failure, at: now)
        }
    }

    private func noteSuccess(of change: Change) {
        counters.changes += 1
        switch change {
        case .setForwardingEntry(let entry): kernel.replaced(by: entry)
        case .setRoute(let route), .addRoute(let route): kernel.replaced(by: route)
        case .setAddress(let address):
            // Of IPv6 addresses the kernel tells later, when it has looked for others of them (addrconf_dad_work).
            kernel.take(.address(address))
        case .changeLink(.index(let index), _):
            guard let name = kernel.links[index]?.name, known.insert(index).inserted else { return }
            known = known.filter { kernel.links[$0] != nil }
            // IPv6 even where new interfaces have none, but no router's word, for there is none on this link. A kernel
            // without IPv6 has no such files.
            for setting in ["disable_ipv6", "accept_ra", "autoconf"] {
                try? NetworkSetting("net/ipv6/conf/\(name)/\(setting)").set("0", in: namespace.descriptor)
            }
        default: break
        }
    }

    private func note(_ repair: Repair, _ failure: NetlinkError?, at now: ContinuousClock.Instant) {
        if let failure {
            counters.failures += 1
            ledger.note(
                repair.subject, failure: failure.problem(of: repair, named(repair.subject), configuration), at: now)
        } else if planned.remove(repair.subject) != nil || repair.isPreparation {
            ledger.forget(repair.subject)
        } else {
            counters.repairs += 1
            ledger.note(repair.subject, failure: nil, at: now)
        }
    }
}

// MARK: Time, and what is told

extension OverlayWorker {
    private func setAlarm() {
        alarm?.cancel()
        let now = ContinuousClock.now
        var next = nextAudit
        if plan.needsRules || rules.problem != nil { next = min(next, now + Self.rulesInterval) }
        if let repair = ledger.nextInstant(after: now) { next = min(next, repair) }
        alarm = Task { [weak self] in
            guard (try? await Task.sleep(until: next, clock: .continuous)) != nil else { return }
            await self?.wake()
        }
    }

    /// What is else done once a minute.
    func audit() {
        nextAudit = .now
        wake()
    }

    /// Without it no packet passes between a pod and another node, whatever the overlay does.
    private func checkForwarding() {
        var settings = ["net.ipv4.ip_forward"]
        if plan.table.own?.podCIDR(.v6) != nil { settings.append("net.ipv6.conf.all.forwarding") }
        forwardingProblems = []
        for name in settings where (try? NetworkSetting(name).value(in: namespace.descriptor)) == "0" {
            forwardingProblems.append(OverlayProblem(.forwarding, name, "forwarding is off: sysctl \(name)=1"))
        }
    }

    private func wake() {
        if isStopped.load(ordering: .relaxed) { return }
        let now = ContinuousClock.now
        let isRepairDue = ledger.nextInstant(after: lastWake).map { $0 <= now } ?? false
        lastWake = now
        if !forwardingProblems.isEmpty { checkForwarding() }
        ledger.forgetOld(at: now)
        if nextAudit <= now {
            nextAudit = now + (watch == nil ? .seconds(1) : Self.auditInterval)
            kernel.doubts = .everything
            // Nothing tells of them when somebody changes them.
            known = []
            checkForwarding()
        } else if !isRepairDue {
            convergeRules()
            publish()
            return setAlarm()
        }
        converge(comparingAll: true)
    }

    private func convergeRules() {
        rules.converge(to: plan.needsRules ? OverlayRules.table(port: configuration.port) : nil)
    }

    private func publish() {
        var state = OverlayState(configuration: configuration)
        state.own = plan.table.own
        state.podMTU = plan.podMTU
        state.networks = plan.networks
        state.devices = plan.devices.map(\.name).filter { kernel.link(named: $0) != nil }
        state.nodes = plan.paths.count
        var problems = Set(plan.problems + deviceProblems + forwardingProblems + ledger.problems { named($0) })
        if let problem = rules.problem { problems.insert(problem) }
        state.problems = problems.sorted()
        state.counters = counters
        shared.publish(state)
    }

    /// What a person calls it.
    private func named(_ subject: Repair.Subject) -> String {
        func device(_ index: Int32) -> String { kernel.links[index]?.name ?? "#\(index)" }
        return switch subject {
        case .everything: "the kernel's network state"
        case .device(let name), .settings(let name): "device \(name)"
        case .address(let device, let address): "address \(address) on \(device)"
        case .entry(.route(let network)): "route \(network)"
        case .entry(.neighbour(let link, let address)): "neighbour \(address) on \(device(link))"
        case .entry(.forwarding(let link, let mac)): "forwarding entry \(mac) on \(device(link))"
        }
    }

    /// Reads everything anew, with counters, and compares it with the plan.
    func inspect() throws(NetlinkError) -> OverlayView {
        var fresh = KernelState()
        _ = try fresh.settle(&socket)
        var statistics: [Int32: LinkStatistics] = [:]
        for device in plan.devices {
            if let link = try socket.link(.name(device.name), withStatistics: true) {
                statistics[link.index] = link.statistics
            }
        }
        return OverlayView(plan, fresh, statistics, problems: shared.state.withLock { $0.problems })
    }
}

extension OverlayWorker {
    /// What is in the way of packets to `node`, as far as this host can tell.
    func diagnose(_ node: String) throws(NetlinkError) -> Diagnosis {
        var fresh = KernelState()
        _ = try fresh.settle(&socket)
        var routes: [IPAddress: Result<Route?, NetlinkError>] = [:]
        for path in plan.paths[node]?.paths ?? [] {
            let address = path.network.lookupAddress
            do throws(NetlinkError) {
                routes[address] = .success(try socket.route(to: address))
            } catch {
                routes[address] = .failure(error)
            }
        }
        return Diagnosis(of: node, plan, fresh, namespace) { routes[$0] ?? .success(nil) }
    }
}

extension Change {
    /// What it is on, as far as that needs the device's settings.
    fileprivate var link: Int32? {
        switch self {
        case .setAddress(let address): address.link
        case .setNeighbour(let neighbour): neighbour.link
        case .setRoute(let route), .addRoute(let route): route.link
        default: nil
        }
    }
}

extension NetlinkError {
    /// Whether it means no more than that the kernel was not as believed: what had to go has gone, or what something was
    /// to be added to.
    func isSettledByReading(of change: Change) -> Bool {
        switch change {
        case .deleteLink, .deleteAddress, .deleteRoute, .deleteNeighbour, .deleteForwardingEntry:
            [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL, ENXIO].contains(errno)
        default: errno == ENODEV || errno == ENETDOWN
        }
    }

    fileprivate func doubts(about change: Change) -> KernelState.Doubts {
        switch change {
        case .setForwardingEntry, .deleteForwardingEntry: .forwarding
        case .setNeighbour, .deleteNeighbour: .neighbours
        case .setRoute, .addRoute, .deleteRoute: .routes
        default: .everything
        }
    }
}
