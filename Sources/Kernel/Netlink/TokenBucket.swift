import CNetlink
import Glibc

/// A queue that lets packets out at a limited rate (tc-tbf(8)). It shapes what leaves through an interface, so what
/// comes in through one end of a veth pair is shaped at the other.
public struct TokenBucket: Hashable, Sendable {
    /// Bytes per second, 1 or more, Ethernet headers included.
    public var rate: UInt64
    /// Bytes that may pass at once after a pause, 1 or more; the kernel tells no more than pass in 274 s. Packets larger
    /// than that are cut (where they are many in one, GSO) or dropped.
    public var burst: UInt32
    /// Bytes that wait at most; what comes beyond them is dropped.
    public var limit: UInt32

    public init(rate: UInt64, burst: UInt32, limit: UInt32) {
        self.rate = rate
        self.burst = burst
        self.limit = limit
    }

    /// A queue in which no packet waits longer than `latency`. Without `burst`, what passes in 10 ms, and at least four
    /// packets of 64 KiB, as TCP hands them over.
    public init(rate: UInt64, burst: UInt32? = nil, latency: Duration = .milliseconds(50)) {
        let burst = burst ?? UInt32(clamping: max(rate / 100, 4 << 16))
        let limit = Double(rate) * (latency / .seconds(1)) + Double(burst)
        self.init(rate: rate, burst: burst, limit: UInt32(min(max(limit, 0), Double(UInt32.max))))
    }

    /// Whether the kernel, asked for `wanted`, would say this. It tells a burst as the time that it takes, in ticks of
    /// 64 ns (PSCHED_SHIFT), which is not exact above 15 MB/s.
    public func isAsListed(for wanted: TokenBucket) -> Bool {
        let inexactness = 2 * Self.bytes(inTicks: 1, rate: rate) + 1
        return rate == wanted.rate && limit == wanted.limit
            && burst.distance(to: wanted.burst).magnitude <= inexactness
    }

    /// Rounded up.
    private static func bytes(inTicks ticks: UInt64, rate: UInt64) -> UInt64 {
        let (high, low) = (ticks * 64).multipliedFullWidth(by: rate)
        let second: UInt64 = 1_000_000_000
        guard high < second else { return .max }
        let (quotient, remainder) = second.dividingFullWidth((high, low))
        return quotient &+ (remainder > 0 ? 1 : 0)
    }
}

extension TokenBucket {
    func put(in message: inout MessageWriter) {
        var options = tc_tbf_qopt()
        options.rate.rate = UInt32(clamping: rate)
        // A kernel that is told the link layer needs no table of transmission times.
        options.rate.linklayer = UInt8(TC_LINKLAYER_ETHERNET.rawValue)
        options.limit = limit
        withUnsafeBytes(of: options) { message.put(TCA_TBF_PARMS, $0) }
        message.put(TCA_TBF_BURST, burst)
        if rate > UInt32.max { message.put(TCA_TBF_RATE64, rate) }
    }

    init?(_ attributes: Attributes) {
        var options: tc_tbf_qopt?
        var rate64: UInt64?
        for attribute in attributes {
            switch Int(attribute.type) {
            case TCA_TBF_PARMS where attribute.payload.count >= MemoryLayout<tc_tbf_qopt>.size:
                options = attribute.payload.loadUnaligned(as: tc_tbf_qopt.self)
            case TCA_TBF_RATE64: rate64 = attribute.number()
            default: break
            }
        }
        guard let options else { return nil }
        let rate = rate64 ?? UInt64(options.rate.rate)
        let burst = Self.bytes(inTicks: UInt64(options.buffer), rate: rate)
        self.init(rate: rate, burst: UInt32(clamping: burst), limit: options.limit)
    }
}
