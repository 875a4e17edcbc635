import OCI

/// What a pull or an import tells about its layers while it works.
public struct PullProgress: Sendable, Hashable {
    public enum Phase: Sendable, Hashable {
        /// Another task or process works on the same layer; its result will be used.
        case waiting
        /// `done` of `total` compressed bytes are here.
        case downloading
        /// `done` of `total` compressed bytes are unpacked.
        case unpacking
        /// The layer is unpacked and verified.
        case done
        /// The layer was here before.
        case present
    }

    /// The layer's blob, as the manifest names it.
    public let layer: Digest
    public let phase: Phase
    /// Bytes.
    public let done: Int64
    public let total: Int64
    /// The layer's place in the image, from 0 (the bottom), and how many there are.
    public let index: Int
    public let count: Int

    /// Called from whatever thread does the work, often; must return quickly.
    public typealias Handler = @Sendable (PullProgress) -> Void
}
