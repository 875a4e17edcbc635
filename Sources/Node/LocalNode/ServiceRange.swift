// The addresses and ports that Services of this node may have.

/// An IPv4 network that cluster IPs come from, such as `10.43.0.0/16`.
public struct ServiceRange: Sendable, Hashable, CustomStringConvertible {
    /// The network's address in host order.
    let base: UInt32
    let prefixLength: Int

    /// Takes `address/length` with a length of 8 to 30 and no bits set behind it; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = Self.address(String(parts[0])), let length = Int(parts[1]),
            (8...30).contains(length), String(length) == parts[1], address & ((1 << (32 - UInt32(length))) - 1) == 0
        else { return nil }
        base = address
        prefixLength = length
    }

    public var description: String { "\(Self.text(base))/\(prefixLength)" }

    /// How many addresses Services may have: all but the network's own, the first (which a cluster's API server has) and
    /// the broadcast address.
    var capacity: UInt32 { (1 << (32 - UInt32(prefixLength))) - 3 }

    /// The assignable address number `index`, from 0.
    func address(at index: UInt32) -> String { Self.text(base + 2 + index) }

    /// Whether a Service may have this address.
    func contains(_ text: String) -> Bool {
        guard let address = Self.address(text), address >= base + 2 else { return false }
        return address - base - 2 < capacity
    }

    /// Addresses that are handed out only when the rest is used up, so that those who ask for one by hand rarely meet one
    /// that was handed out: min(max(16, size / 16), 256) as Kubernetes keeps them (KEP-3070).
    var staticBand: UInt32 {
        let size: UInt32 = 1 << (32 - UInt32(prefixLength))
        return size <= 16 ? 0 : min(max(16, size / 16), 256)
    }

    /// The four bytes of a dotted address, no leading zeros; nil for anything else.
    static func address(_ text: String) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part), String(byte) == part else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }

    static func text(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }
}

/// The ports of the node that Services of type NodePort may have, as in Kubernetes.
enum NodePortRange {
    static let ports: ClosedRange<UInt16> = 30000...32767
    /// Handed out only when the rest is used up: min(max(16, size / 32), 128) of them (KEP-3668).
    static let staticBand: UInt16 = 86
}
