/// An amount such as `500m`, `1.5Gi` or `2` (Kubernetes API reference, Quantity).
public struct Quantity: Sendable, Hashable {
    /// The amount as written.
    public let text: String
    /// In thousandths, rounded up.
    public let milliValue: Int64
    /// In whole units, rounded up.
    public var value: Int64 { milliValue / 1000 + (milliValue % 1000 > 0 ? 1 : 0) }

    /// For values made by the parser.
    public init(text: String, milliValue: Int64) { (self.text, self.milliValue) = (text, milliValue) }
}
