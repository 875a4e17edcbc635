/// The number of a change: one counter for the whole store, never given twice. What Kubernetes shows as
/// `resourceVersion`, and etcd as `mod_revision`.
public struct Revision: Sendable, Hashable, Comparable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    /// 0 before anything was written, then 1 and up. At most 2^52.
    public let number: Int64

    public init(_ number: Int64) { self.number = number }
    public init(integerLiteral number: Int64) { self.number = number }

    /// The state before the first change.
    public static let zero = Revision(0)

    /// The one after this.
    public var next: Revision { Revision(number + 1) }

    public static func < (left: Revision, right: Revision) -> Bool { left.number < right.number }

    /// The decimal number.
    public var description: String { String(number) }
}
