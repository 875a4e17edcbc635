// Step by step from the lease to a full packet at the other node: for `swiftlet overlay check NODE`.
import Glibc
import JSONTree
import Linux
import Netlink

/// One step of a check, and how it went.
public struct CheckStep: Sendable, Hashable {
    public enum Outcome: String, Sendable, Hashable {
        case ok
        /// Not as it should be, but perhaps for a harmless reason: the check goes on.
        case doubtful
        /// Packets come to an end here.
        case failed
    }

    /// What was looked at: `route 10.42.2.0/24`.
    public let subject: String
    public let outcome: Outcome
    /// What was found.
    public let finding: String
    /// What to do about it; empty where nothing is to be done.
    public let advice: String

    init(_ subject: String, _ outcome: Outcome, _ finding: String, advice: String = "") {
        self.subject = subject
        self.outcome = outcome
        self.finding = finding
        self.advice = advice
    }

    /// `failed    route 10.42.2.0/24: missing`, and the advice in a line of its own.
    public var text: String {
        let padding = String(repeating: " ", count: 8 - outcome.rawValue.count)
        // An IPv6 address may end in colons.
        let separator = subject.hasSuffix(":") ? " : " : ": "
        let line = "\(outcome.rawValue)\(padding)   \(subject)" + (finding.isEmpty ? "" : separator + finding)
        return advice.isEmpty ? line : line + "\n           \(advice)"
    }

    /// The same as JSON.
    public var json: JSONValue {
        .object([
            "subject": .string(subject), "outcome": .string(outcome.rawValue), "finding": .string(finding),
            "advice": .string(advice),
        ])
    }
}

extension Overlay {
    /// Goes the way of a packet to the node `node` step by step, until one fails: the lease, this node's device,
    /// neighbour, forwarding entry and route, the kernel's choice of a route, the underlay, the overlay, and a packet of
    /// the full size. Takes some seconds where nobody answers.
    public func check(_ node: String) -> AsyncStream<CheckStep> {
        let (stream, continuation) = AsyncStream.makeStream(of: CheckStep.self)
        let worker = worker
        Task {
            do {
                let diagnosis = try await worker.diagnose(node)
                for step in diagnosis.steps { continuation.yield(step) }
                startThread {
                    for probe in diagnosis.probes { probe.run { continuation.yield($0) } }
                    continuation.finish()
                }
            } catch {
                continuation.yield(CheckStep("the kernel's state", .failed, "\(error)"))
                continuation.finish()
            }
        }
        return stream
    }
}

/// What this host says, without a packet being sent, and which packets to send then.
struct Diagnosis: Sendable {
    var steps: [CheckStep] = []
    /// One for each pod network that has a way.
    var probes: [ProbePlan] = []
}

extension Diagnosis {
    /// - Parameter lookup: the route that the kernel would take to an address.
    init(
        of node: String, _ plan: Plan, _ kernel: KernelState, _ namespace: NamespaceReference,
        lookup: (IPAddress) -> Result<Route?, NetlinkError>
    ) {
        guard let own = plan.table.own else {
            steps = [CheckStep("lease of this node", .failed, "there is none", advice: "add it to the leases")]
            return
        }
        guard let lease = plan.table.leases[node] else {
            let why = plan.problems.first { $0.kind == .lease && $0.subject == node }?.message
            steps = [
                CheckStep("lease of node \(node)", .failed, why ?? "there is none", advice: "correct the leases")
            ]
            return
        }
        let networks = lease.podCIDRs.map { "\($0)" }.joined(separator: " ")
        steps = [CheckStep("lease of node \(node)", .ok, networks)]
        if node == own.name {
            steps.append(CheckStep("node \(node)", .ok, "is this node: its pods are reached without the overlay"))
            return
        }
        for problem in plan.paths[node]?.problems ?? [] {
            steps.append(CheckStep("way to node \(node)", .failed, problem.message))
        }
        let view = OverlayView(plan, kernel, [:], problems: [])
        for path in plan.paths[node]?.paths ?? [] {
            guard
                let found = view.nodes.first(where: { $0.name == node })?.networks.first(where: {
                    $0.network == path.network
                })
            else { continue }
            guard examine(path, found, view, plan), choose(path, plan, kernel, lookup) else { continue }
            probes.append(ProbePlan(path, lease, own, plan, namespace))
        }
        if plan.paths[node]?.paths.isEmpty ?? true, plan.paths[node]?.problems.isEmpty ?? true {
            let why = plan.surroundings.problems.first?.message ?? "there is none with backend \(view.backend.rawValue)"
            steps.append(CheckStep("way to node \(node)", .failed, why))
        }
    }

