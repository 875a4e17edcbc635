import JSONTree

/// The kinds of documents and blobs, by the media types of the image-spec and of Docker's schema 2.
public enum MediaType {
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let config = "application/vnd.oci.image.config.v1+json"
    public static let layer = "application/vnd.oci.image.layer.v1.tar"
    public static let layerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let layerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    /// What a registry is asked for when a manifest is wanted.
    public static let manifests = [index, manifest, dockerIndex, dockerManifest]

    public static func isIndex(_ mediaType: String) -> Bool { mediaType == index || mediaType == dockerIndex }
    public static func isManifest(_ mediaType: String) -> Bool { mediaType == manifest || mediaType == dockerManifest }

    /// Whether a blob of this type is a file system layer; signatures, attestations and other artifacts are not. The
    /// compression is told from the blob itself, as the other runtimes do.
    public static func isLayer(_ mediaType: String) -> Bool {
        mediaType.hasPrefix("application/vnd.oci.image.layer.")
            || mediaType.hasPrefix("application/vnd.docker.image.rootfs.")
    }
}

/// What a machine must be to run an image (image-spec image-index.md, `platform`).
public struct Platform: Sendable, Hashable, CustomStringConvertible {
    /// As GOOS: `linux`.
    public let os: String
    /// As GOARCH: `amd64`, `arm64`.
    public let architecture: String
    /// Such as `v8` of arm64; empty where the architecture needs none.
    public let variant: String

    public init(os: String, architecture: String, variant: String = "") {
        self.os = os
        self.architecture = architecture
        // arm64 is v8 when nothing is said (containerd, platforms.Normalize).
        self.variant = architecture == "arm64" && variant == "v8" ? "" : variant
    }

    #if arch(x86_64)
        /// This host.
        public static let host = Platform(os: "linux", architecture: "amd64")
    #elseif arch(arm64)
        /// This host.
        public static let host = Platform(os: "linux", architecture: "arm64")
    #endif

    public var description: String { "\(os)/\(architecture)\(variant.isEmpty ? "" : "/\(variant)")" }

    /// How well an image for `self` suits a host `host`: nil not at all, otherwise the higher the better. An image
    /// without a variant suits every host of its architecture; `v1` of amd64 is its baseline.
    public func suitability(for host: Platform) -> Int? {
        guard os == host.os, architecture == host.architecture else { return nil }
        if variant == host.variant { return 2 }
        return variant.isEmpty || (architecture == "amd64" && variant == "v1") ? 1 : nil
    }
}

/// A reference to content by media type, size and digest (image-spec descriptor.md).
public struct Descriptor: Sendable, Hashable {
    public let mediaType: String
    public let digest: Digest
    /// Bytes.
    public let size: Int64
    public let platform: Platform?
    public let annotations: [String: String]

    public init(
        mediaType: String, digest: Digest, size: Int64, platform: Platform? = nil, annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.platform = platform
        self.annotations = annotations
    }

    init(_ field: JSONField) throws(FormatError) {
        guard field.value?.objectValue != nil else { throw field.wrong("a descriptor") }
        mediaType = try field["mediaType"].text(limit: 256) ?? ""
        digest = try field["digest"].digest()
        guard let size = try field["size"].integer() else { throw field["size"].wrong("an integer") }
        guard size >= 0, size <= Bounds.blobBytes else { throw FormatError("\(field.path).size: \(size) is no size") }
        self.size = size
        platform =
            field["platform"].value == nil
            ? nil
            : Platform(
                os: try field["platform"]["os"].text(limit: 64) ?? "",
                architecture: try field["platform"]["architecture"].text(limit: 64) ?? "",
                variant: try field["platform"]["variant"].text(limit: 64) ?? "")
        annotations = try field["annotations"].labels()
    }

    var tree: JSONValue {
        var tree: JSONValue = [
            "mediaType": .string(mediaType), "digest": .string(digest.description), "size": .integer(size),
        ]
        if !annotations.isEmpty {
            tree["annotations"] = .object(
                JSONObject(annotations.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        return tree
    }
}
