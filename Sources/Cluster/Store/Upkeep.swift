import Glibc

/// When a store forgets: marks of which revision was the newest at which moment, so that what is older than a time span
/// can be compacted.
public struct Retention: Sendable {
    /// What is kept at least, in seconds.
    public let seconds: Int64
    private var marks: [(revision: Revision, at: Int64)] = []

    /// - Parameter seconds: Kubernetes keeps 300: what a list that is paged slowly, or a watcher that was away for a
    ///   moment, needs.
    public init(seconds: Int64 = 300) { self.seconds = seconds }

    /// Notes that `revision` is the newest at `now` (seconds of a clock that only goes forward).
    /// - Returns: The revision to compact through, if there is one: the newest that was so `seconds` ago.
    public mutating func note(_ revision: Revision, at now: Int64) -> Revision? {
        if marks.last?.revision != revision { marks.append((revision, now)) }
        let due = marks.prefix { $0.at <= now - seconds }
        // What was the newest at the last due mark was replaced at the next mark at the latest.
        guard let last = due.last else { return nil }
        marks.removeFirst(due.count)
        return last.revision
    }
}

extension SQLiteStore {
    /// Deletes what has expired and forgets what is older than `retention`, every `interval`, until the task is
    /// cancelled. Where one round fails (a full disk), the next may not.
    public func keepTidy(_ retention: Retention = Retention(), every interval: Duration = .seconds(30)) async {
        var retention = retention
        let start = ContinuousClock.now
        while !Task.isCancelled {
            let now = (ContinuousClock.now - start).components.seconds
            if let due = retention.note(published, at: now) { try? await compact(through: due) }
            _ = try? await expire(at: Int64(time(nil)))
            try? await Task.sleep(for: interval)
        }
    }
}