    /// What is in the kernel. False where something is missing.
    private mutating func examine(
        _ path: NodePaths.Path, _ found: OverlayView.Network, _ view: OverlayView, _ plan: Plan
    ) -> Bool {
        let before = steps.count
        let advice = "the overlay puts it in place; if it stays away, somebody removes it: see `swiftlet overlay show`"
        func note(_ subject: String, _ status: OverlayView.Status) {
            switch status {
            case .ok: steps.append(CheckStep(subject, .ok, ""))
            case .missing: steps.append(CheckStep(subject, .failed, "missing", advice: advice))
            case .wrong(let what): steps.append(CheckStep(subject, .failed, "found \(what)", advice: advice))
            case .notNeeded: break
            }
        }
        if case .encapsulated(let underlay) = path.way {
            for device in view.devices
            where plan.devices.contains(where: {
                $0.name == device.name && $0.underlays.contains(underlay)
            }) { note("device \(device.name)", device.status) }
        }
        note("neighbour \(path.network.address)", found.neighbour)
        note("forwarding entry for \(path.network)", found.forwarding)
        note("route \(path.network)", found.route)
        return steps[before...].allSatisfy { $0.outcome == .ok }
    }

    /// What the kernel makes of it: rules and other tables may lead elsewhere.
    private mutating func choose(
        _ path: NodePaths.Path, _ plan: Plan, _ kernel: KernelState,
        _ lookup: (IPAddress) -> Result<Route?, NetlinkError>
    ) -> Bool {
        guard case .route(let wanted)? = plan.entries[.route(path.network)] else { return false }
        let address = path.network.lookupAddress
        let subject = "the kernel's route to \(address)"
        switch lookup(address) {
        case .failure(let error): steps.append(CheckStep(subject, .failed, "\(error)"))
        case .success(nil): steps.append(CheckStep(subject, .failed, "there is none"))
        case .success(let route?):
            let name = route.link.flatMap { kernel.links[$0]?.name } ?? "no interface"
            if route.link == wanted.link {
                steps.append(CheckStep(subject, .ok, "through \(name)"))
                return true
            }
            steps.append(
                CheckStep(
                    subject, .failed, "it leads through \(name), table \(route.table)",
                    advice: "a rule or a more specific route leads elsewhere: see `ip rule` and `ip route get "
                        + "\(address)`"))
        }
        return false
    }
}

/// Packets to be sent to a node.
struct ProbePlan: Sendable {
    private let node: String
    private let namespace: NamespaceReference
    private let underlay: IPAddress?
    private let ownUnderlay: IPAddress?
    private let target: IPAddress
    private let source: IPAddress?
    private let size: Int
    private let wire: String

    init(
        _ path: NodePaths.Path, _ lease: NodeLease, _ own: NodeLease, _ plan: Plan, _ namespace: NamespaceReference
    ) {
        node = lease.name
        self.namespace = namespace
        let configuration = plan.configuration
        let family: IPFamily
        switch path.way {
        case .encapsulated(let carrier):
            family = carrier
            wire =
                "UDP port \(configuration.port) must be open between the nodes, and VNI \(configuration.vni), port and "
                + "backend the same; node \(lease.name) must have MAC \(lease.mac(over: carrier)) and a route back"
        case .direct(let gateway):
            family = gateway.ipFamily
            wire = "node \(lease.name) must forward packets and have a route back"
        }
        underlay = lease.publicAddress(family)
        ownUnderlay = own.publicAddress(family)
        // Where no device has the first address, the pod network itself has the second (PodNetworkConfiguration).
        let hasDevice = configuration.backend.encapsulates
        target = hasDevice ? path.network.address : path.network.address.next
        source = hasDevice ? own.podCIDR(path.network.address.ipFamily)?.address : nil
        size = Int(plan.surroundings.podMTU(over: family, configuration) ?? 1280)
    }

