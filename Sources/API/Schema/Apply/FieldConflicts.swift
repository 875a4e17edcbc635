// Fields that somebody else owns.

import JSONTree

/// Why an object was not applied: others own what it would change.
public struct FieldConflicts: Sendable, Hashable {
    /// One field with its owner.
    public struct Conflict: Sendable, Hashable {
        public let manager: FieldManager
        public let path: FieldPath

        /// The cause's message in the Status: `conflict with "kubectl" using apps/v1`. Its type is
        /// `FieldManagerConflict`, its field the path.
        public var message: String { "conflict with \(manager)" }
    }

    /// By manager, and each one's fields in order; never empty.
    public let conflicts: [Conflict]

    /// As the API server says it (fieldmanager/internal `conflict.go`), with status 409 and reason `Conflict`.
    public var message: String {
        if let only = conflicts.first, conflicts.count == 1 {
            return "Apply failed with 1 conflict: \(only.message): \(only.path)"
        }
        var lines: [String] = []
        var last: FieldManager?
        for conflict in conflicts {
            if conflict.manager != last { lines.append("conflicts with \(conflict.manager):") }
            last = conflict.manager
            lines.append("- \(conflict.path)")
        }
        return "Apply failed with \(conflicts.count) conflicts: " + lines.joined(separator: "\n")
    }
}
