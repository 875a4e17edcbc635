import OCI

/// An image in the store: unpacked, verified, ready to be stacked.
public struct Image: Sendable, Hashable {
    /// The names under which the store has it; empty for one that only pins keep.
    public let references: [ImageReference]
    /// The digest of its configuration: what Docker and crictl call the image's id.
    public let id: Digest
    /// The digest of its manifest for this platform.
    public let manifestDigest: Digest
    /// `repository@digest` for every registry name, as a pod's `imageID` shows it.
    public let repositoryDigests: [String]
    public let config: ImageConfig
    /// The directories of the layers, bottom to top, as overlayfs wants them (whiteouts are devices 0/0, opaque
    /// directories carry `trusted.overlay.opaque`). Read-only for everybody; they stay as long as the image is pinned. A
    /// layer that the image has several times is here once, in its topmost place.
    public let layers: [String]
    /// Bytes of all files of all layers.
    public let size: Int64
    /// When it was pulled or imported last, RFC 3339 in UTC.
    public let pulledAt: String
}

/// What ``ImageStore/prune()`` and ``ImageStore/remove(_:)`` did.
public struct Removal: Sendable, Hashable {
    /// Names that are gone.
    public var references: [String] = []
    /// Manifests of images that are gone.
    public var images: [Digest] = []
    /// Layers that are gone.
    public var layers: Int = 0
    /// Bytes of files that are gone.
    public var bytes: Int64 = 0
    /// Pods that keep the image's layers although its name is gone.
    public var keptBy: [String] = []

    public init() {}
}

/// What the store takes on disk, in bytes of file content.
public struct DiskUsage: Sendable, Hashable {
    public let images: Int
    public let layers: Int
    public let layerBytes: Int64
    public let blobBytes: Int64
    /// Downloads that were cut off, kept so that they can be resumed.
    public let partialBytes: Int64
}

/// How much a layer may unpack to; what is beyond is taken for a bomb.
public struct UnpackLimits: Sendable, Hashable {
    /// Files, directories and links of one layer.
    public var entries: Int
    /// Bytes of one layer, unpacked.
    public var bytes: Int64
    /// Unpacked bytes for each compressed byte, looked at beyond 64 MiB unpacked. gzip cannot go beyond 1032.
    public var ratio: Int64

    public init(entries: Int = 2_000_000, bytes: Int64 = 64 << 30, ratio: Int64 = 1100) {
        self.entries = entries
        self.bytes = bytes
        self.ratio = ratio
    }
}
