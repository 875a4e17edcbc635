import JSONTree

/// What a registry names a tag or a digest: the manifest of one image, or an index of several.
public enum ManifestDocument: Sendable, Hashable {
    case manifest(Manifest)
    case index(Index)

    /// Decodes what it says it is: by its own `mediaType`, else by the registry's Content-Type, else by its fields.
    public init(_ bytes: [UInt8], contentType: String = "") throws(FormatError) {
        let root = try document(bytes, "manifest", limit: Bounds.manifestBytes)
        let stated = try root["mediaType"].text(limit: 256) ?? ""
        let hasManifests = root["manifests"].value != nil
        let hasLayers = root["layers"].value != nil || root["config"].value != nil
        // A document that is both could mean one image to us and another to a scanner (CVE-2021-41190).
        if hasManifests && hasLayers { throw FormatError("manifest: both an index and an image manifest") }
        if try root["schemaVersion"].integer() == 1 {
            throw FormatError("manifest: Docker schema 1, which nobody should serve any more; push the image again")
        }
        let mediaType = stated.isEmpty ? contentType : stated
        if MediaType.isIndex(mediaType) || (hasManifests && !MediaType.isManifest(mediaType)) {
            self = .index(try Index(root))
        } else if MediaType.isManifest(mediaType) || hasLayers {
            self = .manifest(try Manifest(root))
        } else {
            throw FormatError("manifest: neither an image manifest nor an index (mediaType \"\(mediaType)\")")
        }
    }
}

/// One image: its configuration and its layers (image-spec manifest.md; Docker's schema 2 has the same fields).
public struct Manifest: Sendable, Hashable {
    public let mediaType: String
    public let config: Descriptor
    /// Bottom first.
    public let layers: [Descriptor]
    public let annotations: [String: String]

    public init(config: Descriptor, layers: [Descriptor], annotations: [String: String] = [:]) {
        mediaType = MediaType.manifest
        self.config = config
        self.layers = layers
        self.annotations = annotations
    }

    public init(_ bytes: [UInt8]) throws(FormatError) {
        try self.init(try document(bytes, "manifest", limit: Bounds.manifestBytes))
    }

    init(_ root: JSONField) throws(FormatError) {
        guard try root["schemaVersion"].integer() == 2 else { throw root["schemaVersion"].wrong("2") }
        mediaType = try root["mediaType"].text(limit: 256) ?? MediaType.manifest
        config = try Descriptor(root["config"])
        guard let fields = try root["layers"].elements(limit: Bounds.layers) else {
            throw root["layers"].wrong("a list")
        }
        var layers: [Descriptor] = []
        for field in fields {
            let layer = try Descriptor(field)
            guard MediaType.isLayer(layer.mediaType) else {
                throw FormatError("\(field.path).mediaType: \"\(layer.mediaType)\" is no layer of a container image")
            }
            layers.append(layer)
        }
        self.layers = layers
        annotations = try root["annotations"].labels()
    }

    /// The document's bytes, for an image that is made here (an import); an OCI manifest whatever it was read from.
    public func encoded() -> [UInt8] {
        let tree: JSONValue = [
            "schemaVersion": 2, "mediaType": .string(MediaType.manifest), "config": config.tree,
            "layers": .array(layers.map(\.tree)),
        ]
        return tree.encoded()
    }
}

/// One image for several platforms, or several images (image-spec image-index.md; Docker's manifest list).
public struct Index: Sendable, Hashable {
    public let manifests: [Descriptor]

    public init(_ bytes: [UInt8]) throws(FormatError) {
        try self.init(try document(bytes, "index", limit: Bounds.manifestBytes))
    }

    init(_ root: JSONField) throws(FormatError) {
        guard try root["schemaVersion"].integer() == 2 else { throw root["schemaVersion"].wrong("2") }
        guard let fields = try root["manifests"].elements(limit: Bounds.indexEntries) else {
            throw root["manifests"].wrong("a list")
        }
        var manifests: [Descriptor] = []
        for field in fields { manifests.append(try Descriptor(field)) }
        self.manifests = manifests
    }

    /// The entry that suits `host` best, the first of equals; nil when there is none. An only entry that names no
    /// platform is taken for what it is (its configuration tells).
    public func manifest(for host: Platform) -> Descriptor? {
        let images = manifests.filter { $0.annotations["vnd.docker.reference.type"] == nil }
        var best: (descriptor: Descriptor, suitability: Int)?
        for descriptor in images {
            guard let suitability = descriptor.platform?.suitability(for: host) else { continue }
            if suitability > (best?.suitability ?? 0) { best = (descriptor, suitability) }
        }
        if let best { return best.descriptor }
        return images.count == 1 && images[0].platform == nil ? images[0] : nil
    }
}
