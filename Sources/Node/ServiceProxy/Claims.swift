// Who owns what only one can have. Two Services may ask for the same cluster IP and port, or the same NodePort; one
// gets it, whatever the order in which they came, and the other gets it when the first lets go.

/// For each key who asks for it. The smallest claimant owns the key.
struct Claims<Key: Hashable & Sendable>: Sendable {
    private var claimants: [Key: [ServicePortID]] = [:]
    /// Keys that more than one asks for.
    private(set) var contested: Set<Key> = []

    func owner(of key: Key) -> ServicePortID? { claimants[key]?.first }

    /// Those who ask in vain.
    func losers(of key: Key) -> ArraySlice<ServicePortID> { claimants[key]?.dropFirst() ?? [] }

    /// Whoever asks adds itself once.
    mutating func add(_ claimant: ServicePortID, to key: Key) {
        var list = claimants.removeValue(forKey: key) ?? []
        list.insert(claimant, at: list.firstIndex { claimant < $0 } ?? list.endIndex)
        if list.count > 1 { contested.insert(key) }
        claimants[key] = list
    }

    mutating func remove(_ claimant: ServicePortID, from key: Key) {
        guard var list = claimants.removeValue(forKey: key) else { return }
        list.removeAll { $0 == claimant }
        if list.count < 2 { contested.remove(key) }
        if !list.isEmpty { claimants[key] = list }
    }

    /// Keys in no particular order.
    var keys: Dictionary<Key, [ServicePortID]>.Keys { claimants.keys }
}
