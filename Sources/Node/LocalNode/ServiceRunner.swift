// Keeps the proxy's rules at what Services and pods are: each change of either is worked in at once, several as one.
import Linux
import Logging
import Resources

/// One Service with its addresses, and who answers for each of its ports.
struct ServedService: Sendable, Hashable {
    let service: Service
    /// As many as the Service has ports, in their order.
    let endpoints: [[Endpoint]]
}

/// Serves the Services of this node.
actor ServiceRunner {
    /// Makes the rules what they should be. Called again with the same after a failure.
    typealias Apply = @Sendable ([ServedService]) async throws -> Void

    private var record: ServiceRecord
    private var allocations: ServiceAllocationFile
    private let range: ServiceRange
    private let candidates: @Sendable () -> [EndpointCandidate]
    private let apply: Apply
    private let logger: Logger
    private var assigned: [Service] = []
    private var complaints: Set<String> = []
    private var applied: [ServedService]?
    private var failure = ""
    private let trigger: AsyncStream<Void>
    private let pull: AsyncStream<Void>.Continuation

    init(
        dataDirectory: String, range: ServiceRange, logger: Logger,
        candidates: @escaping @Sendable () -> [EndpointCandidate], apply: @escaping Apply
    ) throws(NodeError) {
        allocations = try ServiceAllocationFile(dataDirectory: dataDirectory)
        record = try ServiceRecord(dataDirectory: dataDirectory)
        self.range = range
        self.candidates = candidates
        self.apply = apply
        self.logger = logger
        (trigger, pull) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Works until it is cancelled.
    func run() async {
        assign(complaining: [])
        for await _ in trigger {
            if await synchronise() { continue }
            // Not to spin on what does not go: the next change, or a moment later.
            Task {
                try? await Task.sleep(for: .seconds(2))
                self.pull.yield()
            }
        }
    }

    nonisolated func podsChanged() { pull.yield() }

    /// The Services that files ask for; `unread` are files whose Services are unknown now and stay.
    func take(_ services: [SourcedService], unread: Set<String>) {
        do throws(SystemError) {
            assign(complaining: try record.take(services, unread: unread))
        } catch {
            logger.error("cannot keep the Services: \(error)")
        }
    }

    /// The Services with their addresses.
    var services: [Service] { assigned }

    private func assign(complaining lines: [String]) {
        do throws(SystemError) {
            let (services, conflicts) = try allocations.assign(record.services.map(\.service), range: range)
            let sources = Dictionary(record.services.map { ($0.name, $0.source) }) { first, _ in first }
            let found = lines + conflicts.map { "\(sources[$0.service] ?? ""): \($0)" }
            for line in found where !complaints.contains(line) { logger.error("\(line)") }
            complaints = Set(found)
            assigned = services
            pull.yield()
        } catch {
            logger.error("cannot keep the Services' addresses, nothing is changed: \(error)")
        }
    }

    private func synchronise() async -> Bool {
        let pods = candidates()
        let wanted = assigned.map { service in
            ServedService(
                service: service, endpoints: service.spec.ports.map { Endpoints.of(service, port: $0, among: pods) })
        }
        guard wanted != applied else { return true }
        do {
            try await apply(wanted)
            applied = wanted
            failure = ""
            return true
        } catch {
            // Whether the rules are the former ones, the wanted ones or neither is unknown now.
            applied = nil
            if "\(error)" != failure { logger.error("cannot set the Services' rules, trying again: \(error)") }
            failure = "\(error)"
            return false
        }
    }
}
