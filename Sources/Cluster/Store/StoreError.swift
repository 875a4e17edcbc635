/// Why a store could not do what it was asked.
public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was before `oldest` is forgotten; the caller reads anew. (HTTP 410 Gone)
    case compacted(requested: Revision, oldest: Revision)
    /// The store has not come to that revision. (HTTP 504)
    case future(requested: Revision, newest: Revision)
    /// No space is left on the device. Nothing was changed; writes work again as soon as there is space. (HTTP 507)
    case full(String)
    /// Another program (not a store: those are kept out) holds the database's lock. Nothing was changed; writes work
    /// again as soon as it lets go. (HTTP 503)
    case busy(String)
    /// Another process has the store open.
    case inUse(path: String, process: Int32?)
    /// What no store would take: a key or a transaction that is too large.
    case invalid(String)
    /// The watcher read slower than changes came, and was cut off; it lists and watches anew.
    case tooSlow
    /// The store was closed.
    case closed
    /// The caller's task was cancelled before the read was done.
    case cancelled
    /// The file is no store, a damaged one, or of a newer format.
    case damaged(String)
    /// The disk or the database failed. Whether a transaction that failed so was done is not known. After an error of the
    /// disk later writes fail too, until the store is opened again.
    case failed(String)

    public var description: String {
        switch self {
        case .compacted(let requested, let oldest):
            "revision \(requested) is compacted; the oldest that is known is \(oldest)"
        case .future(let requested, let newest): "revision \(requested) is in the future; the newest is \(newest)"
        case .full(let detail): "no space for the store: \(detail)"
        case .busy(let detail): "another program locks the store: \(detail)"
        case .inUse(let path, let process):
            "\(path) is in use by another process" + (process.map { " (pid \($0))" } ?? "")
        case .invalid(let detail): detail
        case .tooSlow: "the watcher was too slow"
        case .closed: "the store is closed"
        case .cancelled: "cancelled"
        case .damaged(let detail), .failed(let detail): detail
        }
    }
}
