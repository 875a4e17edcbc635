// Waiting, with an end.
import Glibc
import Linux

/// How many times longer than they say tests wait before they give up: 1, or what `SWIFTLET_TEST_PATIENCE` says, for
/// machines that are slow (scripts/test-vm). What a test measures is not stretched.
public let patience: Double = getenv("SWIFTLET_TEST_PATIENCE").flatMap { Double(String(cString: $0)) } ?? 1

/// Asks `condition` until it holds, every 20 ms, for at most `seconds` (times ``patience``); then fails with `what` and what
/// was seen last.
///
/// For states that another process reaches and that offer a test nothing to wait on: a command's answer, a file's
/// content. What can be waited on (a process's end, a pipe, an inotify event) is waited on instead.
public func eventually(
    _ what: String, seconds: Double = 20, _ condition: () async throws -> Bool
) async throws {
    let end = now() + seconds * patience
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
