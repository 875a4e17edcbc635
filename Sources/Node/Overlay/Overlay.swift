import Linux
import Netlink
import Synchronization

/// Keeps this host's part of the overlay: devices, routes, neighbours, forwarding entries and one nftables table.
///
/// All of it stays when the value or the process goes; the next one adopts what it finds and changes only what differs.
/// Whatever others remove or change is put back at once.
public final class Overlay: Sendable {
    let worker: OverlayWorker
    private let shared: Shared

    /// What is told to the outside; written by the worker, read by anybody.
    final class Shared: Sendable {
        let state: Mutex<OverlayState>
        let listeners = Mutex<[Int: AsyncStream<Void>.Continuation]>([:])

        init(_ state: OverlayState) { self.state = Mutex(state) }

        func publish(_ new: OverlayState) {
            let differs = state.withLock { state in
                defer { state = new }
                return state != new
            }
            guard differs else { return }
            for listener in listeners.withLock({ Array($0.values) }) { listener.yield() }
        }
    }

    /// Opens sockets in `networkNamespace`, which is not needed afterwards. Nothing is changed before the first
    /// ``update(_:)``.
    /// - Parameter eventLoop: Its thread does the work: a thousand new nodes keep it for some tens of milliseconds.
    /// - Throws: ``OverlayError/invalidConfiguration(_:)``, or why there are no sockets.
    public init(
        configuration: OverlayConfiguration, in networkNamespace: borrowing OwnedDescriptor, eventLoop: EventLoop
    ) throws(OverlayError) {
        try configuration.validate()
        shared = Shared(OverlayState(configuration: configuration))
        do {
            worker = try OverlayWorker(configuration, networkNamespace, eventLoop, shared)
        } catch {
            throw OverlayError(error)
        }
    }

    /// Makes `leases` all the nodes there are, this one among them; returns when the kernel is as they ask, or it is known
    /// what stands in the way (``state``). The first call also removes what is left of earlier runs.
    public func update(_ leases: [NodeLease]) async { await worker.update(leases) }

    /// How things are now.
    public var state: OverlayState { shared.state.withLock { $0 } }

    /// Yields after ``state`` has changed; several changes may be told as one.
    public func changes() -> AsyncStream<Void> {
        let shared = shared
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = shared.listeners.withLock { listeners in
            let number = (listeners.keys.max() ?? 0) + 1
            listeners[number] = continuation
            return number
        }
        continuation.onTermination = { _ in shared.listeners.withLock { _ = $0.removeValue(forKey: number) } }
        return stream
    }

    /// Reads everything anew and says of each node what is there of what it needs.
    public func inspect() async throws(OverlayError) -> OverlayView {
        do {
            return try await worker.inspect()
        } catch {
            throw OverlayError(error)
        }
    }

    /// Ends the work; what is in the kernel stays.
    public func stop() { worker.stop() }

    deinit { worker.stop() }
}

/// How an overlay is doing.
public struct OverlayState: Sendable, Hashable {
    public var configuration: OverlayConfiguration
    /// This node's own lease; nil before there is one.
    public var own: NodeLease?
    /// Bytes of the largest packet that a pod of this node may send; nil while nothing is known of the underlay.
    public var podMTU: UInt32?
    /// The pod networks of all nodes, this one included, without those that collide with networks of this host: packets
    /// between them are never masqueraded.
    public var networks: [CIDR] = []
    /// The devices that are there, by name.
    public var devices: [String] = []
    /// How many other nodes there are leases of.
    public var nodes = 0
    /// What is not as it should be, sorted.
    public var problems: [OverlayProblem] = []
    public var counters = OverlayCounters()

    init(configuration: OverlayConfiguration) { self.configuration = configuration }
}

/// What an overlay has done since it was started.
public struct OverlayCounters: Sendable, Hashable {
    /// Changes made in the kernel.
    public var changes = 0
    /// Of those, changes that put back what others had removed or changed.
    public var repairs = 0
    /// Changes that the kernel refused.
    public var failures = 0
    /// How often the kernel's state was read as a whole.
    public var readings = 0

    public init() {}
}
