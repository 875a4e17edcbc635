// Who owns what only one can have. Two Services may ask for the same cluster IP and port, or the same NodePort; one gets
// it, whatever the order in which they came, and the other gets it when the first lets go.

/// For each key who asks for it. The smallest claimant owns the key.
struct Claims<Key: Hashable & Sendable>: Sendable {
    private var claimants: [Key: [ServicePortID]] = [:]

    func owner(of key: Key) -> ServicePortID? { claimants[key]?.first }

    /// Those who ask in vain.
    func losers(of key: Key) -> ArraySlice<ServicePortID> { claimants[key]?.dropFirst() ?? [] }

    /// Whoever asks adds itself once.
    mutating func add(_ claimant: ServicePortID, to key: Key) {
        var list = claimants.removeValue(forKey: key) ?? []
        list.insert(claimant, at: list.firstIndex { claimant < $0 } ?? list.endIndex)
        claimants[key] = list
    }

    mutating func remove(_ claimant: ServicePortID, from key: Key) {
        guard var list = claimants.removeValue(forKey: key) else { return }
        list.removeAll { $0 == claimant }
        if !list.isEmpty { claimants[key] = list }
    }

    /// Keys in no particular order.
    var keys: Dictionary<Key, [ServicePortID]>.Keys { claimants.keys }

    /// Keys that more than one asks for.
    var contested: [Key] { claimants.filter { $0.value.count > 1 }.map(\.key) }
}
