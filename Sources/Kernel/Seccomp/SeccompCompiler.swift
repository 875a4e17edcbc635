import Synchronization

/// Compiles profiles and remembers the programs: most containers of a node share one profile and one set of capabilities.
///
/// The key is the whole profile, compared and not only hashed, with those capabilities that its conditions mention: two
/// profiles that differ in one error number have two programs.
public final class SeccompCompiler: Sendable {
    private struct Key: Hashable {
        var profile: SeccompProfile
        var capabilities: Set<String>
    }

    private let capacity: Int
    private let programs = Mutex<[Key: SeccompProgram]>([:])

    /// - Parameter capacity: the most programs to remember, each some ten kilobytes.
    public init(capacity: Int = 64) { self.capacity = max(capacity, 1) }

    /// The program for `profile` in a container with `capabilities`, compiled at most once while it is remembered.
    public func program(
        for profile: SeccompProfile, capabilities: Set<String> = []
    ) throws(SeccompError) -> SeccompProgram {
        let mentioned = Set(profile.rules.flatMap { $0.includes.capabilities + $0.excludes.capabilities })
        let key = Key(profile: profile, capabilities: capabilities.intersection(mentioned))
        if let program = programs.withLock({ $0[key] }) { return program }
        let program = try profile.compile(capabilities: key.capabilities)
        programs.withLock { programs in
            // Full: forget one, whichever. A node with so many profiles compiles some again.
            if programs.count >= capacity, let some = programs.keys.first { programs[some] = nil }
            programs[key] = program
        }
        return program
    }
}
