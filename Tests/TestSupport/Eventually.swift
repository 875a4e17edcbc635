// Waiting, with an end.
import Linux

/// Asks `condition` until it holds, every 20 ms, for at most `seconds`; then fails with `what` and what was seen last.
///
/// For states that another process reaches and that offer a test nothing to wait on: a command's answer, a file's
/// content. What can be waited on (a process's end, a pipe, an inotify event) is waited on instead.
public func eventually(
    _ what: String, seconds: Double = 20, _ condition: () async throws -> Bool
) async throws {
    let end = now() + seconds
    var seen: (any Error)?
    repeat {
        do {
            if try await condition() { return }
            seen = nil
        } catch {
            seen = error
        }
        try await Task.sleep(nanoseconds: 20_000_000)
    } while now() < end
    throw TestFailure("not within \(seconds) s: \(what)" + (seen.map { "; last: \($0)" } ?? ""))
}
