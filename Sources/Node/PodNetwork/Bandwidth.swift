import Netlink

/// A pod's bandwidth as token buckets (tc-tbf(8)): what is sent to the pod passes one on the host's end, what it sends
/// one on its own interface.
extension Lease {
    /// For the host's end.
    var ingressBucket: TokenBucket? { ingressBandwidth.map(TokenBucket.init(bitsPerSecond:)) }
    /// For the pod's end.
    var egressBucket: TokenBucket? { egressBandwidth.map(TokenBucket.init(bitsPerSecond:)) }
}

extension TokenBucket {
    /// Bytes that may go at once: 10 ms of the rate, so that a timer's tick (4 ms at 250 Hz) loses nothing, and never
    /// less than a full segment of 64 KiB, which would otherwise be cut up. The bandwidth plugin of CNI leaves the burst
    /// to whoever calls it, and containerd asks for 512 MB: a limit that a pod does not feel for its first 4 gigabits.
    static func burst(bytesPerSecond: UInt64) -> UInt32 {
        UInt32(clamping: min(max(bytesPerSecond / 100, 64 << 10), 256 << 20))
    }

    /// Packets wait 25 ms at most behind the burst (as CNI's plugin has it), then they are dropped.
    init(bitsPerSecond: UInt64) {
        let rate = bitsPerSecond / 8
        self.init(rate: rate, burst: Self.burst(bytesPerSecond: rate), latency: .milliseconds(25))
    }
}
