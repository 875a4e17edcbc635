// When the agent in the background may go: it must not while a command asks for something.
import Synchronization

/// How long no command has asked for anything.
final class Idleness: Sendable {
    private struct State {
        var active = 0
        var since = ContinuousClock.now
        var isClosed = false
    }
    private let state = Mutex(State())

    /// Notes that a request begins; false once ``close()`` said yes.
    func begin() -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            state.active += 1
            return true
        }
    }

    func end() {
        state.withLock { state in
            state.active -= 1
            state.since = .now
        }
    }

    /// 0 while something is asked for.
    var seconds: Double {
        state.withLock { state in
            state.active > 0 ? 0 : (ContinuousClock.now - state.since) / .seconds(1)
        }
    }

    /// Lets no request begin any more, unless one runs; whether that is so now.
    func close() -> Bool {
        state.withLock { state in
            if state.active == 0 { state.isClosed = true }
            return state.isClosed
        }
    }
}
