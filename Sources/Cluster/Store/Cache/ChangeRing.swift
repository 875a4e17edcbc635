/// The latest changes in order, as many as the limits allow. Each has a number that counts up and never comes again.
struct ChangeRing<Object: Sendable>: Sendable {
    private var changes: [CachedChange<Object>?] = [nil]
    private let maximumCount: Int
    private var bytes = 0
    private let maximumBytes: Int
    /// The number of the oldest change that is kept, and of the one that comes next.
    private(set) var first: UInt64 = 0
    private(set) var next: UInt64 = 0
    /// Every change after this revision is kept.
    private(set) var floor: Revision

    /// - Parameters:
    ///   - count: The most changes, rounded up to a power of two. Space is taken as they come.
    ///   - bytes: The most bytes of the objects that only the ring keeps alive.
    init(count: Int, bytes: Int, after floor: Revision) {
        maximumCount = count
        maximumBytes = bytes
        self.floor = floor
    }

    mutating func append(_ change: CachedChange<Object>) {
        if next - first > mask {
            if changes.count < maximumCount { grow() } else { dropFirst() }
        }
        changes[Int(next & mask)] = change
        next += 1
        bytes += change.old?.bytes ?? 0
        while bytes > maximumBytes, first < next { dropFirst() }
    }

    private var mask: UInt64 { UInt64(changes.count - 1) }

    private mutating func grow() {
        var larger = [CachedChange<Object>?](repeating: nil, count: max(64, 2 * changes.count))
        for number in first..<next { larger[Int(number) & (larger.count - 1)] = changes[Int(number & mask)] }
        changes = larger
    }

    private mutating func dropFirst() {
        guard let change = changes[Int(first & mask)] else { return }
        floor = change.revision
        bytes -= change.old?.bytes ?? 0
        changes[Int(first & mask)] = nil
        first += 1
    }

    /// The change with that number; nil for one that is not kept.
    subscript(number: UInt64) -> CachedChange<Object>? {
        first..<next ~= number ? changes[Int(number & mask)] : nil
    }

    /// The number of the first change after `revision`; nil when that is not known any more.
    func number(after revision: Revision) -> UInt64? {
        guard revision >= floor else { return nil }
        return first
            + UInt64(
                partition(Int(next - first)) { index in
                    changes[Int((first + UInt64(index)) & mask)].map { $0.revision <= revision } ?? false
                })
    }
}
