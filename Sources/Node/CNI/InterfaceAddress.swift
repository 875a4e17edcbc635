import Netlink

/// An address and the length of its network, written `10.1.2.3/16`: CIDR notation that keeps the host's bits.
public struct InterfaceAddress: Sendable, Hashable, CustomStringConvertible, LosslessStringConvertible {
    public var address: IPAddress
    /// 0 to 32, or 0 to 128.
    public var prefixLength: Int

    public init(_ address: IPAddress, prefixLength: Int? = nil) {
        self.address = address
        self.prefixLength = prefixLength ?? address.bitWidth
    }

    /// nil where address or length are malformed or missing.
    public init?(_ text: String) {
        guard let slash = text.firstIndex(of: "/"), let address = IPAddress(String(text[..<slash])) else { return nil }
        let digits = text[text.index(after: slash)...]
        guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(digits), length <= address.bitWidth
        else { return nil }
        self.init(address, prefixLength: length)
    }

    public var description: String { "\(address)/\(prefixLength)" }

    /// The network that the address lies in.
    public var network: CIDR { CIDR(containing: address, prefixLength: prefixLength) ?? CIDR(address) }
}
