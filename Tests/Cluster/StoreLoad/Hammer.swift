import Store

/// Puts and deletes keys from several tasks until it is killed. Says `ack REVISION KEY TAG` when a change is
/// acknowledged, and `saw REVISION KEY TAG` when its watch is told one; TAG is unique, `-` for a deletion. Compacts now
/// and then.
func hammer(_ directory: String) async throws {
    let store = try await SQLiteStore(path: "\(directory)/objects.sqlite")
    let begin = store.published
    let watch = try await store.watch(.all, after: begin) { event in
        guard case .changes(let changes, _) = event else { return }
        for change in changes { say("saw \(change.revision) \(change.key) \(tag(of: change.entry))") }
    }
    say("ready \(begin)")
    try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<8 {
            group.addTask {
                for round in 0... { try await step(store, writer, round, "\(begin).\(writer).\(round)") }
            }
        }
        try await group.waitForAll()
    }
    watch.cancel()
}

private func step(_ store: SQLiteStore, _ writer: Int, _ round: Int, _ tag: String) async throws {
    let key = "/hammer/\((round &* 7 &+ writer) % 40)"
    if round % 5 == 4 {
        if case .committed(let revision) = try await store.commit(
            Transaction(if: [.exists(StoreKey(key))], [.delete(StoreKey(key))]))
        {
            say("ack \(revision) \(key) -")
        }
    } else {
        let value = Array(tag.utf8) + [UInt8](repeating: 32, count: 300)
        // A second key in the same transaction, which this writer alone has.
        let own = StoreKey("/own/\(writer)")
        let transaction = Transaction([.put(StoreKey(key), value), .put(own, Array(tag.utf8))])
        if case .committed(let revision) = try await store.commit(transaction) {
            say("ack \(revision) \(key) \(tag)")
            say("ack \(revision) \(own) \(tag)")
        }
    }
    if writer == 0, round % 20 == 19 {
        try await store.compact(through: Revision(max(1, store.published.number - 150)))
    }
}

/// The value's first word; `-` for no value.
private func tag(of entry: Entry?) -> String {
    guard let entry else { return "-" }
    return String(decoding: entry.value.prefix { $0 != 32 }, as: UTF8.self)
}
