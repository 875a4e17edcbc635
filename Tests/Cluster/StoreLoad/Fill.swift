import Glibc
import Linux
import Store

/// Fills a small file system and gives it space again. Says what it sees, a word a line; ends with 1 when something is
/// not as it should be.
func fill(_ directory: String) async throws {
    let ballast = "\(directory)/ballast"
    try writeFileAtomically(ballast, [UInt8](repeating: 1, count: 2 << 20))
    var settings = SQLiteStore.Settings()
    settings.journalBytes = 256 << 10
    let store = try await SQLiteStore(path: "\(directory)/objects.sqlite", settings: settings)
    var written = 0
    let fullness = await firstFailure(store, &written)
    guard case .full = fullness else { return fail("the disk did not fill: \(fullness as Any)") }
    say("full")

    // Everything that can be read is; nothing can be written, and it says so each time.
    guard try await store.range(.all).entries.count == written else { return fail("entries are missing") }
    say("readable")
    for _ in 0..<20 {
        do {
            _ = try await store.commit(.create("/extra", value))
            return fail("a write to a full disk was acknowledged")
        } catch StoreError.full {}
    }
    guard try await store.get("/extra").value == nil else { return fail("a failed write can be read") }
    say("refusing")

    unlink(ballast)
    guard case .committed = try await store.commit(.create("/extra", value)) else { return fail("no recovery") }
    say("recovered")
    await store.close()
    let reopened = try await SQLiteStore(path: "\(directory)/objects.sqlite")
    guard try await reopened.range(.all).entries.count == written + 1 else { return fail("entries were lost") }
    await reopened.close()
    let problems = try StoreFile("\(directory)/objects.sqlite").check()
    guard problems.isEmpty else { return fail("\(problems)") }
    say("sound")
}

private let value = [UInt8](repeating: 7, count: 20_000)

/// Creates keys until that fails; how.
private func firstFailure(_ store: SQLiteStore, _ written: inout Int) async -> StoreError? {
    for number in 0..<10_000 {
        do throws(StoreError) {
            _ = try await store.commit(.create(StoreKey("/fill/\(number)"), value))
            written += 1
        } catch {
            return error
        }
    }
    return nil
}

private func fail(_ what: String) {
    say(what)
    exit(1)
}
