import Glibc
import Linux
import Netlink
import TestSupport
import Testing

@testable import PodNetwork

/// How fast pods may be.
@Suite struct BandwidthTests {
    let node: TestNode

    init() throws { node = try TestNode() }

    /// Seconds from before the first byte is sent by `sender` until the last of `bytes` has arrived in `receiver`.
    private func duration(
        from sender: TestNamespace, to receiver: TestNamespace, _ address: String, bytes: Int
    ) throws -> Double {
        let listener = try receiver.listen(on: "0.0.0.0", port: 5000)
        let out = try sender.connect(to: address, port: 5000)
        let (connection, _) = try listener.accept()
        let chunk = [UInt8](repeating: 7, count: 16 << 10)
        let number = out.descriptor.number
        let start = seconds()
        let writer = Thread {
            var left = bytes
            while left > 0 {
                let count = Glibc.send(number, chunk, min(left, chunk.count), Int32(MSG_NOSIGNAL))
                if count <= 0 { return }
                left -= count
            }
        }
        defer { writer.join() }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var received = 0
        while received < bytes {
            let count = recv(connection.descriptor.number, &buffer, buffer.count, 0)
            try check(count, "recv")
            received += count
        }
        return seconds() - start
    }

    @Test("A pod receives and sends as fast as it may, not faster", .timeLimit(.minutes(1)))
    func measured() throws {
        let (slow, free) = (try TestPod("slow"), try TestPod("free"))
        // 8 and 16 Mbit/s.
        let limited = try node.attach(slow, .init(ingressBandwidth: 8_000_000, egressBandwidth: 16_000_000))
        let other = try node.attach(free, .init())
        let bytes = 1_000_000
        let to = try duration(from: free.namespace, to: slow.namespace, "\(limited.address)", bytes: bytes)
        let from = try duration(from: slow.namespace, to: free.namespace, "\(other.address)", bytes: bytes)
        // Whatever a busy machine delays, what is behind the first burst cannot be there sooner.
        for (taken, bytesPerSecond) in [(to, 1_000_000.0), (from, 2_000_000.0)] {
            let burst = Double(TokenBucket.burst(bytesPerSecond: UInt64(bytesPerSecond)))
            let least = (Double(bytes) - burst) / bytesPerSecond
            #expect(taken >= least * 0.99 && taken < least * 8, "\(taken) s, not \(least)")
        }
        let unlimited = try duration(from: free.namespace, to: node.namespace, "10.88.0.1", bytes: bytes)
        #expect(unlimited < from, "\(unlimited) s without limit")
    }

    @Test("Both queues are there, and stay right when the pod is refreshed")
    func queues() throws {
        let pod = try TestPod("web")
        let result = try node.attach(pod, .init(ingressBandwidth: 10_000_000, egressBandwidth: 40_000_000_000))
        var inside = try RouteSocket(in: pod.namespace.descriptor)
        var host = try node.routes()
        let eth0 = try #require(try inside.link(.name("eth0"))).index
        let end = try #require(try host.link(.name(result.hostInterface))).index
        for _ in 0..<2 {
            let ingress = try #require(try host.rootQdisc(of: end)?.tokenBucket)
            #expect(ingress.isAsListed(for: TokenBucket(bitsPerSecond: 10_000_000)) && ingress.rate == 1_250_000)
            // More than fits into 32 bits.
            let egress = try #require(try inside.rootQdisc(of: eth0)?.tokenBucket)
            #expect(egress.isAsListed(for: TokenBucket(bitsPerSecond: 40_000_000_000)) && egress.rate == 5_000_000_000)
            try inside.apply([.deleteRootQdisc(eth0)])
            try node.network.refresh(uid: pod.uid, routeSocket: pod.socket.descriptor)
        }
        // What others remove on the host's side is put back.
        try host.apply([.deleteRootQdisc(end)])
        #expect(try node.network.reconcile(live: [pod.uid]).repaired == [pod.uid])
        #expect(try host.rootQdisc(of: end)?.tokenBucket != nil)
        #expect(try node.network.reconcile(live: [pod.uid]) == Reconciliation())
        for rate: UInt64 in [0, 999, 1_000_000_000_000_001] {
            #expect(throws: PodNetworkError.self) { try node.attach(pod, .init(egressBandwidth: rate)) }
        }
    }
}

private func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// A thread that blocks in system calls, and can be waited for.
private struct Thread {
    private let id: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        final class Work: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var id = pthread_t()
        pthread_create(
            &id, nil,
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, Unmanaged.passRetained(Work(body)).toOpaque())
        self.id = id
    }

    func join() { pthread_join(id, nil) }
}