    /// Sends them, one after the other, and tells what comes back.
    func run(_ tell: (CheckStep) -> Void) {
        let isUnderlayFine = probeUnderlay(tell)
        let subject = "\(target) answers through the overlay"
        let (answer, failure) = ask(target, from: source, size: nil)
        guard case .reply(let time)? = answer else {
            let silent = "node \(node) does not answer; \(wire)"
            let advice =
                isUnderlayFine
                ? silent : "the underlay does not seem to carry packets either: begin there"
            tell(CheckStep(subject, .failed, answer.map { "\($0)" } ?? failure, advice: advice))
            return
        }
        tell(CheckStep(subject, .ok, Self.words(time)))
        probeSize(tell)
    }

    private func probeUnderlay(_ tell: (CheckStep) -> Void) -> Bool {
        guard let underlay else { return true }
        let subject = "\(underlay) answers on the underlay"
        let (answer, failure) = ask(underlay, from: ownUnderlay, size: nil)
        if case .reply(let time)? = answer {
            tell(CheckStep(subject, .ok, Self.words(time)))
            return true
        }
        tell(
            CheckStep(
                subject, .doubtful, answer.map { "\($0)" } ?? failure,
                advice: "is node \(node) up, its address right, the way there open? It may also just refuse ICMP"))
        return false
    }

    private func probeSize(_ tell: (CheckStep) -> Void) {
        let subject = "\(size) bytes pass unfragmented"
        let (answer, failure) = ask(target, from: source, size: size)
        switch answer {
        case .reply: tell(CheckStep(subject, .ok, ""))
        case .tooLarge(let mtu, let from):
            tell(
                CheckStep(
                    subject, .failed, "\(mtu) bytes at most, says \(from.map { "\($0)" } ?? "this host")",
                    advice:
                        "the way to node \(node) has a smaller MTU than this node's interface: set the overlay's MTU "
                        + "to \(mtu) on all nodes"))
        default:
            tell(
                CheckStep(
                    subject, .failed, answer.map { "\($0)" } ?? failure,
                    advice: "small packets pass and large ones do not: the way to node \(node) has a smaller MTU and "
                        + "somebody drops the ICMP messages that would say so; set a smaller MTU"))
        }
    }

    /// Three times, for the first packet may be lost while neighbours are looked for.
    private func ask(_ address: IPAddress, from: IPAddress?, size: Int?) -> (EchoAnswer?, String) {
        var last: EchoAnswer?
        do throws(SystemError) {
            for _ in 0..<3 {
                var probe = try EchoProbe(
                    to: address, in: namespace.descriptor, source: from, dontFragment: size != nil)
                let payload = size.map { EchoProbe.payload(ofPacketSize: $0, to: address) } ?? 56
                last = try probe.ask(payload: payload)
                switch last {
                case .reply, .tooLarge: return (last, "")
                default: continue
                }
            }
            return (last, "")
        } catch {
            return (nil, "\(error)")
        }
    }

    private static func words(_ time: Duration) -> String {
        let microseconds = time / .microseconds(1)
        return microseconds < 1000 ? "in \(Int(microseconds)) µs" : "in \(Int(microseconds / 1000)) ms"
    }
}

extension CIDR {
    /// The address by which to ask for the kernel's way: not the first, to which there may be a route of its own.
    var lookupAddress: IPAddress { address.next }
}

extension IPAddress {
    /// The address after this one.
    fileprivate var next: IPAddress {
        switch self {
        case .v4(let address): .v4(IPv4Address(address.value &+ 1))
        case .v6(let address): .v6(IPv6Address(high: address.high, low: address.low &+ 1))
        }
    }
}

/// A network namespace that several hold.
final class NamespaceReference: Sendable {
    let descriptor: OwnedDescriptor
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}

/// Runs `body`, which blocks, on a thread of its own; on the caller's where there is none to be had.
private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let work = Unmanaged.passRetained(Work(body))
    var thread = pthread_t()
    let failure = pthread_create(
        &thread, nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
            return nil
        }, work.toOpaque())
    if failure == 0 {
        pthread_detach(thread)
    } else {
        work.release()
        body()
    }
}
