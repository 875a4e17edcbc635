import Netlink

/// Who keeps undoing what we do: repairs are made at once, unless the same one was made several times within a short
/// while, or failed. Then the next waits, twice as long each time.
struct RepairLedger: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// So many repairs of one thing are made without delay, if there is no ``window`` between them without one: more than
    /// the ten rounds of `ip neighbour flush`.
    static let burst = 20
    static let window = Duration.seconds(10)
    static let longestDelay = Duration.seconds(30)

    private struct Account: Sendable {
        var repairs = 0
        var last: Instant
        var delay = Duration.zero
        var failure: OverlayProblem?

        var next: Instant { last + delay }
    }

    private var accounts: [Repair.Subject: Account] = [:]

    /// Whether the repair may be made now.
    func allows(_ subject: Repair.Subject, at now: Instant) -> Bool {
        guard let account = accounts[subject] else { return true }
        return account.next <= now
    }

    /// A repair was made; `failure` says why it was not.
    mutating func note(_ subject: Repair.Subject, failure: OverlayProblem?, at now: Instant) {
        var account = accounts[subject] ?? Account(last: now)
        // What was refused and is accepted now is no quarrel.
        if account.next + Self.window < now || (account.failure != nil && failure == nil) {
            account = Account(last: now)
        }
        account.repairs += 1
        account.last = now
        account.failure = failure
        if failure != nil || account.repairs > Self.burst {
            account.delay = min(max(account.delay * 2, .seconds(1)), Self.longestDelay)
        }
        accounts[subject] = account
    }

    /// What is planned is different now: what happened to the former plan does not count.
    mutating func forget(_ subject: Repair.Subject) { accounts[subject] = nil }

    /// A device was renewed: what was on it went with that, and nobody is to be accused of it. Who keeps changing the
    /// device itself is.
    /// - Parameter isOn: Whether a route is over the device.
    mutating func forget(on device: Int32, _ name: String, isOn: (CIDR) -> Bool) {
        if accounts.isEmpty { return }
        accounts = accounts.filter { account in
            switch account.key {
            case .address(let owner, _): owner != name
            case .entry(.neighbour(let link, _)), .entry(.forwarding(let link, _)): link != device
            case .entry(.route(let network)): !isOn(network)
            case .everything, .device, .settings: true
            }
        }
    }

    /// Forgets what has been left alone for a while, so that a problem that is over is not told any more.
    mutating func forgetOld(at now: Instant) {
        if !accounts.isEmpty { accounts = accounts.filter { $0.value.next + Self.window > now } }
    }

    /// When the first of the repairs that wait may be made, or the first problem is over.
    func nextInstant(after now: Instant) -> Instant? {
        accounts.values.filter { $0.delay > .zero }.map { $0.next > now ? $0.next : $0.next + Self.window }
            .filter { $0 > now }.min()
    }

    /// What is contested or refused.
    func problems(_ name: (Repair.Subject) -> String) -> [OverlayProblem] {
        accounts.compactMap { subject, account in
            if let failure = account.failure { return failure }
            guard account.delay > .zero else { return nil }
            let name = name(subject)
            return OverlayProblem(
                .contested, name,
                "somebody keeps removing or changing \(name): repaired \(account.repairs) times, from now on every "
                    + "\(account.delay.components.seconds) s")
        }
    }
}
