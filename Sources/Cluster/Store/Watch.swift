import Synchronization

/// What a watch is told.
public enum WatchEvent: Sendable {
    /// The changes in the watch's range, ordered by revision, all that there were up to `revision`, which may be none.
    /// All changes of one transaction come in one event: who goes on later from `revision` misses nothing.
    case changes([Change], through: Revision)
    /// Nothing comes any more.
    case ended(StoreError)
}

/// Receives a watch's events: one call after the other, from whatever thread.
///
/// A store may call it while writers wait for their acknowledgement, so that who was acknowledged finds its change in
/// every cache. It has to be quick, and must not call the store.
public typealias WatchSink = @Sendable (WatchEvent) -> Void

/// A watch that goes on until this is cancelled or let go of.
public final class WatchRegistration: Sendable {
    private let onCancel: Mutex<(@Sendable () -> Void)?>

    public init(onCancel: @escaping @Sendable () -> Void) {
        self.onCancel = Mutex(onCancel)
    }

    deinit { cancel() }

    /// Ends the watch. A call of the sink that is under way may still end after this; none begins.
    public func cancel() {
        let action = onCancel.withLock { action in
            defer { action = nil }
            return action
        }
        action?()
    }
}
