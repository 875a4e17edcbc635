/// Conditions, and what to do if all of them hold.
public struct Transaction: Sendable {
    public var conditions: [Condition]
    /// Each on another key. In the order in which watches tell them.
    public var operations: [Operation]

    /// The most operations of a transaction.
    public static let maximumOperations = 512
    /// The most bytes of all its values together.
    public static let maximumBytes = 16 << 20

    public init(if conditions: [Condition] = [], _ operations: [Operation]) {
        self.conditions = conditions
        self.operations = operations
    }

    /// What must be so when the transaction is done.
    public enum Condition: Sendable, Hashable {
        case exists(StoreKey)
        case missing(StoreKey)
        /// The key's value was put by this very revision.
        case revision(StoreKey, Revision)

        public var key: StoreKey {
            switch self {
            case .exists(let key), .missing(let key), .revision(let key, _): key
            }
        }

        func holds(for revision: Revision?) -> Bool {
            switch self {
            case .exists: revision != nil
            case .missing: revision == nil
            case .revision(_, let wanted): revision == wanted
            }
        }
    }

    public enum Operation: Sendable, Hashable {
        /// Puts a value. With `expires`, in seconds since 1970, the store deletes the key some time after that moment,
        /// unless it is put again before. A put without it never expires.
        case put(StoreKey, [UInt8], expires: Int64? = nil)
        /// Deletes a key; one that is missing already is no change.
        case delete(StoreKey)

        public var key: StoreKey {
            switch self {
            case .put(let key, _, _), .delete(let key): key
            }
        }
    }
}

/// What became of a transaction.
public enum CommitOutcome: Sendable, Hashable {
    /// It was done, with this revision; one that changed nothing has the revision of the moment.
    case committed(Revision)
    /// Nothing was done, because a condition does not hold. What the conditions' keys have, in the conditions' order.
    case refused([Entry?])
}

extension Transaction {
    /// The put of a key that must be missing.
    public static func create(_ key: StoreKey, _ value: [UInt8], expires: Int64? = nil) -> Transaction {
        Transaction(if: [.missing(key)], [.put(key, value, expires: expires)])
    }

    /// The put of a key whose value must still be that of `revision`.
    public static func update(
        _ key: StoreKey, _ value: [UInt8], at revision: Revision, expires: Int64? = nil
    ) -> Transaction {
        Transaction(if: [.revision(key, revision)], [.put(key, value, expires: expires)])
    }

    /// The deletion of a key whose value must still be that of `revision`.
    public static func delete(_ key: StoreKey, at revision: Revision) -> Transaction {
        Transaction(if: [.revision(key, revision)], [.delete(key)])
    }

    /// The bytes of all values.
    var bytes: Int {
        operations.reduce(0) { sum, operation in
            if case .put(_, let value, _) = operation { sum + value.count } else { sum }
        }
    }

    /// Refuses what no store takes.
    func validate() throws(StoreError) {
        guard operations.count <= Self.maximumOperations else {
            throw .invalid("\(operations.count) operations in one transaction (at most \(Self.maximumOperations))")
        }
        for condition in conditions { try Self.validate(condition.key) }
        for operation in operations { try Self.validate(operation.key) }
        if operations.count > 1 {
            var keys: Set<StoreKey> = []
            for operation in operations where !keys.insert(operation.key).inserted {
                throw .invalid("two operations on '\(operation.key)' in one transaction")
            }
        }
        guard bytes <= Self.maximumBytes else {
            throw .invalid("\(bytes) bytes in one transaction (at most \(Self.maximumBytes))")
        }
    }

    private static func validate(_ key: StoreKey) throws(StoreError) {
        guard 1...StoreKey.maximumBytes ~= key.bytes.count else {
            throw .invalid("a key of \(key.bytes.count) bytes (1 to \(StoreKey.maximumBytes))")
        }
    }
}
