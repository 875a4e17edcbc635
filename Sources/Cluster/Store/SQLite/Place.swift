/// Where a change stands in the log: its revision, and its position in the transaction. One number, so that the log is
/// a table in the order of its rowid: every write is at its end.
struct Place: Hashable, Comparable {
    let number: Int64

    init(_ number: Int64) { self.number = number }
    init(_ revision: Revision, position: Int) { number = revision.number << Self.bits | Int64(position) }

    /// Enough for `Transaction.maximumOperations` positions.
    private static let bits: Int64 = 10

    /// No place: what stands as the predecessor of a key's creation.
    static let none = Place(0)
    /// After every change of `revision`, before any of the next.
    static func end(of revision: Revision) -> Place { Place(revision.next.number << bits - 1) }

    var revision: Revision { Revision(number >> Self.bits) }

    static func < (left: Place, right: Place) -> Bool { left.number < right.number }
}
