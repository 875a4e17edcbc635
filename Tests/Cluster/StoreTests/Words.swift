import Glibc
import Linux
import Store
import Synchronization
import TestSupport

/// Runs `body` with a new store, which is closed and removed afterwards.
func withStore(
    _ settings: SQLiteStore.Settings = SQLiteStore.Settings(),
    isolation: isolated (any Actor)? = #isolation, _ body: (SQLiteStore) async throws -> Void
) async throws {
    try await withTemporaryDirectory { directory in
        let store = try await SQLiteStore(path: "\(directory)/objects.sqlite", settings: settings)
        do {
            try await body(store)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }
}

extension Store {
    /// Puts a text; the revision it has.
    @discardableResult
    func put(_ key: StoreKey, _ text: String, expires: Int64? = nil) async throws -> Revision {
        try await commit(Transaction([.put(key, Array(text.utf8), expires: expires)])).revision()
    }

    @discardableResult
    func delete(_ key: StoreKey) async throws -> Revision {
        try await commit(Transaction([.delete(key)])).revision()
    }

    /// The texts of a range now, or at a revision.
    func texts(_ range: KeyRange = .all, at revision: Revision? = nil) async throws -> [String] {
        try await self.range(range, at: revision, limit: nil).entries.map { "\($0.key)=\($0.text)" }
    }
}

extension CommitOutcome {
    func revision() throws -> Revision {
        guard case .committed(let revision) = self else { throw TestFailure("\(self)") }
        return revision
    }
}

extension Entry {
    var text: String { String(decoding: value, as: UTF8.self) }
}

extension Change {
    /// `3 a=x`, or `3 a` for a deletion.
    var words: String { "\(revision) \(key)" + (entry.map { "=\($0.text)" } ?? "") }
}

/// What a watch was told.
final class Told: Sendable {
    private struct State {
        var changes: [Change] = []
        var through = Revision.zero
        var ended: StoreError?
    }
    private let state = Mutex(State())

    var sink: WatchSink {
        { event in
            self.state.withLock { state in
                switch event {
                case .changes(let changes, let revision):
                    state.changes += changes
                    state.through = revision
                case .ended(let error): state.ended = error
                }
            }
        }
    }

    var words: [String] { state.withLock { $0.changes.map(\.words) } }
    var changes: [Change] { state.withLock { $0.changes } }
    var ended: StoreError? { state.withLock { $0.ended } }
    var through: Revision { state.withLock { $0.through } }
}

/// Numbers that look random, the same for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// `StoreLoad`, which stands beside the tests' own binary.
func loadProgram() throws -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    try check(readlink("/proc/self/exe", &buffer, buffer.count - 1), "readlink", "/proc/self/exe")
    let own = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return "\(parentDirectory(of: own))/StoreLoad"
}

/// A number that tasks add to.
final class Counter: Sendable {
    private let number = Atomic(0)
    func add(_ count: Int) { number.add(count, ordering: .relaxed) }
    var value: Int { number.load(ordering: .relaxed) }
}
